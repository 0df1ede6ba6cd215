"""Whether, and when, a child starts again: pure decisions, no clock and no task.

Two levels, kept apart because they answer different questions:

* `Backoff` spaces the attempts of one child, so that a failing start does not spin. Full jitter
  (delay drawn evenly from [0, ceiling]) keeps children that failed together from returning together;
  see "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
* `Intensity` bounds how often a supervisor heals before it says that it cannot, over a sliding
  window as in Erlang/OTP. Crashes of started children and failed starts have a budget each.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from random import Random


class Restart(StrEnum):
    """When a child that ended by itself comes back."""

    PERMANENT = "permanent"
    """Always."""
    TRANSIENT = "transient"
    """After a crash; a normal return is the end of its work, and its spec stays."""
    TEMPORARY = "temporary"
    """Never; its spec goes with it."""


class Strategy(StrEnum):
    """Which siblings go down and up with a child that comes back."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    """Those started after it."""


class AutoShutdown(StrEnum):
    """Whether a supervisor ends, normally, after a significant child: one that ended by itself and does not
    come back. A stop by the supervisor or the operator is never that."""

    NEVER = "never"
    ANY = "any_significant"
    """After the first."""
    ALL = "all_significant"
    """After the last that was running or wanted."""


class Aftermath(StrEnum):
    """What follows when a child ended by itself."""

    RESTART = "restart"
    KEEP_STOPPED = "keep_stopped"
    FORGET = "forget"


def aftermath(restart: Restart, *, crashed: bool) -> Aftermath:
    """The restart type's verdict on an exit."""
    if restart is Restart.TEMPORARY:
        return Aftermath.FORGET
    if restart is Restart.TRANSIENT and not crashed:
        return Aftermath.KEEP_STOPPED
    return Aftermath.RESTART


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `limit` restarts within any `period` seconds; one more is too many."""

    limit: int
    period: float

    def __post_init__(self) -> None:
        if self.limit < 0 or not 0 < self.period < inf:
            raise ValueError(f"intensity needs limit >= 0 and a finite period > 0, not {self.limit} in {self.period} s")


class RestartWindow:
    """The restarts of the last `period` seconds.

    INVARIANT: holds at most `limit` + 1 moments, whatever happens.
    """

    __slots__ = ("_intensity", "_moments")

    def __init__(self, intensity: Intensity) -> None:
        self._intensity = intensity
        self._moments: deque[float] = deque(maxlen=intensity.limit + 1)

    def change(self, intensity: Intensity) -> None:
        """Judge by `intensity` from now on; what happened is not forgotten."""
        self._intensity = intensity
        self._moments = deque(self._moments, maxlen=intensity.limit + 1)

    def exceeded_by_one_at(self, now: float) -> bool:
        """Count a restart at `now` (seconds, never going back); True when it is one too many."""
        self._moments.append(now)
        return self.count(now) > self._intensity.limit

    def count(self, now: float) -> int:
        """Restarts not older than the period. Like OTP, one exactly a period ago still counts. Any thread."""
        return sum(1 for moment in tuple(self._moments) if now - moment <= self._intensity.period)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before the restarts of one child, in seconds."""

    initial: float = 0.2
    maximum: float = 30.0
    factor: float = 2.0
    stable_after: float = 60.0
    """A life at least this long after `started()` wipes the slate clean."""

    def __post_init__(self) -> None:
        if not 0 <= self.initial <= self.maximum or self.factor < 1 or self.stable_after < 0:
            raise ValueError(f"a backoff needs 0 <= initial <= maximum, factor >= 1 and stable_after >= 0: {self}")

    def ceiling(self, failures: int) -> float:
        """The longest delay after `failures` consecutive failures (1 or more)."""
        # The exponent is bounded first: a float overflows after some 1,000 doublings.
        grown = self.initial
        for _ in range(failures - 1):
            grown *= self.factor
            if grown >= self.maximum or grown == self.initial:
                break
        return min(grown, self.maximum)

    def delay(self, failures: int, random: Random) -> float:
        """Full jitter: evenly from 0 to the ceiling."""
        return random.uniform(0.0, self.ceiling(failures))


def failures_after(backoff: Backoff, failures: int, lived: float | None) -> int:
    """Consecutive failures, this one included. `lived`: seconds since `started()`, None if it never was."""
    return 1 if lived is not None and lived >= backoff.stable_after else failures + 1
