"""The events of one actor's life, for an operator who looks.

INVARIANTS
* An event holds types, names and positions, never what a message or an entry holds.
* While nobody looks, a trace costs its actor the look at one attribute, once for many messages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from fusion_daemon.runtime.clock import Clock, SystemClock
from fusion_daemon.runtime.window import Look, Window

Message = TypeVar("Message")
Reply = TypeVar("Reply")

TRACED = 2_000
"""Events that are kept for who looks too seldom."""
BEAT_SECONDS = 1.0
"""A beat within this time of the last one noted is not worth an event."""


class TraceKind(StrEnum):
    STARTED = "started"
    """`started()` was called."""
    ENDED = "ended"
    """It returned, or stopped when it was told to."""
    CRASHED = "crashed"
    HANDLED = "handled"
    """A message of a mailbox."""
    FAILED = "failed"
    """The handler of a message raised, or was cancelled."""
    TAKEN = "taken"
    """Entries of a topic."""
    PUBLISHED = "published"
    """Entries to a topic."""
    BEAT = "beat"
    HEALTH = "health"
    """It says otherwise of itself than before."""


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """What does not apply is empty or None."""

    at: float
    """Unix seconds."""
    kind: TraceKind
    subject: str = ""
    """The mailbox, the stream, or the level of health."""
    text: str = ""
    """The message's type, the reason, the error."""
    first: int | None = None
    """Position of the first entry taken or published."""
    last: int | None = None
    seconds: float | None = None
    """That a handler took."""


class Trace:
    """One child's. It belongs to the child, so it goes on over a restart. Trio side, except `look`: any thread."""

    __slots__ = ("_beaten", "_clock", "_number", "_window", "name")

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._window = Window[TraceEvent](TRACED, clock)
        self._number = 0
        self._beaten = -BEAT_SECONDS

    @property
    def on(self) -> bool:
        return self._window.open

    def note(
        self,
        kind: TraceKind,
        subject: str = "",
        text: str = "",
        *,
        first: int | None = None,
        last: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Nothing, unless it is `on`."""
        if self._window.open:
            event = TraceEvent(self._clock.now(), kind, subject, text, first, last, seconds)
            self._window.put(self._number + 1, (event,))
            self._number += 1

    def beat(self) -> None:
        """Nothing, unless it is `on`."""
        if self._window.open and self._clock.monotonic() - self._beaten >= BEAT_SECONDS:
            self._beaten = self._clock.monotonic()
            self.note(TraceKind.BEAT)

    def timing(
        self, mailbox: str, handler: Callable[[Message], Awaitable[Reply]]
    ) -> Callable[[Message], Awaitable[Reply]]:
        """`handler`, with every message noted."""

        async def handle(message: Message) -> Reply:
            begun, kind = self._clock.monotonic(), TraceKind.FAILED
            try:
                reply = await handler(message)
                kind = TraceKind.HANDLED
                return reply
            finally:
                self.note(kind, mailbox, type(message).__name__, seconds=self._clock.monotonic() - begun)

        return handle

    def look(self, after: int | None, limit: int) -> Look[TraceEvent]:
        """The next events after the one numbered `after`; with None it begins. It ends LEASE seconds after the last
        look."""
        return self._window.look(self._number, after, limit)


_NOBODY = Trace("", SystemClock())
"""Who is no actor: never looked at."""
_PRESENT: ContextVar[Trace] = ContextVar("trace", default=_NOBODY)


def present_trace() -> Trace:
    """The one of the actor in whose life this runs."""
    return _PRESENT.get()


def enter(trace: Trace) -> None:
    """From here on, this context is the life of the actor whose trace it is."""
    _PRESENT.set(trace)
