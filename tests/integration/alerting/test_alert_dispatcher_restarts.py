"""Rule: stop the dispatcher anywhere, start it again: everything arrives, and repeats carry the same id."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Literal

import pytest
import trio
import trio.testing

import actors.alert_dispatcher
from fusion_daemon.alerting.repository import claim_due
from fusion_daemon.alerting.retry import MOST_INTERRUPTIONS, URGENT_CEILINGS
from fusion_daemon.domain.margin import MarginState
from fusion_daemon.runtime import ActorContext, Bell
from fusion_daemon.runtime.actor import Pause
from fusion_daemon.store import WriteConflict
from tests.faults.receiver import BROKEN, HANG, Receiver, throttle
from tests.integration.alerting.desk import DEADLINE, Desk, Stalled, webhook
from tests.unit.alerting.margin_events import margin_event

ALL_DELIVERED = (
    "SELECT NOT EXISTS (SELECT FROM alerts WHERE state = 'accepted') "
    "AND NOT EXISTS (SELECT FROM deliveries WHERE state <> 'delivered')"
)


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after the n-th step of any task: every await point is one of them."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self.scope = scope
        self.steps = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps -= 1
        if self.steps == 0:
            self.scope.cancel()


async def live_for(desk: Desk, steps: int) -> bool:
    """One life that ends at that step; True if everything was delivered before."""
    dispatcher = desk.dispatcher()
    finished = False
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            instrument = CancelAfter(scope, steps)
            trio.lowlevel.add_instrument(instrument)
            nursery.start_soon(until_all_delivered, desk, scope)
            try:
                await dispatcher.run(ActorContext(dispatcher.name, desk.clock))
            finally:
                finished = instrument.steps > 0
                trio.lowlevel.remove_instrument(instrument)
        nursery.cancel_scope.cancel()
    return finished


async def until_all_delivered(desk: Desk, scope: trio.CancelScope) -> None:
    await desk.store.until(ALL_DELIVERED)
    scope.cancel()


async def test_cancelled_at_every_await(desk: Desk, receiver: Receiver, other: Receiver) -> None:
    """Three alerts (one of them a warning, whose deliveries the dispatcher makes) for two receivers; the
    dispatcher is cancelled after its 1st, 2nd, 3rd … step and started again."""
    desk.configure(webhook(receiver, "one"), webhook(other, "two"), concurrency=2)
    for episode in range(1, 400):
        await desk.accept(
            margin_event(episode=episode),
            margin_event(account="acct-2", episode=episode),
            margin_event(account="acct-3", episode=episode, after=MarginState.WARNING),
        )
        finished = await live_for(desk, episode)
        async with desk.started():
            await desk.store.until(ALL_DELIVERED)
        if finished:
            break
    else:
        pytest.fail("the dispatcher never got to its end")
    assert episode > 20
    await everything_arrived(desk, receiver.ids() + other.ids(), 6 * episode)


async def everything_arrived(desk: Desk, arrived: Counter[str], expected: int) -> None:
    rows = await desk.store.rows(
        "SELECT deliveries.id, deliveries.attempts, count(*) AS recorded, max(attempt) AS last, "
        "       count(*) FILTER (WHERE outcome = 'delivered') AS delivered, "
        "       count(*) FILTER (WHERE outcome NOT IN ('delivered', 'interrupted')) AS other "
        "FROM deliveries JOIN delivery_attempts ON delivery_id = deliveries.id "
        "GROUP BY deliveries.id, deliveries.alert_number"
    )
    assert len(rows) == expected
    assert set(arrived) == {row.text("id") for row in rows}
    for row in rows:
        assert row.integer("delivered") == 1
        assert row.integer("other") == 0
        assert row.integer("recorded") == row.integer("last") == row.integer("attempts")
        assert 1 <= arrived[row.text("id")] <= row.integer("attempts")


async def test_interrupted_in_the_middle_of_a_request(desk: Desk, receiver: Receiver) -> None:
    receiver.first(HANG)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await trio.to_thread.run_sync(receiver.wait_for, 1)
    [row] = await desk.store.rows("SELECT state, attempts FROM deliveries")
    assert (row.text("state"), row.integer("attempts")) == ("in_flight", 1)
    async with desk.started() as dispatcher:
        await desk.store.until(ALL_DELIVERED)
        assert dispatcher.statistics().interrupted == 1
    assert list(receiver.ids().values()) == [2]
    outcomes = await desk.store.rows("SELECT outcome FROM delivery_attempts ORDER BY attempt")
    assert [each.text("outcome") for each in outcomes] == ["interrupted", "delivered"]


async def test_interruptions_use_up_no_retry(desk: Desk, receiver: Receiver) -> None:
    """As many lives as there are retries end in the middle of an attempt; then the receiver fails once."""
    receiver.always(HANG)
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    for life in range(1, len(URGENT_CEILINGS) + 1):
        async with desk.started():
            await trio.to_thread.run_sync(receiver.wait_for, life)
    receiver.always(BROKEN)
    async with desk.started():
        await desk.store.until("SELECT count(*) = 1 FROM delivery_attempts WHERE outcome = 'failed'")
        [row] = await desk.store.rows(
            "SELECT state, attempts, extract(epoch FROM due_at)::float8 AS due FROM deliveries"
        )
        assert (row.text("state"), row.integer("attempts")) == ("retrying", len(URGENT_CEILINGS) + 1)
        assert row.number("due") - desk.clock.now() <= URGENT_CEILINGS[0]


async def test_a_delivery_that_ends_the_daemon_each_time_ends_itself(
    desk: Desk, receiver: Receiver, other: Receiver
) -> None:
    desk.configure(webhook(receiver, "deadly"), webhook(other, "well"))
    await desk.accept(margin_event())
    await desk.store.write(
        f"UPDATE deliveries SET attempts = 1, state = 'in_flight', interruptions = {MOST_INTERRUPTIONS - 1} "
        "WHERE receiver = 'deadly'"
    )
    async with desk.started():
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'exhausted'")
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'delivered'")
    assert receiver.arrivals() == []
    assert {str(each.body["type"]) for each in other.arrivals()} == {"margin.opened", "alerting.channel_broken"}


async def test_due_times_outlive_a_restart(desk: Desk, receiver: Receiver) -> None:
    receiver.first(throttle("120"))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
    async with desk.started():
        desk.advance(119)
        await desk.look()
        assert len(receiver.arrivals()) == 1
        desk.advance(10)
        await desk.store.until(ALL_DELIVERED)


async def test_a_claim_whose_answer_was_lost_is_found_again(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim commits, the dispatcher does not hear of it: without a restart, nobody else would look."""
    monkeypatch.setattr(actors.alert_dispatcher, "STORE_PAUSE", 0.0)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.look()
        desk.store.lose_answers = 2
        await desk.accept(margin_event())
        await desk.store.until(ALL_DELIVERED)
    [row] = await desk.store.rows("SELECT attempts FROM deliveries")
    assert row.integer("attempts") == 1
    assert list(receiver.ids().values()) == [1]


SOMEBODY_WAITS = "SELECT count(*) = 1 AS holds FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


async def until_somebody_waits(desk: Desk) -> None:
    with trio.fail_after(DEADLINE):
        while not (await desk.store.rows(SOMEBODY_WAITS))[0].boolean("holds"):
            await trio.lowlevel.checkpoint()


async def test_a_claim_that_commits_after_it_was_given_up_is_found_again(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """claim … COMMIT on its way | given up; the next look waits for it | committed | found, released, delivered.

    A look that did not wait would see nothing in flight, and nobody would look for it again."""
    monkeypatch.setattr(actors.alert_dispatcher, "STORE_PAUSE", 0.0)
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    async with trio.open_nursery() as nursery:
        desk.store.stalled = stalled = Stalled(nursery, claim_due)
        async with desk.started():
            await until_somebody_waits(desk)
            stalled.let_go()
            await desk.store.until(ALL_DELIVERED)
    assert list(receiver.ids().values()) == [1]


async def test_a_claim_that_commits_after_its_life_is_taken_up(desk: Desk, receiver: Receiver) -> None:
    """The same across a restart: the next life waits for what the last one left on its way."""
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    async with trio.open_nursery() as nursery:
        desk.store.stalled = stalled = Stalled(nursery, claim_due)
        async with desk.started():
            await stalled.begun.wait()

        async def let_go() -> None:
            await until_somebody_waits(desk)
            stalled.let_go()

        nursery.start_soon(let_go)
        async with desk.started() as dispatcher:
            await desk.store.until(ALL_DELIVERED)
            assert dispatcher.statistics().interrupted == 1
    assert list(receiver.ids().values()) == [1]


async def test_an_outcome_is_kept_until_the_store_takes_it(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres goes away between the answer and its record: nothing is sent again, nothing is forgotten."""
    monkeypatch.setattr(actors.alert_dispatcher, "STORE_PAUSE", 0.0)
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    desk.store.refuse_commits = 3
    async with desk.started():
        await desk.store.until(ALL_DELIVERED)
    assert desk.store.refuse_commits == 0
    assert list(receiver.ids().values()) == [1]


async def test_a_paused_dispatcher_claims_nothing(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    pause = Pause()
    pause.close()
    async with desk.started(pause):
        await desk.accept(margin_event())
        await trio.testing.wait_all_tasks_blocked()
        [row] = await desk.store.rows("SELECT state FROM deliveries")
        assert row.text("state") == "pending"
        pause.open()
        await desk.store.until(ALL_DELIVERED)
    assert list(receiver.ids().values()) == [1]


async def test_a_zombie_records_nothing_and_ends(desk: Desk, receiver: Receiver) -> None:
    """While its request hangs, another life takes over: the first one's outcome is refused, and it stops."""
    receiver.first(HANG)
    desk.configure(webhook(receiver))
    with pytest.RaisesGroup(pytest.RaisesGroup(WriteConflict)):
        async with desk.started():
            await desk.accept(margin_event())
            await trio.to_thread.run_sync(receiver.wait_for, 1)
            async with replace(desk, bell=Bell()).started():
                await desk.store.until(ALL_DELIVERED)
            receiver.release()
            await trio.sleep_forever()
    [row] = await desk.store.rows("SELECT state, attempts FROM deliveries")
    assert (row.text("state"), row.integer("attempts")) == ("delivered", 2)


async def test_stopping_in_good_order_sends_nothing_twice(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has come, the store has not taken it yet, and the dispatcher is told to stop: it records."""
    monkeypatch.setattr(actors.alert_dispatcher, "STORE_PAUSE", 1000.0)
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    desk.store.refuse_commits = 1
    async with desk.started():
        await desk.store.refused.wait()
    [row] = await desk.store.rows("SELECT state FROM deliveries")
    assert row.text("state") == "delivered"
    async with desk.started() as dispatcher:
        await desk.look()
        assert dispatcher.statistics().interrupted == 0
    assert list(receiver.ids().values()) == [1]


@pytest.mark.parametrize("stalled", ["before", "after"])
async def test_stopping_in_the_middle_of_a_record_sends_nothing_twice(
    desk: Desk, receiver: Receiver, other: Receiver, stalled: Literal["before", "after"]
) -> None:
    """One outcome's commit is under way, another has finished since, and the dispatcher is told to stop.

    Whether the first had happened or not: both are on record, and nobody hears anything again."""
    other.first(HANG)
    desk.configure(webhook(receiver, "one"), webhook(other, "two"))
    await desk.accept(margin_event())
    desk.store.stall_commit = stalled
    async with desk.started() as dispatcher:
        await desk.store.commit_stalled.wait()
        other.release()
        with trio.fail_after(DEADLINE):
            while dispatcher.statistics().in_flight:
                await trio.lowlevel.checkpoint()
    assert await desk.store.rows("SELECT FROM deliveries WHERE state <> 'delivered'") == []
    async with desk.started() as dispatcher:
        await desk.look()
        assert dispatcher.statistics().interrupted == 0
    assert list((receiver.ids() + other.ids()).values()) == [1, 1]
