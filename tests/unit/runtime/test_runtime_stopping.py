"""Stopping: bounded, in order, honest about what would not stop; and no error lost on the way."""

from __future__ import annotations

from random import Random

import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ActorState,
    Backoff,
    ChildSpec,
    HealthLevel,
    Intensity,
    RestartLimitExceeded,
    Strategy,
    Supervisor,
    SupervisorSpec,
    TrioClock,
)
from fusion_daemon.runtime.life import Life
from tests.unit.runtime.troupe import QUIET, Boom, Troupe, one_for_all, one_for_one


async def test_otp_06_stop_timeout_one_that_ignores_its_stop_is_a_zombie_and_the_stop_goes_on(
    autojump_clock: MockClock,
) -> None:
    # b shields itself for an hour; its stop timeout is 1 s: a is stopped all the same, after 1 s.
    troupe = Troupe()
    let_go = trio.Event()
    spec = one_for_one(troupe.child("a"), troupe.child("b", stop_timeout=1.0), troupe.child("c"))
    async with troupe.performing(spec) as supervisor:
        troupe.present["b"].resist = let_go
        begun = trio.current_time()
        report = await supervisor.stop()
        assert trio.current_time() - begun == pytest.approx(1.0)
        assert troupe.journal[3:] == ["stop c1", "stop a1"]
        assert [(each.name, each.zombie) for each in report.departures] == [
            ("c", False), ("b", True), ("a", False),
        ]  # fmt: skip
        (zombie,) = report.zombies
        assert (zombie.name, zombie.life) == ("b", 1)
        assert zombie.age == pytest.approx(1.0)
        assert any(where.startswith("troupe.py:") and where.endswith(" run") for where in zombie.whereabouts)
        assert not report.clean
        await trio.sleep(10)
        assert supervisor.zombies()[0].age == pytest.approx(11.0)
        assert supervisor.find("b").state is ActorState.ZOMBIE
        let_go.set()
        await wait_all_tasks_blocked()
        assert supervisor.zombies() == ()


async def test_trio_5_a_thread_that_does_not_return_cannot_hang_the_stop() -> None:
    # Real time, no sleep: the thread waits for the test, the stop timeout is zero.
    import threading

    release = threading.Event()

    class InThread(Actor):
        name = "thread"

        async def run(self, context: ActorContext) -> None:
            context.started()
            await trio.to_thread.run_sync(release.wait)

    troupe = Troupe()
    async with troupe.performing(one_for_one(ChildSpec("thread", InThread, stop_timeout=0.0))) as supervisor:
        report = await supervisor.stop()
        assert [zombie.name for zombie in report.zombies] == ["thread"]
        release.set()


async def test_a_zombie_does_not_hold_up_the_restart_of_its_group(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    let_go = trio.Event()
    spec = one_for_all(troupe.child("a"), troupe.child("b", stop_timeout=1.0))
    async with troupe.performing(spec) as supervisor:
        troupe.present["b"].resist = let_go
        troupe.cleared()
        await troupe.crash("a")
        await trio.sleep(1.5)
        assert troupe.cleared() == ["start a2", "start b2"]
        status = supervisor.find("b")
        assert status.state is ActorState.RUNNING
        assert status.health.level is HealthLevel.DEGRADED
        (zombie,) = supervisor.zombies()
        assert zombie.name == "b"
        assert zombie.age == pytest.approx(1.5)
        let_go.set()
        await wait_all_tasks_blocked()
        assert supervisor.find("b").health.level is HealthLevel.OK


async def test_a_stop_in_the_middle_of_a_slow_stop_keeps_the_first_deadline(
    autojump_clock: MockClock,
) -> None:
    # one_for_all: a crashes, b will not go down; 1 s later the whole tree is stopped. b's 4 s count once.
    troupe = Troupe()
    let_go = trio.Event()
    async with troupe.performing(
        one_for_all(troupe.child("a"), troupe.child("b", stop_timeout=4.0))
    ) as supervisor:
        troupe.present["b"].resist = let_go
        await troupe.crash("a")
        assert supervisor.find("b").state is ActorState.STOPPING
        await trio.sleep(1.0)
        begun = trio.current_time()
        await supervisor.stop()
        assert trio.current_time() - begun == pytest.approx(3.0)
        let_go.set()


def nested_in(depth: int, leaf: ChildSpec) -> ChildSpec:
    for level in range(depth):
        leaf = ChildSpec(f"level{level}", SupervisorSpec((leaf,)))
    return leaf


async def test_a_grandchild_gets_its_whole_budget_however_deep(autojump_clock: MockClock) -> None:
    # A supervisor child's stop budget is derived: the leaf is given its 7 s below three supervisors.
    troupe = Troupe()
    let_go = trio.Event()
    top = nested_in(3, troupe.child("leaf", stop_timeout=7.0))
    assert top.stop_budget() == 10.0
    async with troupe.performing(one_for_one(top)) as supervisor:
        troupe.present["leaf"].resist = let_go
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop)
            await trio.sleep(6.9)
            assert not troupe.over.is_set()
            let_go.set()
    assert troupe.report is not None
    assert troupe.report.clean
    assert [each.name for each in troupe.report.departures] == ["leaf", "level0", "level1", "level2"]


async def test_trio_1_an_exception_group_with_the_cancellation_in_it_counts_as_the_crash(
    autojump_clock: MockClock,
) -> None:
    # While its nursery is being cancelled, one task of the child raises: the error is the child's end.
    class Torn(Actor):
        name = "torn"

        async def run(self, context: ActorContext) -> None:
            async def other() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    raise Boom("while cancelled")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(other)
                nursery.start_soon(trio.sleep_forever)
                context.started()
                await crash.wait()
                raise Boom("first")

    crash = trio.Event()
    troupe = Troupe()
    spec = one_for_one(ChildSpec("torn", Torn, backoff=Backoff(0.0, 0.0)), intensity=Intensity(1, 1000.0))
    async with troupe.performing(spec) as supervisor:
        crash.set()
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()  # it crashes at once again: the second within the window
        assert supervisor.find("torn").last_error.startswith("Boom: ")
    assert isinstance(troupe.ending, RestartLimitExceeded)
    assert isinstance(troupe.ending.__cause__, ExceptionGroup)
    assert {str(each) for each in troupe.ending.__cause__.exceptions} == {"first", "while cancelled"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("grouped", [False, True])
async def test_trio_2_a_child_that_ends_the_program_ends_the_whole_tree(
    autojump_clock: MockClock, error: BaseException, grouped: bool
) -> None:
    # Nothing is restarted; everybody is stopped in order; the root's run raises the child's own error.
    troupe = Troupe()
    raised = BaseExceptionGroup("nursery", [Boom("x"), error]) if grouped else error
    branch = ChildSpec("branch", SupervisorSpec((troupe.child("a"), troupe.child("b"))))
    async with troupe.performing(one_for_one(branch, troupe.child("c"))):
        troupe.cleared()
        await troupe.crash("a", raised)
        assert troupe.over.is_set()
    assert sorted(troupe.cleared()) == ["stop b1", "stop c1"]
    assert troupe.ending is raised


async def test_trio_4_a_crash_in_the_same_tick_as_the_stop_is_in_the_report(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        troupe.tell("a", Boom("just then"))
        report = await supervisor.stop()
    assert [(each.name, each.error) for each in report.departures] == [("a", "Boom: just then")]
    assert supervisor.find("a").last_error == "Boom: just then"
    assert troupe.ending is None


async def test_an_error_on_the_way_out_is_in_the_report(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        troupe.present["a"].last_words = Boom("could not clean up")
        report = await supervisor.stop()
    assert report.departures[0].error == "Boom: could not clean up"
    assert report.clean


async def test_cancelling_run_is_an_ordered_stop(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = one_for_one(*map(troupe.child, "ab"))
    supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(1), log=QUIET)
    with trio.move_on_after(1.0) as scope:
        await supervisor.run()
    assert scope.cancelled_caught
    assert troupe.journal == ["start a1", "start b1", "stop b1", "stop a1"]
    assert [each.name for each in supervisor.report.departures] == ["b", "a"]


async def test_trio_4_an_escalation_outweighs_a_cancellation_that_comes_with_it(autojump_clock: MockClock) -> None:
    # The limit is reached and run is cancelled in one tick: the error is what comes out.
    troupe = Troupe()
    spec = SupervisorSpec((troupe.child("a"),), Strategy.ONE_FOR_ONE, Intensity(0, 1.0))
    supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(1), log=QUIET)
    with pytest.RaisesGroup(RestartLimitExceeded):
        async with trio.open_nursery() as nursery:
            scope = nursery.cancel_scope

            async def play() -> None:
                await trio.sleep(1.0)
                troupe.tell("a", Boom("end"))
                while supervisor._root._failure is None:
                    await trio.lowlevel.checkpoint()
                scope.cancel()

            nursery.start_soon(play)
            await supervisor.run()


async def test_a_stop_before_or_after_run_returns_at_once(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    idle = Supervisor(
        "root", one_for_one(troupe.child("a")), clock=TrioClock(0.0), random=Random(1), log=QUIET
    )
    assert (await idle.stop()).departures == ()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        first = await supervisor.stop()
        assert await supervisor.stop() is first


async def test_a_zombie_says_where_each_of_its_tasks_waits(autojump_clock: MockClock) -> None:
    class Stuck(Actor):
        name = "stuck"

        async def run(self, context: ActorContext) -> None:
            async def below() -> None:
                with trio.CancelScope(shield=True):
                    await trio.sleep(60.0)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(below)
                context.started()

    async with Troupe().performing(one_for_one(ChildSpec("stuck", Stuck, stop_timeout=1.0))) as supervisor:
        (zombie,) = (await supervisor.stop()).zombies
        told = [where.split(" ")[1] for where in zombie.whereabouts]
        assert told.index("run") < told.index("below") < told.index("sleep")
        await trio.sleep(100.0)


def test_a_life_that_outlives_the_whole_run_ends_with_it() -> None:
    # Nobody stopped the tree: trio itself cancels what is left, and that is no error of the child.
    lives: list[Life] = []

    async def idle(context: ActorContext) -> None:
        await trio.sleep_forever()

    async def main() -> None:
        context = ActorContext("left", TrioClock(0.0))
        lives.append(Life(1, context, idle, lambda _: None))
        lives[0].begin()
        await wait_all_tasks_blocked()

    trio.run(main)
    assert lives[0].ended.is_set()
    assert (lives[0].error, lives[0].ended_by_itself) == (None, True)


def test_without_a_log_of_its_own_a_tree_takes_structlogs() -> None:
    async def main() -> None:
        troupe = Troupe()
        supervisor = Supervisor("root", one_for_one(troupe.child("a")), clock=TrioClock(0.0), random=Random(1))
        with structlog.testing.capture_logs() as entries:
            async with trio.open_nursery() as nursery:
                await nursery.start(supervisor.run)
                await supervisor.stop()
        assert {"event": "actor_started", "log_level": "info", "actor": "a", "life": 1} in entries

    trio.run(main, clock=MockClock(autojump_threshold=0))
