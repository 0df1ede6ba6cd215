"""An actor and what its supervisor gives it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.health import Health, HealthLevel
from fusion_daemon.runtime.topic import Bell
from fusion_daemon.runtime.trace import Trace, TraceKind


class Pause:
    """The operator's hand on one child. It belongs to the child, so it outlives a restart.

    `moved` is called when the actor comes to stand at its gate, and when it goes on.
    """

    __slots__ = ("_open", "moved")

    def __init__(self, moved: Callable[[], None] = lambda: None) -> None:
        self.moved = moved
        self._open = trio.Event()
        self._open.set()

    @property
    def requested(self) -> bool:
        return not self._open.is_set()

    def close(self) -> None:
        if self._open.is_set():
            self._open = trio.Event()

    def open(self) -> None:
        self._open.set()

    async def passed(self) -> None:
        """Wait until nobody holds it. Trio side, always a checkpoint."""
        await self._open.wait()
        while not self._open.is_set():
            await self._open.wait()


class Ignore(Exception):
    """Raised by an actor, before `started()`: there is nothing for it to do here, and that is no failure.

    It stays stopped until somebody starts it again; a temporary child and a pool's member are forgotten.
    """


class ActorContext:
    """What one life of an actor may use and must tell. Trio side; only `gate` and `rest` wait.

    Built by the supervisor for every start; a test of an actor builds one with a name and a clock.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        log: FilteringBoundLogger | None = None,
        pause: Pause | None = None,
        on_started: Callable[[], None] = lambda: None,
        trace: Trace | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.trace = trace if trace is not None else Trace(name, clock)
        self.log: FilteringBoundLogger = (
            log if log is not None else cast("FilteringBoundLogger", structlog.get_logger(actor=name))
        )
        self.decided = trio.Event()
        """Set by `started`, and by the supervisor when this life ended without it."""
        self.started_at: float | None = None
        """Unix seconds of `started()`."""
        self.started_monotonic: float | None = None
        self.draining = trio.Event()
        """An ordered stop has begun: take nothing new, finish what was accepted, return. The cancel follows
        after the child's `drain_timeout`, which is no time at all unless its spec gives one."""
        self.stop_reason = ""
        """Why it is to stop; empty until it is."""
        self.health = Health(HealthLevel.OK, "", clock.now())
        self.last_beat: float | None = None
        """Unix seconds."""
        self.last_beat_monotonic: float | None = None
        self.data_since: float | None = None
        """As of when what the actor knows is true, by the monotonic clock; see `fresh`."""
        self.gated_since: float | None = None
        """Unix seconds since when the actor stands at a closed gate."""
        self._idle: set[trio.CancelScope] = set()
        """What ends when draining begins."""
        self._on_started = on_started
        self._pause = pause if pause is not None else Pause()

    def started(self) -> None:
        """The actor does its work from here on; its supervisor starts the next child. Idempotent.

        Call it after what makes no sense to retry and before what depends on the outside: an error
        before it is a failed start, which at boot takes the tree down.
        """
        if self.started_at is None:
            self.started_at = self.clock.now()
            self.started_monotonic = self.clock.monotonic()
            self.decided.set()
            self._on_started()
            self.trace.note(TraceKind.STARTED)
        self.beat()

    def beat(self) -> None:
        """Progress was made. A critical actor beats at least once per beat limit, also when idle."""
        self.last_beat = self.clock.now()
        self.last_beat_monotonic = self.clock.monotonic()
        self.trace.beat()

    def fresh(self, as_of: float) -> None:
        """What this actor knows and tells was true at `as_of` (unix seconds). Its age grows by itself until the next
        call, so the data of an actor that hangs grow old; see `ChildSpec.data_limit`. A wall clock that is set
        meanwhile makes them neither older nor younger."""
        self.data_since = self.clock.monotonic() - max(self.clock.now() - as_of, 0.0)

    def healthy(self) -> None:
        self._report(HealthLevel.OK, "")

    def degraded(self, reason: str) -> None:
        """Works, but not as it should; `reason` is for the operator and holds no secret."""
        self._report(HealthLevel.DEGRADED, reason)

    def unhealthy(self, reason: str) -> None:
        """Does not do its work; `reason` is for the operator and holds no secret."""
        self._report(HealthLevel.UNHEALTHY, reason)

    async def gate(self) -> None:
        """A safe point: counts as a beat, and waits here while the operator paused the actor.

        A checkpoint; cancelled while paused, it raises Cancelled like any wait.
        """
        self.beat()
        if self._pause.requested:
            self.gated_since = self.clock.now()
            self._pause.moved()
            try:
                await self._pause.passed()
            finally:
                self.gated_since = None
                self._pause.moved()
            self.beat()
        else:
            await trio.lowlevel.checkpoint()

    @contextmanager
    def until_draining(self) -> Iterator[trio.CancelScope]:
        """A scope that is cancelled when an ordered stop begins, and at once when it has: for waits and questions
        that nobody misses. What has to come to its end stands outside of it."""
        with trio.CancelScope() as scope:
            if self.draining.is_set():
                scope.cancel(self.stop_reason)
            self._idle.add(scope)
            try:
                yield scope
            finally:
                self._idle.remove(scope)

    async def rest(self, seconds: float, bell: Bell | None = None) -> None:
        """Wait until `seconds` have passed, the bell rings, or an ordered stop begins. A checkpoint.

        A ring that comes together with another of these ends is kept for the next wait.
        """
        with self.until_draining() as scope:
            scope.deadline = trio.current_time() + seconds
            await (Bell() if bell is None else bell).wait()

    def drain(self, reason: str) -> None:
        """For the supervisor, and for a test that is one: an ordered stop begins. Idempotent."""
        self.stop_reason = self.stop_reason or reason
        self.draining.set()
        for scope in self._idle:
            scope.cancel(reason)

    def _report(self, level: HealthLevel, reason: str) -> None:
        # `since` is when the level was entered: a new wording of the same trouble is not a new trouble.
        since = self.health.since if level is self.health.level else self.clock.now()
        if (level, reason) != (self.health.level, self.health.reason):
            self.trace.note(TraceKind.HEALTH, level.value, reason)
        self.health = Health(level, reason, since)


class Actor(ABC):
    """Something with a name that lives under a supervisor.

    One object is one life: a restart builds a new one, which rebuilds its state from the store.
    """

    name: str

    @abstractmethod
    async def run(self, context: ActorContext) -> None:
        """Live. Trio side. Calls `context.started()` once; returning is a normal exit, an exception a
        crash, and cancellation the order to stop: clean up within the stop timeout, and leave.
        `Ignore` says that there is nothing to do; `context.draining` announces an ordered stop, and wakes
        who waits by `context.rest`."""
