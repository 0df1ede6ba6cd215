"""The ladder of an ordered stop: drain, cancel, zombie; and who is given time to drain."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import Actor, ActorContext, ActorState, Backoff, ChildSpec, SupervisorSpec
from tests.unit.runtime.troupe import AT_ONCE, Boom, Troupe, one_for_all, one_for_one, pool, rest_for_one


class Clerk(Actor):
    """Handles one letter a second, and when it drains, what it has accepted before; then it returns."""

    def __init__(self, name: str, letters: int, *, resists: float = 0.0) -> None:
        self.name = name
        self.letters = letters
        self.fails = False
        self._resists = resists

    async def run(self, context: ActorContext) -> None:
        context.started()
        await context.draining.wait()
        try:
            while self.letters:
                await context.gate()
                await trio.sleep(1.0)
                self.letters -= 1
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._resists)
            raise
        if self.fails:
            raise Boom("the last letter")


def clerk(letters: int, drain: float, *, stop: float = 2.0, resists: float = 0.0, name: str = "clerk") -> ChildSpec:
    return ChildSpec(
        name,
        lambda: Clerk(name, letters, resists=resists),
        drain_timeout=drain,
        stop_timeout=stop,
        backoff=AT_ONCE,
    )


@pytest.mark.parametrize(
    ("letters", "resists", "seconds", "drained", "zombie"),
    [
        (3, 0.0, 3.0, True, False),  # finishes what it accepted within its 5 s
        (9, 0.0, 5.0, False, False),  # does not, and is cancelled
        (9, 1.5, 6.5, False, False),  # cleans up within its stop timeout
        (9, 60.0, 7.0, False, True),  # does not stop at all: drain and stop timeout later it is a zombie
    ],
)
async def test_a_stop_drains_then_cancels_then_reports(
    autojump_clock: MockClock, letters: int, resists: float, seconds: float, drained: bool, zombie: bool
) -> None:
    for whole_tree in (True, False):
        spec = one_for_one(clerk(letters, 5.0, resists=resists))
        assert spec.stop_budget() == 7.0
        async with Troupe().performing(spec) as supervisor:
            begun = trio.current_time()
            report = await (supervisor.stop() if whole_tree else supervisor.stop_child("clerk"))
            (departure,) = report.departures
            assert departure.seconds == pytest.approx(seconds)
            assert trio.current_time() - begun == pytest.approx(seconds)
            assert (departure.drained, departure.zombie, departure.error) == (drained, zombie, "")
            assert [each.age for each in report.zombies] == ([pytest.approx(seconds)] if zombie else [])
            await trio.sleep(100.0)


async def test_while_it_drains_it_is_stopping_and_others_go_on(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(clerk(3, 5.0), troupe.child("a"))) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop_child, "clerk")
            await trio.sleep(1.0)
            status = supervisor.find("clerk")
            assert (status.state, status.since) == (ActorState.STOPPING, 1_000_000.0)
            await troupe.crash("a")
            assert supervisor.find("a").state is ActorState.RUNNING
        assert supervisor.find("clerk").state is ActorState.STOPPED


async def test_one_that_drained_is_not_restarted(autojump_clock: MockClock) -> None:
    async with Troupe().performing(one_for_one(clerk(1, 5.0))) as supervisor:
        await supervisor.stop_child("clerk")
        await trio.sleep(100.0)
        status = supervisor.find("clerk")
        assert (status.state, status.restarts) == (ActorState.STOPPED, 0)


async def test_an_error_while_draining_is_in_the_report(autojump_clock: MockClock) -> None:
    actor = Clerk("clerk", 1)
    actor.fails = True
    spec = one_for_one(ChildSpec("clerk", lambda: actor, drain_timeout=5.0))
    async with Troupe().performing(spec) as supervisor:
        report = await supervisor.stop()
        assert [(each.error, each.drained) for each in report.departures] == [("Boom: the last letter", True)]


async def test_whoever_orders_a_restart_or_a_replacement_lets_it_drain(autojump_clock: MockClock) -> None:
    async with Troupe().performing(rest_for_one(clerk(2, 5.0), clerk(1, 5.0, name="next"))) as supervisor:
        supervisor.restart("clerk")
        await trio.sleep(2.9)
        assert supervisor.find("clerk").restarts == 0
        await trio.sleep(0.2)
        assert (supervisor.find("clerk").restarts, supervisor.find("next").restarts) == (1, 1)
        before = trio.current_time()
        await supervisor.replace(clerk(0, 5.0))
        assert trio.current_time() - before == pytest.approx(3.0)


async def test_a_crash_gives_nobody_time_to_drain(autojump_clock: MockClock) -> None:
    # Whether its siblings go down with it, or the supervisor gives up: something is broken, so it goes fast.
    for escalates in (False, True):
        troupe = Troupe()
        spec = one_for_all(troupe.child("a"), clerk(3, 5.0))
        if escalates:
            spec = SupervisorSpec(spec.children, spec.strategy, start_intensity=spec.start_intensity)
        async with troupe.performing(spec):
            before = trio.current_time()
            for _ in range(6 if escalates else 1):
                await troupe.crash("a")
            assert troupe.over.is_set() is escalates
            assert trio.current_time() == before


async def test_a_failure_ends_a_drain_that_is_under_way(autojump_clock: MockClock) -> None:
    # A KeyboardInterrupt in a sibling: the stop that waited for the drain goes on with the cancel.
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"), clerk(50, 100.0))) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop_child, "clerk")
            await trio.sleep(1.5)
            await troupe.crash("a", KeyboardInterrupt())
        assert trio.current_time() == pytest.approx(1.5)
    assert isinstance(troupe.ending, KeyboardInterrupt)


async def test_a_second_stop_keeps_the_deadlines_of_the_first(autojump_clock: MockClock) -> None:
    async with Troupe().performing(one_for_one(clerk(50, 5.0, resists=60.0))) as supervisor:
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop_child, "clerk")
            await trio.sleep(4.0)
            await supervisor.stop()
        assert trio.current_time() - begun == pytest.approx(7.0)
        await trio.sleep(100.0)


async def test_a_branch_passes_the_word_on_and_its_children_drain_in_turn(autojump_clock: MockClock) -> None:
    # consumer <- producer, both below a branch: the producer drains first, 2 s, and then the consumer, 3 s.
    below = one_for_one(clerk(3, 5.0, name="consumer"), clerk(2, 5.0, name="producer"))
    top = ChildSpec("branch", below)
    assert top.stop_budget() == 15.0
    async with Troupe().performing(one_for_one(top)) as supervisor:
        begun = trio.current_time()
        report = await supervisor.stop_child("branch")
        assert trio.current_time() - begun == pytest.approx(5.0)
        assert [(each.name, each.drained) for each in report.departures] == [
            ("producer", True), ("consumer", True), ("branch", False),
        ]  # fmt: skip


async def test_a_pool_drains_all_its_members_at_once(autojump_clock: MockClock) -> None:
    spec = pool(lambda name: clerk(3, 5.0, name=name))
    async with Troupe().performing(spec) as supervisor:
        for number in range(10):
            await supervisor.add_member(f"c{number}")
        begun = trio.current_time()
        report = await supervisor.stop()
        assert trio.current_time() - begun == pytest.approx(3.0)
        assert all(each.drained for each in report.departures)


async def test_a_paused_actor_is_not_asked_to_finish(autojump_clock: MockClock) -> None:
    # Its operator holds it: it is cancelled, and what it accepted stays where it is.
    actor = Clerk("clerk", 3)
    async with Troupe().performing(
        one_for_one(ChildSpec("clerk", lambda: actor, drain_timeout=5.0))
    ) as supervisor:
        supervisor.pause("clerk")
        begun = trio.current_time()
        await supervisor.stop()
        assert trio.current_time() == begun
        assert actor.letters == 3


async def test_a_cancelled_run_gives_nobody_time_to_drain(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(clerk(3, 5.0))) as supervisor:
        before = trio.current_time()
        supervisor._root._scope.cancel("as if from above")
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()
        assert trio.current_time() == before


async def test_a_child_that_has_yet_to_start_is_not_asked_to_finish(autojump_clock: MockClock) -> None:
    class Late(Actor):
        name = "late"

        async def run(self, context: ActorContext) -> None:
            await trio.sleep(1000.0)

    troupe = Troupe()
    late = ChildSpec("late", Late, drain_timeout=50.0, start_timeout=2000.0, backoff=Backoff(0.0, 0.0))
    async with troupe.performing(one_for_one()) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.add, late)
        await wait_all_tasks_blocked()
        before = trio.current_time()
        await supervisor.stop_child("late")
        assert trio.current_time() == before
