"""Rule: a dispatcher that is asked to drain claims nothing more, ends what is in flight, records it and returns; the
drain budget of its supervisor is the only limit, and what does not come to an end within it is taken up again."""

from __future__ import annotations

import trio

from fusion_daemon.runtime import ActorContext
from tests.faults.receiver import HANG, Receiver
from tests.integration.alerting.desk import DEADLINE, Desk, webhook
from tests.unit.alerting.margin_events import margin_event


class Life:
    """A dispatcher as its supervisor runs it."""

    def __init__(self, desk: Desk) -> None:
        self._dispatcher = desk.dispatcher()
        self.started = trio.Event()
        self.over = trio.Event()
        self.context = ActorContext("alert_dispatcher", desk.clock, on_started=self.started.set)

    async def run(self) -> None:
        await self._dispatcher.run(self.context)
        self.over.set()

    async def ends(self) -> None:
        with trio.fail_after(DEADLINE):
            await self.over.wait()


async def states(desk: Desk) -> list[str]:
    return [row.text("state") for row in await desk.store.rows("SELECT state FROM deliveries ORDER BY account")]


async def test_what_is_in_flight_arrives_and_nothing_else_is_claimed(desk: Desk, receiver: Receiver) -> None:
    """Two are held by the receiver, the third has no slot, the fourth is accepted while the dispatcher drains."""
    receiver.always(HANG)
    desk.configure(webhook(receiver), concurrency=2)
    async with trio.open_nursery() as nursery:
        life = Life(desk)
        nursery.start_soon(life.run)
        await desk.accept(*(margin_event(f"acct-{each}") for each in range(3)))
        await trio.to_thread.run_sync(receiver.wait_for, 2)
        life.context.drain("SIGTERM")
        await desk.accept(margin_event("acct-3"))
        assert not life.over.is_set()
        receiver.release()
        await life.ends()
    *early, late = await states(desk)
    assert (sorted(early), late) == (["delivered", "delivered", "pending"], "pending")
    assert len(receiver.arrivals()) == 2


async def test_at_rest_it_returns_at_once(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    async with trio.open_nursery() as nursery:
        life = Life(desk)
        nursery.start_soon(life.run)
        await life.started.wait()
        await desk.store.transaction_after_now()  # the first look: it rests now, or is about to
        life.context.drain("SIGTERM")
        await life.ends()


async def test_a_store_that_is_away_is_waited_for(desk: Desk, receiver: Receiver) -> None:
    """The record of what was in flight is refused at first: it is made all the same."""
    receiver.always(HANG)
    desk.configure(webhook(receiver))
    async with trio.open_nursery() as nursery:
        life = Life(desk)
        nursery.start_soon(life.run)
        await desk.accept(margin_event())
        await trio.to_thread.run_sync(receiver.wait_for, 1)
        life.context.drain("SIGTERM")
        desk.store.refuse_commits = 1
        receiver.release()
        await life.ends()
        assert desk.store.refused.is_set()
    assert await states(desk) == ["delivered"]


async def test_what_outlasts_the_budget_is_cancelled_and_taken_up_again(desk: Desk, receiver: Receiver) -> None:
    """One of two is held beyond the drain: the other is recorded, the held one comes again under the same id."""
    receiver.first(HANG)
    desk.configure(webhook(receiver))
    async with trio.open_nursery() as nursery:
        life = Life(desk)
        nursery.start_soon(life.run)
        await desk.accept(margin_event("acct-0"))
        await trio.to_thread.run_sync(receiver.wait_for, 1)
        await desk.accept(margin_event("acct-1"))
        await trio.to_thread.run_sync(receiver.wait_for, 2)
        life.context.drain("SIGTERM")
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
        assert not life.over.is_set()
        nursery.cancel_scope.cancel("not drained in time")
    assert await states(desk) == ["in_flight", "delivered"]
    async with desk.started():
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'delivered'")
    assert sorted(receiver.ids().values()) == [1, 2]
