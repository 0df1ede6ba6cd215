"""Rule: a child that makes no progress within its own limit is started again, alone and without a drain, which it would
not answer; one that will not stop is left beside its next life."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import ActorState
from tests.unit.runtime.troupe import Troupe, one_for_one


async def test_who_hangs_is_started_again_alone(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    children = (troupe.child("hanging", beat_limit=30.0, drain_timeout=10.0), troupe.child("sound", beat_limit=60.0))
    async with troupe.performing(one_for_one(*children)) as tree:
        sound = troupe.present["sound"]
        await trio.sleep(30.0)
        assert tree.revive_stalled() == ()
        await trio.sleep(1.0)
        assert [each.name for each in tree.revive_stalled()] == ["hanging"]
        await wait_all_tasks_blocked()
        found = tree.find("hanging")
        assert (found.restarts, found.state) == (1, ActorState.RUNNING)
        assert found.last_error.startswith("ActorStuck: hanging made no progress and was stopped: no beat for 31.0 s")
        assert (troupe.present["sound"], tree.find("sound").restarts) == (sound, 0)


async def test_who_hangs_and_will_not_stop_has_a_successor(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = one_for_one(troupe.child("stubborn", stop_timeout=1.0, beat_limit=30.0))
    async with troupe.performing(spec) as tree:
        troupe.present["stubborn"].resist = released = trio.Event()
        await trio.sleep(31.0)
        tree.revive_stalled()
        await trio.sleep(2.0)
        assert tree.find("stubborn").restarts == 1
        assert [zombie.name for zombie in tree.zombies()] == ["stubborn"]
        released.set()
