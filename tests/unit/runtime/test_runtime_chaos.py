"""Whatever happens to a tree, in whatever order: it answers, it settles, and it stops within its budget."""

from __future__ import annotations

from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    ActorBusy,
    ActorState,
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    Strategy,
    Supervisor,
    SupervisorSpec,
    TrioClock,
    UnknownActor,
)
from tests.unit.runtime.troupe import HANG, QUIET, Boom, Troupe

NAMES = ("a", "b", "branch", "c", "d")
ENDLESS = Intensity(10_000, 1.0)
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
        ]
    ),
    st.sampled_from(NAMES),
    st.sampled_from([0.0, 0.0, 0.5, 3.0]),
)


def tree(troupe: Troupe, top: Strategy, below: Strategy, restarts: list[Restart]) -> SupervisorSpec:
    """a, b, branch <- (c, d), with backoffs of up to 4 s, start timeouts of 5 s and stop timeouts of 2 s."""
    backoff = Backoff(initial=0.5, maximum=4.0, stable_after=20.0)
    a, b, c, d = (
        troupe.child(name, restart, backoff=backoff, start_timeout=5.0, stop_timeout=2.0)
        for name, restart in zip("abcd", restarts, strict=True)
    )
    branch = ChildSpec("branch", SupervisorSpec((c, d), below, ENDLESS, ENDLESS), backoff=backoff)
    return SupervisorSpec((a, b, branch), top, ENDLESS, ENDLESS)


async def act(troupe: Troupe, supervisor: Supervisor, step: str, name: str, let_go: trio.Event) -> None:
    puppet = troupe.present.get(name)
    try:
        if step == "stop":
            await supervisor.stop_child(name)
        elif step in ("restart", "pause", "resume"):
            {"restart": supervisor.restart, "pause": supervisor.pause, "resume": supervisor.resume}[step](
                name
            )
    except (ActorBusy, UnknownActor):
        pass  # a clear answer is what the rule asks for
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


@settings(max_examples=100, deadline=None)
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
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            for step, name, pause in steps:
                await act(troupe, supervisor, step, name, let_go)
                await trio.sleep(pause)
            before = trio.current_time()
            supervisor.tree(), supervisor.statistics(), supervisor.zombies()
            assert trio.current_time() == before
            # Left alone, what is wanted comes up: no permanent child stays in a restart for ever.
            await trio.sleep(200.0)
            assert {each.state for each in supervisor.tree()} <= {
                ActorState.RUNNING, ActorState.STOPPED, ActorState.ZOMBIE,
            }  # fmt: skip
            before = trio.current_time()
            await supervisor.stop()
            assert trio.current_time() - before <= spec.stop_budget() + 0.001
            let_go.set()
            await wait_all_tasks_blocked()
            assert supervisor.zombies() == ()
        started = sum(entry.startswith("start") for entry in troupe.journal)
        assert started >= sum(entry.startswith("stop") for entry in troupe.journal)

    trio.run(play, clock=MockClock(autojump_threshold=0))
