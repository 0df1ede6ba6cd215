"""Whatever happens to a tree, in whatever order: it answers, it settles, and it stops within its budget."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    ActorState,
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    StopReport,
    Strategy,
    SupervisionError,
    Supervisor,
    SupervisorSpec,
    TrioClock,
)
from tests.unit.runtime.troupe import HANG, QUIET, Boom, Troupe

NAMES = ("a", "b", "branch", "c", "d", "e")
ENDLESS = Intensity(10_000, 1.0)
BACKOFF = Backoff(initial=0.5, maximum=4.0, stable_after=20.0)
STEPS = st.tuples(
    st.sampled_from(
        [
            "crash",
            "finish",
            "stop",
            "restart",
            "pause",
            "resume",
            "fail next start",
            "hang next start",
            "resist",
            "add",
            "delete",
            "replace",
            "update",
        ]
    ),
    st.sampled_from(NAMES),
    st.sampled_from([0.0, 0.0, 0.5, 3.0]),
)


def tree(troupe: Troupe, top: Strategy, below: Strategy, restarts: list[Restart]) -> SupervisorSpec:
    """a, b, branch <- (c, d); with backoffs of up to 4 s, 5 s to start, and 1 + 2 s to stop."""
    a, b, c, d = (actor(troupe, name, restart) for name, restart in zip("abcd", restarts, strict=True))
    branch = ChildSpec("branch", SupervisorSpec((c, d), below, ENDLESS, ENDLESS), backoff=BACKOFF)
    return SupervisorSpec((a, b, branch), top, ENDLESS, ENDLESS)


def actor(troupe: Troupe, name: str, restart: Restart = Restart.PERMANENT) -> ChildSpec:
    return troupe.child(
        name, restart, backoff=BACKOFF, start_timeout=5.0, stop_timeout=2.0, drain_timeout=1.0
    )


async def order(troupe: Troupe, supervisor: Supervisor, step: str, name: str) -> None:
    """What an operator or a reload may ask; several at a time, and each gets an answer."""
    spec = actor(troupe, name)
    with suppress(SupervisionError):  # a clear answer is what the rule asks for
        match step:
            case "stop":
                await supervisor.stop_child(name)
            case "add":
                await supervisor.add(spec, under="branch" if name in "cd" else None)
            case "replace" if name != "branch":
                await supervisor.replace(spec)
            case "update" if name != "branch":
                supervisor.update(spec)
            case "delete":
                supervisor.delete(name)
            case "restart":
                supervisor.restart(name)
            case "pause":
                supervisor.pause(name)
            case "resume":
                supervisor.resume(name)


def disturb(troupe: Troupe, step: str, name: str, let_go: trio.Event) -> None:
    puppet = troupe.present.get(name)
    if step == "crash" and puppet is not None:
        troupe.tell(name, Boom(name))
    elif step == "finish" and puppet is not None:
        troupe.tell(name, None)
    elif step == "fail next start":
        troupe.starts[name].append(Boom("start"))
    elif step == "hang next start":
        troupe.starts[name].append(HANG)
    elif step == "resist" and puppet is not None:
        puppet.resist = let_go


@settings(max_examples=120)
@given(
    top=st.sampled_from(Strategy),
    below=st.sampled_from(Strategy),
    restarts=st.lists(st.sampled_from(Restart), min_size=4, max_size=4),
    steps=st.lists(STEPS, max_size=25),
)
def test_it_settles_and_stops_within_its_budget(
    top: Strategy, below: Strategy, restarts: list[Restart], steps: list[tuple[str, str, float]]
) -> None:
    async def play() -> None:
        troupe, let_go = Troupe(), trio.Event()
        spec = tree(troupe, top, below, restarts)
        supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(1), log=QUIET)
        ending: list[StopReport] = []

        async def run(task_status: trio.TaskStatus[None]) -> None:
            ending.append(await supervisor.run(task_status=task_status))

        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            for step, name, pause in steps:
                nursery.start_soon(order, troupe, supervisor, step, name)
                await wait_all_tasks_blocked()
                disturb(troupe, step, name, let_go)
                await trio.sleep(pause)
            before = trio.current_time()
            listed = supervisor.tree()
            assert [supervisor.find(each.name) for each in listed] == list(listed), "who is listed is found"
            supervisor.statistics(), supervisor.zombies()
            assert trio.current_time() == before
            # Left alone, what is wanted comes up: no permanent child stays in a restart for ever.
            await trio.sleep(200.0)
            assert {each.state for each in supervisor.tree()} <= {
                ActorState.RUNNING, ActorState.STOPPED, ActorState.ZOMBIE,
            }  # fmt: skip
            before, budget = trio.current_time(), supervisor.statistics().stop_budget
            await supervisor.stop()
            assert trio.current_time() - before <= budget + 0.001
            let_go.set()
            await wait_all_tasks_blocked()
            assert supervisor.zombies() == ()
        assert len(ending) == 1, "nothing that happens to a child is the tree's end"
        assert not any(troupe.living.values())
        started = sum(entry.startswith("start") for entry in troupe.journal)
        assert started >= sum(entry.startswith("stop") for entry in troupe.journal)

    trio.run(play, clock=MockClock(autojump_threshold=0))
