"""What crossings and loops count about themselves. Written by one thread each, read by any."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the latency and lag histograms, in seconds; one more bucket takes the rest."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bucket of `BUCKETS` (not cumulative, the last one is open) and the sum in seconds."""

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class CrossingStatistics:
    """One direction through the door, since it opened."""

    in_flight: int
    crossings: int
    failures: int
    """Ended by an error of the callee."""
    timeouts: int
    cancelled: int
    """Ended by the caller's cancellation."""
    latency: Histogram


@dataclass(frozen=True, slots=True)
class LoopStatistics:
    """The pulse of one event loop. Lag is how late it ran what was due, in seconds."""

    beat_age: float
    """Seconds since the last beat."""
    lag: float
    peak_lag: float
    lags: Histogram
    stalls: int
    """Beats so late that the loop's whereabouts were taken."""


@dataclass(frozen=True, slots=True)
class AioStatistics:
    """What the door has seen. `calls` go from trio to asyncio, `portal` the other way."""

    calls: CrossingStatistics
    portal: CrossingStatistics
    swallowed: Mapping[str, int]
    """Callee -> calls that did not end within the grace after a cancel."""
    background_failures: int
    asyncio_loop: LoopStatistics
    trio_loop: LoopStatistics
    dead: bool


class Meter:
    """Counters of one direction; each is written by one thread only and read by any."""

    __slots__ = ("_buckets", "_total", "cancelled", "crossings", "failures", "in_flight", "timeouts")

    def __init__(self) -> None:
        self.in_flight = self.crossings = self.failures = self.timeouts = self.cancelled = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._total = 0.0

    def begin(self) -> float:
        self.crossings += 1
        self.in_flight += 1
        return time.perf_counter()

    def end(self, begun: float) -> None:
        self.in_flight -= 1
        self.observe(time.perf_counter() - begun)

    def observe(self, seconds: float) -> None:
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._total += seconds

    def histogram(self) -> Histogram:
        return Histogram(tuple(self._buckets), self._total)

    def statistics(self) -> CrossingStatistics:
        return CrossingStatistics(
            self.in_flight, self.crossings, self.failures, self.timeouts, self.cancelled, self.histogram()
        )


class Pulse:
    """Beats of one loop; written by that loop's thread, but for `due` and `stalls` as noted."""

    __slots__ = ("_beat", "_lag", "_meter", "_peak", "due", "stalls")

    def __init__(self) -> None:
        self.due: float | None = None
        """When the beat that is owed was due (monotonic seconds), set by whoever asks for it; None: none is."""
        self.stalls = 0
        """Written by the watch."""
        self._beat = time.monotonic()
        self._lag = self._peak = 0.0
        self._meter = Meter()

    def beat(self, lag: float) -> None:
        self._beat = time.monotonic()
        self.due = None
        self._lag = max(lag, 0.0)
        self._peak = max(self._peak, self._lag)
        self._meter.observe(self._lag)

    def statistics(self) -> LoopStatistics:
        age = time.monotonic() - self._beat
        return LoopStatistics(age, self._lag, self._peak, self._meter.histogram(), self.stalls)
