"""A live tree in an operator's hands: always an answer at once, in any state; and what an actor tells."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import fusion_daemon.runtime as facade
from fusion_daemon.runtime import (
    Actor,
    ActorBusy,
    ActorContext,
    ActorState,
    Backoff,
    ChildSpec,
    HealthLevel,
    ManualClock,
    SupervisorSpec,
    SystemClock,
    TrioClock,
    UnknownActor,
    stalled,
)
from tests.unit.runtime.troupe import HANG, Boom, Troupe, one_for_one


class Worker(Actor):
    """Works one second at a time, and says so at its gate."""

    def __init__(self, name: str = "worker") -> None:
        self.name = name
        self.done = 0
        self.context: ActorContext | None = None

    async def run(self, context: ActorContext) -> None:
        self.context = context
        context.started()
        while True:
            await context.gate()
            self.done += 1
            await trio.sleep(1.0)


async def test_pause_holds_an_actor_at_its_gate_until_resume(autojump_clock: MockClock) -> None:
    worker = Worker()
    async with Troupe().performing(
        one_for_one(ChildSpec("worker", lambda: worker, beat_limit=5.0))
    ) as supervisor:
        await trio.sleep(2.5)
        supervisor.pause("worker")
        asked = supervisor.find("worker")
        assert (asked.state, asked.pause_requested) == (ActorState.RUNNING, True)  # not at its gate yet
        await trio.sleep(100)
        assert worker.done == 3
        held = supervisor.find("worker")
        assert held.state is ActorState.PAUSED
        assert held.since == 1_000_003.0
        assert stalled(supervisor.tree()) == ()  # it makes no progress because the operator wants it so
        supervisor.resume("worker")
        await trio.sleep(1.5)
        assert worker.done == 5
        assert supervisor.find("worker").state is ActorState.RUNNING


async def test_a_pause_outlives_a_restart(autojump_clock: MockClock) -> None:
    lives: list[Worker] = []

    def build() -> Worker:
        lives.append(Worker())
        return lives[-1]

    async with Troupe().performing(one_for_one(ChildSpec("worker", build))) as supervisor:
        supervisor.pause("worker")
        await trio.sleep(2.0)
        supervisor.restart("worker")
        await trio.sleep(2.0)
        assert len(lives) == 2
        assert lives[1].done == 0
        assert supervisor.find("worker").state is ActorState.PAUSED


async def test_pausing_a_branch_pauses_everything_below_it(autojump_clock: MockClock) -> None:
    workers = [Worker("w0"), Worker("w1")]
    below = SupervisorSpec((ChildSpec("w0", lambda: workers[0]), ChildSpec("w1", lambda: workers[1])))
    async with Troupe().performing(one_for_one(ChildSpec("branch", below))) as supervisor:
        supervisor.pause("branch")
        await trio.sleep(5.0)
        assert [each.state for each in supervisor.tree()] == [
            ActorState.RUNNING, ActorState.PAUSED, ActorState.PAUSED,
        ]  # fmt: skip
        supervisor.resume("w0")
        await trio.sleep(3.0)
        assert workers[0].done > workers[1].done
        supervisor.resume("branch")
        await trio.sleep(3.0)
        assert {each.state for each in supervisor.tree()} == {ActorState.RUNNING}


async def test_a_pause_outlives_the_branches_above_it(autojump_clock: MockClock) -> None:
    """top ─▶ middle ─▶ (held, free): a new life of any of them takes neither more nor less into the operator's hand."""
    low = SupervisorSpec((ChildSpec("held", lambda: Worker("held")), ChildSpec("free", lambda: Worker("free"))))
    top = SupervisorSpec((ChildSpec("middle", low),))
    async with Troupe().performing(one_for_one(ChildSpec("top", top))) as supervisor:
        supervisor.pause("held")
        for name in ("middle", "top", "top"):
            supervisor.restart(name)
            await trio.sleep(2.0)
            assert supervisor.find("held").state is ActorState.PAUSED
            assert supervisor.find("free").state is ActorState.RUNNING
        await supervisor.replace(ChildSpec("top", SupervisorSpec((ChildSpec("middle", low), ChildSpec("new", Worker)))))
        supervisor.resume("held")
        supervisor.restart("top")
        await trio.sleep(2.0)
        assert {each.pause_requested for each in supervisor.tree()} == {False}


async def test_a_paused_branch_that_restarts_comes_back_paused(autojump_clock: MockClock) -> None:
    branch = ChildSpec("branch", SupervisorSpec((ChildSpec("worker", Worker),)))
    async with Troupe().performing(one_for_one(branch)) as supervisor:
        supervisor.pause("branch")
        supervisor.restart("branch")
        await trio.sleep(5.0)
        assert supervisor.find("branch").restarts == 1
        assert supervisor.find("worker").state is ActorState.PAUSED


async def test_every_question_is_answered_at_once_in_every_state(autojump_clock: MockClock) -> None:
    # starting (hangs), restarting (long delay), stopping (resists), stopped, running: no answer takes time.
    troupe = Troupe()
    slow = Backoff(initial=1000.0, maximum=1000.0)
    spec = one_for_one(
        troupe.child("starts", start_timeout=900.0),
        troupe.child("restarts", backoff=slow),
        troupe.child("stops", stop_timeout=800.0),
        troupe.child("stopped"),
        troupe.child("runs"),
    )
    let_go = trio.Event()
    async with troupe.performing(spec) as supervisor, trio.open_nursery() as nursery:
        troupe.starts["starts"].append(HANG)
        await troupe.crash("starts")
        await troupe.crash("restarts")
        troupe.present["stops"].resist = let_go
        nursery.start_soon(supervisor.stop_child, "stops")
        await supervisor.stop_child("stopped")
        await wait_all_tasks_blocked()
        before = trio.current_time()
        expected = {
            "starts": ActorState.STARTING,
            "restarts": ActorState.RESTARTING,
            "stops": ActorState.STOPPING,
            "stopped": ActorState.STOPPED,
            "runs": ActorState.RUNNING,
        }
        assert {each.name: each.state for each in supervisor.children()} == expected
        for name, state in expected.items():
            supervisor.pause(name)
            supervisor.resume(name)
            assert supervisor.find(name).state is state
            if state in (ActorState.STARTING, ActorState.RESTARTING, ActorState.STOPPING):
                with pytest.raises(ActorBusy, match=f"{name} is {state}"):
                    supervisor.restart(name)
        states = dict(supervisor.statistics().states)
        assert states == dict.fromkeys(expected.values(), 1)
        await supervisor.stop_child("starts")
        await supervisor.stop_child("restarts")
        assert trio.current_time() == before
        assert troupe.lives["starts"] == 2
        let_go.set()


async def test_unknown_names_are_said_to_be_unknown(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        for ask in (supervisor.find, supervisor.pause, supervisor.resume, supervisor.restart):
            with pytest.raises(UnknownActor, match="No actor is named 'z'"):
                ask("z")
        with pytest.raises(UnknownActor):
            await supervisor.stop_child("z")


async def test_a_child_below_a_branch_that_is_down_cannot_be_restarted(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    branch = ChildSpec("branch", SupervisorSpec((troupe.child("a"),)))
    async with troupe.performing(one_for_one(branch)) as supervisor:
        await supervisor.stop_child("branch")
        with pytest.raises(ActorBusy):
            supervisor.restart("a")
        supervisor.restart("branch")
        await wait_all_tasks_blocked()
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        assert troupe.lives["a"] == 3


async def test_critical_actors_that_stop_beating_are_found(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = one_for_one(troupe.child("critical", beat_limit=10.0), troupe.child("other"))
    async with troupe.performing(spec) as supervisor:
        await trio.sleep(10.0)
        assert stalled(supervisor.tree()) == ()
        await trio.sleep(2.5)
        (finding,) = stalled(supervisor.tree())
        assert (finding.name, finding.reason) == ("critical", "no beat for 12.5 s, limit 10 s")
        context = troupe.present["critical"].context
        assert context is not None
        context.beat()
        assert stalled(supervisor.tree()) == ()
        assert supervisor.find("critical").last_beat == 1_000_012.5


async def test_health_has_a_level_a_reason_and_a_since(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        context = troupe.present["a"].context
        assert context is not None
        assert supervisor.find("a").health.level is HealthLevel.OK
        await trio.sleep(5.0)
        context.degraded("one of two endpoints answers")
        await trio.sleep(5.0)
        context.degraded("one of three endpoints answers")
        health = supervisor.find("a").health
        assert (health.level, health.since) == (HealthLevel.DEGRADED, 1_000_005.0)
        assert health.reason == "one of three endpoints answers"
        context.unhealthy("no endpoint answers")
        assert supervisor.find("a").health.since == 1_000_010.0
        context.healthy()
        assert supervisor.find("a").health.reason == ""
        await troupe.crash("a", Boom("line one\nline two"))
        status = supervisor.find("a")
        assert (status.last_error, status.last_error_at) == ("Boom: line one line two", 1_000_010.0)


async def test_a_context_can_be_built_for_a_test_of_an_actor(autojump_clock: MockClock) -> None:
    clock = ManualClock(now=50.0)
    context = ActorContext("alone", clock)
    context.started()
    clock.advance(2.0)
    context.started()
    assert (context.started_at, context.last_beat) == (50.0, 52.0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await context.gate()  # a checkpoint
    assert scope.cancelled_caught


async def test_clocks(autojump_clock: MockClock) -> None:
    virtual = TrioClock(origin=1000.0)
    before = virtual.monotonic()
    await trio.sleep(30.0)
    assert virtual.now() == pytest.approx(1030.0)
    assert virtual.monotonic() - before == pytest.approx(30.0)
    manual = ManualClock(5.0)
    manual.advance(1.0)
    manual.set_wall(2.0)
    assert (manual.now(), manual.monotonic()) == (2.0, 1.0)
    with pytest.raises(ValueError, match="does not go back"):
        manual.advance(-1.0)
    system = SystemClock()
    assert system.now() > 1_600_000_000
    assert system.monotonic() <= system.monotonic()


def test_the_facade_exports_what_it_lists() -> None:
    assert facade.__all__ == sorted(facade.__all__)
    assert all(hasattr(facade, name) for name in facade.__all__)
