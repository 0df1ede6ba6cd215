"""Which children go down and up together, in which order, and who comes back at all.

Names follow the case table of Erlang/OTP's supervisor suite where there is one.
"""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import ActorState, Backoff, Restart, Supervisor, TrioClock, UnknownActor
from tests.unit.runtime.troupe import HANG, QUIET, Boom, Start, Troupe, one_for_all, one_for_one, rest_for_one


async def test_children_start_in_order_and_stop_in_reverse_order(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(*map(troupe.child, "abc"))) as supervisor:
        assert troupe.cleared() == ["start a1", "start b1", "start c1"]
        report = await supervisor.stop()
    assert troupe.cleared() == ["stop c1", "stop b1", "stop a1"]
    assert [each.name for each in report.departures] == ["c", "b", "a"]
    assert report.clean
    assert troupe.ending is None


async def test_one_for_one_restarts_only_the_one_that_crashed(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(*map(troupe.child, "abc"))) as supervisor:
        troupe.cleared()
        await troupe.crash("b")
        assert troupe.cleared() == ["start b2"]
        status = supervisor.find("b")
        assert (status.state, status.restarts) == (ActorState.RUNNING, 1)
        assert status.last_error == "Boom: b"
        assert supervisor.find("a").restarts == 0


async def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order(
    autojump_clock: MockClock,
) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_all(*map(troupe.child, "abc"))):
        troupe.cleared()
        await troupe.crash("b")
        assert troupe.cleared() == ["stop c1", "stop a1", "start a2", "start b2", "start c2"]


async def test_otp_18_rest_for_one_leaves_the_earlier_ones_alone(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(rest_for_one(*map(troupe.child, "abc"))) as supervisor:
        troupe.cleared()
        await troupe.crash("b")
        assert troupe.cleared() == ["stop c1", "start b2", "start c2"]
        assert [each.name for each in supervisor.children()] == ["a", "b", "c"]


@pytest.mark.parametrize("crashes", [False, True])
async def test_otp_09_permanent_comes_back_always(autojump_clock: MockClock, crashes: bool) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))):
        troupe.cleared()
        await (troupe.crash("a") if crashes else troupe.finish("a"))
        assert troupe.cleared() == ["start a2"]


async def test_otp_10_transient_comes_back_after_a_crash_only_and_keeps_its_place(
    autojump_clock: MockClock,
) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a", Restart.TRANSIENT))) as supervisor:
        troupe.cleared()
        await troupe.crash("a")
        assert troupe.cleared() == ["start a2"]
        await troupe.finish("a")
        assert troupe.cleared() == []
        assert supervisor.find("a").state is ActorState.STOPPED
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["start a3"]


@pytest.mark.parametrize("crashes", [False, True])
async def test_otp_11_temporary_never_comes_back_and_its_place_vanishes(
    autojump_clock: MockClock, crashes: bool
) -> None:
    troupe = Troupe()
    children = (troupe.child("a"), troupe.child("t", Restart.TEMPORARY))
    async with troupe.performing(one_for_one(*children)) as supervisor:
        troupe.cleared()
        await (troupe.crash("t") if crashes else troupe.finish("t"))
        assert troupe.cleared() == []
        assert [each.name for each in supervisor.children()] == ["a"]
        with pytest.raises(UnknownActor, match="'t'"):
            supervisor.find("t")


async def test_otp_12_temporary_bystander_is_stopped_and_removed(autojump_clock: MockClock) -> None:
    for build, crashing in ((one_for_all, "b"), (rest_for_one, "a")):
        troupe = Troupe()
        spec = build(troupe.child("a"), troupe.child("t", Restart.TEMPORARY), troupe.child("b"))
        async with troupe.performing(spec) as supervisor:
            troupe.cleared()
            await troupe.crash(crashing)
            assert "stop t1" in troupe.journal
            assert troupe.lives == {"a": 2, "t": 1, "b": 2}
            assert [each.name for each in supervisor.children()] == ["a", "b"]


async def test_otp_16_one_for_all_other_child_fails_restart(autojump_clock: MockClock) -> None:
    # a crashes; on the way up b fails to start: a, started again, goes down once more, then both come up.
    troupe = Troupe()
    async with troupe.performing(one_for_all(troupe.child("a"), troupe.child("b"))):
        troupe.cleared()
        troupe.starts["b"].append(Boom("b cannot"))
        await troupe.crash("a")
        assert troupe.cleared() == ["stop b1", "start a2", "fail b2", "stop a2", "start a3", "start b3"]


async def test_otp_17_rest_for_one_other_child_fails_restart(autojump_clock: MockClock) -> None:
    # The same under rest_for_one: a stays up, only b is tried again.
    troupe = Troupe()
    async with troupe.performing(rest_for_one(troupe.child("a"), troupe.child("b"))):
        troupe.cleared()
        troupe.starts["b"].append(Boom("b cannot"))
        await troupe.crash("a")
        assert troupe.cleared() == ["stop b1", "start a2", "fail b2", "start b3"]


async def test_an_earlier_crash_widens_a_restart_under_way(autojump_clock: MockClock) -> None:
    # rest_for_one, a <- b <- c: b comes back and hangs in its start; then a, on which b waits, crashes.
    troupe = Troupe()
    async with troupe.performing(rest_for_one(*map(troupe.child, "abc"))):
        troupe.cleared()
        troupe.starts["b"].append(HANG)
        await troupe.crash("b")
        assert troupe.cleared() == ["stop c1", "start b2"]
        await troupe.crash("a")
        assert troupe.cleared() == ["stop b2", "start a2", "start b3", "start c2"]


async def test_two_that_crash_together_are_healed_once_under_one_for_all(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_all(*map(troupe.child, "abc"))) as supervisor:
        troupe.cleared()
        troupe.tell("a", Boom("a"))
        troupe.tell("c", Boom("c"))
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["stop b1", "start a2", "start b2", "start c2"]
        assert supervisor.statistics().recent_restarts == 1
        assert supervisor.find("c").last_error == "Boom: c"


async def test_a_stopped_child_comes_back_with_its_group(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_all(troupe.child("a"), troupe.child("b"))) as supervisor:
        await supervisor.stop_child("b")
        troupe.cleared()
        await troupe.crash("a")
        assert troupe.cleared() == ["start a2", "start b2"]


async def test_what_the_operator_stops_while_a_group_heals_stays_stopped(autojump_clock: MockClock) -> None:
    # a crashes; while both wait, a is stopped by hand; b fails to start once more: a stays out of it.
    troupe = Troupe()
    spec = one_for_all(troupe.child("a", backoff=Backoff(4.0, 4.0)), troupe.child("b"))
    async with troupe.performing(spec) as supervisor:
        troupe.starts["b"].append(Boom("no"))
        await troupe.crash("a")
        troupe.cleared()
        await supervisor.stop_child("a")
        await trio.sleep(10.0)
        assert troupe.cleared() == ["fail b2", "start b3"]
        assert supervisor.find("a").state is ActorState.STOPPED


async def test_a_start_ordered_while_an_earlier_child_heals_waits_its_turn(autojump_clock: MockClock) -> None:
    # rest_for_one: a comes back with a slow start; c, stopped meanwhile, is ordered back: a, b, c, once each.
    troupe = Troupe()
    children = (troupe.child("a", backoff=Backoff(4.0, 4.0)), troupe.child("b"), troupe.child("c"))
    async with troupe.performing(rest_for_one(*children)) as supervisor:
        await troupe.crash("a")
        await supervisor.stop_child("c")
        troupe.cleared()
        supervisor.restart("c")
        await trio.sleep(10.0)
        assert troupe.cleared() == ["start a2", "start b2", "start c2"]


async def test_a_child_that_starts_and_crashes_in_one_breath_comes_back(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["a"].append(Start.FLASH)
    async with troupe.performing(one_for_one(troupe.child("a"), troupe.child("b"))):
        await wait_all_tasks_blocked()
        assert sorted(troupe.cleared()) == ["start a1", "start a2", "start b1"]


async def test_a_crash_during_boot_does_not_touch_those_that_have_yet_to_start(
    autojump_clock: MockClock,
) -> None:
    # one_for_all, a is up, b is starting: a crashes and comes back, b goes on with its first start.
    troupe = Troupe()
    troupe.starts["b"].append(HANG)
    spec = one_for_all(troupe.child("a"), troupe.child("b", start_timeout=50.0))
    supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(1), log=QUIET)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await wait_all_tasks_blocked()
        await troupe.crash("a")
        assert troupe.cleared() == ["start a1", "start b1", "start a2"]
        assert [each.state for each in supervisor.children()] == [ActorState.RUNNING, ActorState.STARTING]
        await supervisor.stop()


async def test_restart_by_the_operator_follows_the_strategy_and_is_not_counted(
    autojump_clock: MockClock,
) -> None:
    troupe = Troupe()
    async with troupe.performing(rest_for_one(*map(troupe.child, "abc"))) as supervisor:
        troupe.cleared()
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["stop c1", "stop b1", "start b2", "start c2"]
        assert supervisor.statistics().recent_restarts == 0


async def test_starting_a_stopped_child_touches_no_sibling(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_all(*map(troupe.child, "abc"))) as supervisor:
        await supervisor.stop_child("b")
        await supervisor.stop_child("b")  # terminate twice: fine
        assert supervisor.find("b").state is ActorState.STOPPED
        troupe.cleared()
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["start b2"]


async def test_trio_3_no_task_outlives_its_child(autojump_clock: MockClock) -> None:
    # A child that returns while its own nursery still has a task has not ended: stop ends both.
    from fusion_daemon.runtime import Actor, ActorContext, ChildSpec

    ended = trio.Event()

    async def helper() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    class Owner(Actor):
        name = "owner"

        async def run(self, context: ActorContext) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(helper)
                context.started()
                return

    troupe = Troupe()
    async with troupe.performing(one_for_one(ChildSpec("owner", Owner))) as supervisor:
        await wait_all_tasks_blocked()
        assert supervisor.find("owner").state is ActorState.RUNNING
        assert not ended.is_set()
        await supervisor.stop()
        assert ended.is_set()
