"""Rule: the watchdog is fed by progress: not while a loop stands still, a critical actor makes none, or a zombie is
left; and whoever is held, or waits for a database that is away, is no reason to be killed. Before it comes to that, who
hangs is started again."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from fusion_daemon.aio import AioStatistics, CrossingStatistics, Histogram, LoopStatistics
from fusion_daemon.liveness import LOOP_LIMIT, reasons_to_starve, revive_stalled, stuck_loops
from fusion_daemon.store import StoreUnavailable, Trouble
from tests.unit.runtime.troupe import Troupe, one_for_one

NOTHING = Histogram((), 0.0)
CROSSINGS = CrossingStatistics(0, 0, 0, 0, 0, NOTHING)
BEATING = 0.1
AWAY = Trouble("away", 0.0, StoreUnavailable("The database does not answer.", "Nothing is written.", "Look at it."))


def loops(asyncio: float = BEATING, trio: float = BEATING) -> AioStatistics:
    """Seconds since each loop's last beat."""
    asyncio_loop, trio_loop = (LoopStatistics(age, 0.0, 0.0, NOTHING, 0) for age in (asyncio, trio))
    return AioStatistics(CROSSINGS, CROSSINGS, {}, 0, asyncio_loop, trio_loop, dead=False)


def test_a_loop_that_stands_still_is_named() -> None:
    assert stuck_loops(loops(LOOP_LIMIT, LOOP_LIMIT)) == []
    assert stuck_loops(loops(asyncio=LOOP_LIMIT + 0.1)) == ["asyncio loop: no beat for 5.1 s"]
    assert stuck_loops(loops(trio=7.0)) == ["trio loop: no beat for 7.0 s"]


async def test_a_critical_actor_that_makes_no_progress_starves_it(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = one_for_one(troupe.child("critical", beat_limit=30.0), troupe.child("other"))
    async with troupe.performing(spec) as tree:
        await trio.sleep(30.0)
        assert reasons_to_starve(loops(), tree, None) == []
        await trio.sleep(1.0)
        assert reasons_to_starve(loops(), tree, None) == ["critical: no beat for 31.0 s, limit 30 s"]
        assert reasons_to_starve(loops(), tree, AWAY) == [], "a restart would not bring the database back"
        assert reasons_to_starve(loops(trio=9.0), tree, AWAY) == ["trio loop: no beat for 9.0 s"]
        context = troupe.present["critical"].context
        assert context is not None
        context.beat()
        assert reasons_to_starve(loops(), tree, None) == []


@pytest.mark.parametrize("trouble", [None, AWAY])
async def test_a_zombie_starves_it_whatever_else_is_wrong(
    autojump_clock: MockClock, trouble: Trouble | None
) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("stubborn", stop_timeout=1.0, beat_limit=30.0))) as tree:
        puppet = troupe.present["stubborn"]
        puppet.resist = trio.Event()
        await tree.stop_child("stubborn")
        assert reasons_to_starve(loops(), tree, trouble) == ["stubborn: would not stop"]
        puppet.resist.set()
        await trio.testing.wait_all_tasks_blocked()
        assert reasons_to_starve(loops(), tree, trouble) == []


async def test_nobody_is_started_again_for_a_database_that_is_away(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    trouble: list[Trouble | None] = [AWAY]
    async with (
        troupe.performing(one_for_one(troupe.child("waiting", beat_limit=30.0))) as tree,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(revive_stalled, tree, lambda: trouble[0])
        await trio.sleep(90.0)
        assert tree.find("waiting").restarts == 0
        trouble[0] = None
        await trio.sleep(2.0)
        assert tree.find("waiting").restarts == 1
        nursery.cancel_scope.cancel()
