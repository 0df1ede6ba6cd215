"""Time as an argument: actors ask a `Clock`, tests decide what it says."""

from __future__ import annotations

import time
from typing import Protocol

import trio


class Clock(Protocol):
    """Where an actor takes the time from. Both methods may be called from any thread unless an
    implementation says otherwise."""

    def now(self) -> float:
        """Wall time in unix seconds: for what is written down or shown. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin that never go back: for durations."""
        ...


class SystemClock:
    """The clock of the machine."""

    __slots__ = ()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class TrioClock:
    """Follows trio's own clock, so that under `trio.testing.MockClock` both times are virtual.

    `now()` is `origin` (unix seconds) when it is built and moves with `trio.current_time()`. Trio
    side only.
    """

    __slots__ = ("_offset",)

    def __init__(self, origin: float) -> None:
        self._offset = origin - trio.current_time()

    def now(self) -> float:
        return self._offset + trio.current_time()

    def monotonic(self) -> float:
        return trio.current_time()


class ManualClock:
    """Stands still until it is told to move: for pure and synchronous tests."""

    __slots__ = ("_monotonic", "_now")

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both times forward by `seconds` (not negative)."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        self._now += seconds
        self._monotonic += seconds

    def set_wall(self, now: float) -> None:
        """Step the wall time alone, as an NTP correction does."""
        self._now = now
