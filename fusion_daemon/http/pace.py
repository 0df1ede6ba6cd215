"""How long a request must wait so that a flood keeps to a rate: the generic cell rate algorithm, pure."""

from __future__ import annotations


class Pace:
    """At most `rate` a second for long, and `burst` at once after a quiet time.

    INVARIANT: in any t seconds at most burst + rate x t + 1 requests are let through.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._interval = 1.0 / rate
        self._tolerance = burst / rate
        self._due = 0.0
        """When the next request would be due if all came evenly spaced."""

    def wait(self, now: float) -> float:
        """Seconds from `now` until this request's turn; 0: at once. The turn is taken, whether or not it is used:
        a request that gives up leaves a gap, never a crowd."""
        early = self._due - self._tolerance - now
        self._due = max(self._due, now) + self._interval
        return max(0.0, early)
