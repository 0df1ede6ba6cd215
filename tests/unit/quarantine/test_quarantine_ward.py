"""The ward: nobody waits in it, nothing in it is lost between two lives of its keeper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.quarantine_keeper import IDLE, ROOM, QuarantineKeeper, Ward
from fusion_daemon.quarantine.repository import held_counts, keep
from fusion_daemon.quarantine.rules import Entry, Phase, SetAside, State
from fusion_daemon.runtime import ActorContext, Bell, ManualClock, Poison, Suspect
from fusion_daemon.store import Store, StoreUnavailable


class Boom(Exception):
    pass


@dataclass
class FakeStore(Store):
    """Remembers what was written; a switch takes it away, another one loses the answer to a commit."""

    kept: dict[str, SetAside] = field(default_factory=dict)
    away: bool = False
    mute: bool = False

    async def transact(self, work: object, *args: object, timeout: float = 30.0) -> None:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        assert work is keep
        if self.away:
            raise StoreUnavailable("It is away.", "Nothing is written.", "Wait.")
        (found,) = args
        assert isinstance(found, Sequence)
        self.kept |= {each.mark: each for each in found}
        if self.mute:
            raise StoreUnavailable("It did not say.", "It may have happened.", "Wait.")

    async def read(self, query: object, *args: object, timeout: float = 30.0) -> dict[str, int]:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        assert query is held_counts
        return {each.source: 1 for each in self.kept.values()}


def poison(message: str = "Payment", traceback: str = "Boom") -> Poison:
    return Poison("margin", message, b"payload", traceback, 1_000.0)


def condemn(ward: Ward, seq: int, resting: int) -> None:
    for _ in range(2):
        with pytest.raises(Boom), ward.strikes.blame(Suspect("risk", "journal:1", seq, resting, "fold", "Entry")):
            raise Boom


def test_what_kills_twice_is_held_for_its_consumer_at_once() -> None:
    ward = Ward(ManualClock())
    condemn(ward, 7, 5)
    assert ward.entries_of("risk") == [(Entry("journal:1", 7, 5, Phase.FOLD), State.HELD)]
    assert ward.entries_of("other") == []
    ward.set_aside(poison())
    assert ward.entries_of("margin") == [], "a mailbox's message is no entry"


def test_the_ward_has_bounds() -> None:
    ward = Ward(ManualClock())
    for _ in range(ROOM + 3):
        ward.set_aside(poison())
    assert (len(ward.unwritten), ward.lost) == (ROOM, 3)


def test_a_consumer_hears_of_a_decision_on_its_own_entries_alone() -> None:
    ward, bell = Ward(ManualClock()), Bell()
    revision = ward.follow("risk", bell)
    ward.settled("other")
    assert ward.revision("risk") == revision
    ward.settled("risk")
    assert ward.revision("risk") != revision


async def test_it_is_written_once_and_said(autojump_clock: MockClock) -> None:
    ward, store = Ward(ManualClock()), FakeStore()
    context = ActorContext("quarantine_keeper", ManualClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QuarantineKeeper(ward, store).run, context)
        await wait_all_tasks_blocked()
        assert context.health.reason == ""
        ward.set_aside(poison())
        await wait_all_tasks_blocked()
        assert [each.message for each in store.kept.values()] == ["Payment"]
        assert ward.unwritten == ()
        assert "margin: 1" in context.health.reason
        nursery.cancel_scope.cancel()


async def test_a_store_that_is_away_or_mute_loses_nothing_and_doubles_nothing(autojump_clock: MockClock) -> None:
    ward, store = Ward(ManualClock()), FakeStore(away=True)
    context = ActorContext("quarantine_keeper", ManualClock())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QuarantineKeeper(ward, store).run, context)
        ward.set_aside(poison())
        await trio.sleep(10 * IDLE)
        assert store.kept == {}
        assert "away" in context.health.reason
        store.away, store.mute = False, True
        await trio.sleep(10 * IDLE)
        store.mute = False
        await trio.sleep(IDLE)
        assert len(store.kept) == 1
        assert ward.unwritten == ()
        nursery.cancel_scope.cancel()


async def test_a_stopping_keeper_writes_what_is_left_and_the_next_one_what_it_could_not(
    autojump_clock: MockClock,
) -> None:
    ward, store = Ward(ManualClock()), FakeStore(away=True)
    for away in (True, False):
        store.away = away
        async with trio.open_nursery() as nursery:
            nursery.start_soon(QuarantineKeeper(ward, store).run, ActorContext("quarantine_keeper", ManualClock()))
            await wait_all_tasks_blocked()
            ward.set_aside(poison())
            nursery.cancel_scope.cancel()
    assert len(store.kept) == 2


async def test_a_consumer_hears_of_a_decision_that_came_before_the_ward_knew_of_the_write(
    autojump_clock: MockClock,
) -> None:
    """The keeper's write has happened, but its answer is lost, and that life ends. The operator decides; the consumer
    looks, and the ward still says that the entry is held. Then another keeper finds it written."""
    ward, store, bell = Ward(ManualClock()), FakeStore(mute=True), Bell()
    condemn(ward, 7, 5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QuarantineKeeper(ward, store).run, ActorContext("quarantine_keeper", ManualClock()))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (len(store.kept), len(ward.unwritten)) == (1, 1)
    ward.settled("risk")
    looked = ward.follow("risk", bell)
    assert ward.entries_of("risk") != [], "so it goes on holding its stream"
    store.mute = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(QuarantineKeeper(ward, store).run, ActorContext("quarantine_keeper", ManualClock()))
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert ward.unwritten == ()
    assert ward.revision("risk") != looked


async def test_a_write_that_two_lives_of_the_keeper_have_done_takes_nothing_else_away(
    autojump_clock: MockClock,
) -> None:
    """A keeper that would not stop hears its answer when the next one has heard it too."""
    ward = Ward(ManualClock())
    ward.set_aside(poison("first"))
    found = ward.unwritten
    ward.written(found)
    ward.set_aside(poison("second"))
    ward.written(found)
    assert [each.message for each in ward.unwritten] == ["second"]


def test_whatever_an_error_quotes_can_be_stored() -> None:
    ward = Ward(ManualClock())
    ward.set_aside(poison(traceback="a\0b\ud800c"))
    (found,) = ward.unwritten
    assert found.traceback == "a\N{REPLACEMENT CHARACTER}b?c"
