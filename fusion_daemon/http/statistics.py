"""What a server counts about itself."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the duration histogram's buckets, in seconds; a last one is unbounded."""
UNMATCHED = "unmatched"
"""The route label of requests that reached none, so that a scan cannot make labels."""


@dataclass(frozen=True, slots=True)
class RouteStatistics:
    method: str
    route: str
    """The template, never the path."""
    status: int
    requests: int
    seconds: float
    """The sum of the durations."""
    buckets: tuple[int, ...]
    """Requests per bucket (not cumulative), one more than BOUNDS."""


@dataclass(frozen=True, slots=True)
class HttpStatistics:
    routes: tuple[RouteStatistics, ...]
    connections: int
    running: int
    waiting: int
    rejected: int


class _Tally:
    __slots__ = ("buckets", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)


class Tallies:
    """Written by the asyncio side only; `snapshot` may be called from any thread."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, int], _Tally] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        tally = self._tallies.setdefault((method, route, status), _Tally())
        tally.requests += 1
        tally.seconds += seconds
        tally.buckets[bisect_left(BOUNDS, seconds)] += 1

    def snapshot(self) -> tuple[RouteStatistics, ...]:
        # tuple() of a dict's items is one step of the interpreter: no insertion can come in between.
        return tuple(
            RouteStatistics(method, route, status, tally.requests, tally.seconds, tuple(tally.buckets))
            for (method, route, status), tally in tuple(self._tallies.items())
        )
