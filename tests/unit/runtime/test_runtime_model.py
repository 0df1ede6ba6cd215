"""The supervisor beside its reference model: the same script, the same children, the same journal."""

from __future__ import annotations

from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    ActorBusy,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    RestartLimitExceeded,
    StartFailed,
    Strategy,
    Supervisor,
    SupervisorSpec,
    TrioClock,
)
from tests.unit.runtime.supervisor_model import Model, Part
from tests.unit.runtime.troupe import QUIET, Boom, Start, Troupe

BACKOFF = Backoff(initial=1.0, maximum=4.0, factor=2.0, stable_after=10.007)
INTENSITY = Intensity(6, 20.003)
NAMES = "abcd"
SETUP = NAMES[:3]
# Orders that meet a group on its way are what is hard, so most steps are such, and most follow at once.
DEEDS = ("crash",) * 4 + ("stop", "restart") * 3 + ("return", "fail", "ignore", "pause", "resume", "add", "delete")
PAUSES = (0.0,) * 6 + (0.37, 1.73, 6.19, 23.71)
STEP = st.tuples(st.sampled_from(DEEDS), st.sampled_from(NAMES), st.sampled_from(PAUSES))
KIND = st.sampled_from(
    [(Restart.PERMANENT, False)] * 4
    + [(Restart.TRANSIENT, False), (Restart.TEMPORARY, False), (Restart.TRANSIENT, True), (Restart.TEMPORARY, True)]
)
STRATEGY = st.sampled_from([*Strategy, Strategy.REST_FOR_ONE])


class Longest(Random):
    """Draws the ceiling, so that a delay can be foreseen."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Pair:
    """A supervisor and its model, played from one script."""

    def __init__(self, strategy: Strategy, mode: AutoShutdown, kinds: dict[str, tuple[Restart, bool]]) -> None:
        self.troupe = Troupe()
        self.model = Model(strategy, mode, BACKOFF, INTENSITY)
        self.kinds = {
            name: (restart, significant and mode is not AutoShutdown.NEVER)
            for name, (restart, significant) in kinds.items()
        }
        for name in SETUP:
            self.model.add(self.part(name))
        spec = SupervisorSpec(
            tuple(map(self.child, SETUP)), strategy, INTENSITY, INTENSITY, auto_shutdown=mode
        )
        self.real = Supervisor("root", spec, clock=TrioClock(0.0), random=Longest(), log=QUIET)

    def child(self, name: str) -> ChildSpec:
        restart, significant = self.kinds[name]
        return self.troupe.child(name, restart, backoff=BACKOFF, significant=significant)

    def part(self, name: str) -> Part:
        return Part(name, *self.kinds[name])

    async def do(self, deed: str, name: str) -> None:
        part = next((each for each in self.model.parts if each.name == name), None)
        if deed in ("fail", "ignore"):
            self.model.starts[name].append(deed)
            self.troupe.starts[name].append(Start.IGNORE if deed == "ignore" else Boom("start"))
        elif deed == "add":
            if part is None:
                await self.add(name)
        elif part is not None:
            await self.treat(deed, part)
        await wait_all_tasks_blocked()

    async def treat(self, deed: str, part: Part) -> None:
        if deed in ("crash", "return") and part.alive:
            self.troupe.tell(part.name, Boom(part.name) if deed == "crash" else None)
            self.model.leave(part, crash=deed == "crash")
        elif deed == "stop":
            await self.real.stop_child(part.name)
            self.model.stop(part)
        elif deed in ("pause", "resume"):
            (self.real.pause if deed == "pause" else self.real.resume)(part.name)
            part.paused = deed == "pause"
        elif deed in ("restart", "delete"):
            try:
                (self.real.restart if deed == "restart" else self.real.delete)(part.name)
            except ActorBusy:
                done = False
            else:
                done = True
            assert done is (self.model.order(part) if deed == "restart" else self.model.delete(part))

    async def add(self, name: str) -> None:
        try:
            await self.real.add(self.child(name))
        except StartFailed:
            done = False
        else:
            done = True
        assert done is self.model.add(self.part(name))

    def compare(self) -> None:
        assert [
            (each.name, each.state.value, max(each.restarts, 0), each.pause_requested)
            for each in self.real.children()
        ] == [(each.name, each.state, each.lives - 1, each.paused) for each in self.model.parts]
        figures = self.real.statistics()
        assert (figures.recent_restarts, figures.recent_failed_starts) == (
            self.model.recent(self.model.crashes),
            self.model.recent(self.model.failed_starts),
        )
        ours, theirs = self.troupe.cleared(), self.model.journal[:]
        self.model.journal.clear()
        if self.model.strategy is Strategy.ONE_FOR_ONE:  # lanes that wake together have no order
            ours, theirs = sorted(ours), sorted(theirs)
        assert ours == theirs


async def play(pair: Pair, steps: list[tuple[str, str, float]]) -> None:
    ending: list[BaseException] = []

    async def run(task_status: trio.TaskStatus[None]) -> None:
        try:
            await pair.real.run(task_status=task_status)
        except RestartLimitExceeded as error:
            ending.append(error)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        pair.compare()
        for deed, name, pause in steps:
            await pair.do(deed, name)
            await trio.sleep(pause)
            await wait_all_tasks_blocked()
            pair.model.advance(pause)
            pair.compare()
            if pair.model.over:
                break
        await pair.real.stop()
        pair.model.finish("stopped")
        pair.compare()
    assert bool(ending) is (pair.model.over == "gave up")


@settings(max_examples=250)
@given(
    strategy=STRATEGY,
    mode=st.sampled_from(AutoShutdown),
    kinds=st.fixed_dictionaries(dict.fromkeys(NAMES, KIND)),
    steps=st.lists(STEP, min_size=5, max_size=40),
)
def test_the_supervisor_does_what_its_model_does(
    strategy: Strategy,
    mode: AutoShutdown,
    kinds: dict[str, tuple[Restart, bool]],
    steps: list[tuple[str, str, float]],
) -> None:
    async def main() -> None:
        await play(Pair(strategy, mode, kinds), steps)

    trio.run(main, clock=MockClock(autojump_threshold=0))
