"""Scripted actors under a real supervisor, on virtual time, with a journal of what happened."""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from random import Random
from typing import TypedDict, Unpack

import structlog
import trio
from structlog.typing import FilteringBoundLogger
from trio.testing import wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Ignore,
    Intensity,
    Restart,
    StopReport,
    Strategy,
    Supervisor,
    SupervisorSpec,
    TrioClock,
)

AT_ONCE = Backoff(initial=0.0, maximum=0.0)
GENEROUS = Intensity(100, 1.0)


class Boom(Exception):
    """The crash of these tests."""


class Start(Enum):
    """How a start goes, where it does not simply succeed or fail with a given error."""

    HANG = auto()
    """It never completes."""
    DONE = auto()
    """It returns without `started()`: the work was done at once."""
    FLASH = auto()
    """It succeeds, and crashes in the same breath."""
    IGNORE = auto()
    """There is nothing to do."""


HANG = Start.HANG
QUIET: FilteringBoundLogger = structlog.wrap_logger(
    None, wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
)
"""Crashes are what these tests are about; their tracebacks would bury the one of a failing test."""


class Puppet(Actor):
    """Starts as its script says, then does what the test tells it."""

    def __init__(self, name: str, troupe: Troupe) -> None:
        self.name = name
        self._troupe = troupe
        troupe.lives[name] += 1
        self.life = troupe.lives[name]
        self.context: ActorContext | None = None
        self.told = trio.Event()
        self.error: BaseException | None = None
        self.resist: trio.Event | None = None
        """Ignores its cancellation until this is set."""
        self.last_words: Exception | None = None
        """Raised instead of obeying a cancellation."""

    async def run(self, context: ActorContext) -> None:
        self.context = context
        script = self._troupe.starts[self.name]
        step = script.popleft() if script else None
        if isinstance(step, Exception):
            self._troupe.journal.append(f"fail {self.name}{self.life}")
            raise step
        if step is Start.IGNORE:
            self._troupe.journal.append(f"ignore {self.name}{self.life}")
            raise Ignore
        self._troupe.journal.append(f"start {self.name}{self.life}")
        self._troupe.enter(self)
        try:
            if step is Start.HANG:
                await trio.sleep_forever()
            if step is Start.DONE:
                return
            context.started()
            if step is Start.FLASH:
                raise Boom("flash")
            await self.told.wait()
            if self.error is not None:
                raise self.error
        except trio.Cancelled:
            if self.resist is not None:
                with trio.CancelScope(shield=True):
                    await self.resist.wait()
            self._troupe.journal.append(f"stop {self.name}{self.life}")
            if self.last_words is not None:
                raise self.last_words from None
            raise
        finally:
            self._troupe.living[self.name].remove(self)


class Troupe:
    """Builds specs, runs a tree, pulls the strings."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.starts: defaultdict[str, deque[Exception | Start | None]] = defaultdict(deque)
        self.lives: defaultdict[str, int] = defaultdict(int)
        self.present: dict[str, Puppet] = {}
        self.living: defaultdict[str, list[Puppet]] = defaultdict(list)
        self.ending: BaseException | None = None
        self.report: StopReport | None = None
        self.over = trio.Event()

    def child(
        self,
        name: str,
        restart: Restart = Restart.PERMANENT,
        *,
        backoff: Backoff = AT_ONCE,
        stop_timeout: float = 5.0,
        start_timeout: float = 30.0,
        beat_limit: float | None = None,
        drain_timeout: float = 0.0,
        significant: bool = False,
    ) -> ChildSpec:
        return ChildSpec(
            name,
            lambda: Puppet(name, self),
            restart=restart,
            backoff=backoff,
            stop_timeout=stop_timeout,
            start_timeout=start_timeout,
            beat_limit=beat_limit,
            drain_timeout=drain_timeout,
            significant=significant,
        )

    def enter(self, puppet: Puppet) -> None:
        """INVARIANT: two lives of one child meet only where the earlier one resists its stop."""
        assert all(each.resist is not None for each in self.living[puppet.name])
        self.living[puppet.name].append(puppet)
        self.present[puppet.name] = puppet

    @asynccontextmanager
    async def performing(self, spec: SupervisorSpec) -> AsyncIterator[Supervisor]:
        """The tree, running; its ending is kept, and it is stopped at the end."""
        supervisor = Supervisor("root", spec, clock=TrioClock(1_000_000.0), random=Random(7), log=QUIET)
        async with trio.open_nursery() as nursery:
            await nursery.start(self._watch, supervisor)
            yield supervisor
            await supervisor.stop()

    async def crash(self, name: str, error: BaseException | None = None) -> None:
        """The present life raises; returns when the tree has dealt with it as far as it can."""
        self.tell(name, error if error is not None else Boom(name))
        await wait_all_tasks_blocked()

    async def finish(self, name: str) -> None:
        """The present life returns normally."""
        self.tell(name, None)
        await wait_all_tasks_blocked()

    def tell(self, name: str, error: BaseException | None) -> None:
        puppet = self.present[name]
        puppet.error = error
        puppet.told.set()

    def cleared(self) -> list[str]:
        """The journal since the last look."""
        entries, self.journal[:] = list(self.journal), []
        return entries

    async def _watch(self, supervisor: Supervisor, task_status: trio.TaskStatus[None]) -> None:
        try:
            self.report = await supervisor.run(task_status=task_status)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - the ending is what the test looks at
            self.ending = error
        self.over.set()


class Flags(TypedDict, total=False):
    """What a test may say of a supervisor besides its intensity."""

    start_intensity: Intensity
    auto_shutdown: AutoShutdown


def one_for_one(*children: ChildSpec, intensity: Intensity = GENEROUS, **more: Unpack[Flags]) -> SupervisorSpec:
    return SupervisorSpec(children, Strategy.ONE_FOR_ONE, intensity, **more)


def one_for_all(*children: ChildSpec, intensity: Intensity = GENEROUS, **more: Unpack[Flags]) -> SupervisorSpec:
    return SupervisorSpec(children, Strategy.ONE_FOR_ALL, intensity, **more)


def rest_for_one(*children: ChildSpec, intensity: Intensity = GENEROUS, **more: Unpack[Flags]) -> SupervisorSpec:
    return SupervisorSpec(children, Strategy.REST_FOR_ONE, intensity, **more)


def pool(
    child: Callable[[str], ChildSpec], *, intensity: Intensity = GENEROUS, **more: Unpack[Flags]
) -> SupervisorSpec:
    return SupervisorSpec((), intensity=intensity, member=child, **more)
