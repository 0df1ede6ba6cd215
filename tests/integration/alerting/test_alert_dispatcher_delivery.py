"""What is accepted arrives: signed, once, with its attempts on record, and an episode's steps in their order."""

from __future__ import annotations

import trio

from fusion_daemon.alerting.retry import DeliveryState
from fusion_daemon.domain.margin import MarginEvent, MarginKind, MarginState
from tests.faults.receiver import BROKEN, HANG, Receiver
from tests.integration.alerting.desk import Desk, webhook
from tests.unit.alerting.margin_events import margin_event

STATES = "SELECT deliveries.step, deliveries.state, receiver FROM deliveries ORDER BY deliveries.step, receiver"


def resolved(step: int = 2) -> MarginEvent:
    return margin_event(
        step=step, kind=MarginKind.RESOLVED, before=MarginState.MARGIN_CALL, after=MarginState.HEALTHY
    )


def steps(receiver: Receiver) -> list[object]:
    """What it heard, in the order in which it heard it."""
    found = []
    for each in receiver.arrivals():
        data = each.body["data"]
        assert isinstance(data, dict)
        found.append(data["step"])
    return found


async def states(desk: Desk) -> list[tuple[int, str, str]]:
    return [(row.integer("step"), row.text("receiver"), row.text("state")) for row in await desk.store.rows(STATES)]


async def test_a_margin_call_arrives_once_signed_and_recorded(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
    [arrival] = receiver.arrivals()
    assert arrival.genuine


async def test_an_old_step_never_overtakes_a_newer_one(desk: Desk, receiver: Receiver, other: Receiver) -> None:
    """The call gets a 500 from one receiver, its end is delivered to both: that one's call is not sent any more."""
    receiver.first(BROKEN)
    desk.configure(webhook(receiver, "one"), webhook(other, "two"))
    async with desk.started() as dispatcher:
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 2 FROM delivery_attempts")
        await desk.accept(resolved())
        await desk.store.until("SELECT count(*) = 4 FROM delivery_attempts")
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'superseded'")
        await desk.look()
        assert dispatcher.statistics().ended[DeliveryState.SUPERSEDED] == 1
    assert await states(desk) == [
        (1, "one", "superseded"), (1, "two", "delivered"), (2, "one", "delivered"), (2, "two", "delivered")
    ]  # fmt: skip
    assert (steps(receiver), steps(other)) == ([1, 2], [1, 2])


async def test_steps_that_fall_due_together_arrive_in_their_order(desk: Desk, receiver: Receiver) -> None:
    """Ten accounts' calls, each worsened and resolved before the dispatcher first looks."""
    desk.configure(webhook(receiver))
    accounts = [f"acct-{each}" for each in range(10)]
    for account in accounts:
        await desk.accept(
            *[
                margin_event(account, step=step, kind=kind, before=before, after=after)
                for step, kind, before, after in (
                    (1, MarginKind.OPENED, MarginState.HEALTHY, MarginState.MARGIN_CALL),
                    (2, MarginKind.WORSENED, MarginState.MARGIN_CALL, MarginState.LIQUIDATION),
                    (3, MarginKind.RESOLVED, MarginState.LIQUIDATION, MarginState.HEALTHY),
                )
            ]
        )
    async with desk.started():
        await desk.store.until("SELECT count(*) = 30 FROM deliveries WHERE state = 'delivered'")
    heard: dict[object, list[object]] = {}
    for each in receiver.arrivals():
        data = each.body["data"]
        assert isinstance(data, dict)
        heard.setdefault(data["account"], []).append(data["step"])
    assert heard == {account: [1, 2, 3] for account in accounts}


async def test_a_margin_call_waits_for_no_warning_of_its_episode(desk: Desk, receiver: Receiver) -> None:
    """The warning hangs at the receiver; the call that follows it arrives meanwhile, and the warning ends."""
    receiver.first(HANG)
    desk.configure(webhook(receiver), timeout=3.0)
    async with desk.started():
        await desk.accept(margin_event(after=MarginState.WARNING))
        await trio.to_thread.run_sync(receiver.wait_for, 1)
        await desk.accept(margin_event(step=2, kind=MarginKind.WORSENED, before=MarginState.WARNING))
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
        assert (await states(desk))[0] == (1, "desk", "in_flight")
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'superseded'")
    assert steps(receiver) == [1, 2]


async def test_a_retry_holds_nothing_back(desk: Desk, receiver: Receiver) -> None:
    """The call waits for its second try when the end of its episode falls due: that one does not wait with it."""
    receiver.first(BROKEN, HANG)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(5)
        await trio.to_thread.run_sync(receiver.wait_for, 2)
        await desk.accept(resolved())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
        assert steps(receiver) == [1, 1, 2]
        receiver.release()


async def test_what_was_interrupted_before_a_newer_step_arrived_is_superseded(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    await desk.accept(margin_event(), resolved())
    await desk.store.write(
        "UPDATE deliveries SET state = 'in_flight', attempts = 1 WHERE step = 1",
        "UPDATE deliveries SET state = 'delivered', attempts = 1 WHERE step = 2",
    )
    async with desk.started():
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'superseded'")
    assert receiver.arrivals() == []


async def test_another_episode_supersedes_nothing(desk: Desk, receiver: Receiver) -> None:
    receiver.first(BROKEN)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        await desk.accept(margin_event(episode=2, step=2), margin_event("acct-2", step=2))
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'delivered'")
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 3 FROM deliveries WHERE state = 'delivered'")
