"""Fairness between destinations: how many attempts each lane may have in flight.

A lane is one severity of one destination, so a flood of warnings to a receiver cannot hold up a margin call
to the same one. The state lives in memory: it only shapes how fast we try, never whether.

INVARIANTS
* A lane never has more than `per_destination` attempts in flight, so one that hangs leaves the rest to
  others.
* Failure halves a destination's window, down to one attempt at a time; success doubles it again. Receivers
  that hang therefore soon hold one slot each, however much waits for them.
* After a throttling answer nothing is sent to the destination before the time it named. One that named none
  only shrinks the window: when that delivery is tried again says nothing of when another may be.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.alerting.delivery import Attempt, Delivery
from fusion_daemon.alerting.retry import Verdict
from fusion_daemon.domain.alert import Severity

Lane = tuple[str, Severity]


@dataclass(slots=True)
class _Destination:
    window: int
    resumes_at: float = 0.0


@dataclass(frozen=True, slots=True)
class LaneLimit:
    destination: str
    severity: Severity
    free: int


class Lanes:
    def __init__(self, per_destination: int) -> None:
        self._most = per_destination
        self._in_flight: dict[Lane, int] = {}
        self._slowed: dict[str, _Destination] = {}

    @property
    def in_flight(self) -> int:
        return sum(self._in_flight.values())

    def limits(self, now: float) -> list[LaneLimit]:
        """The lanes that may take fewer than `per_destination` at `now` (unix seconds)."""
        lanes = {*self._in_flight, *((each, severity) for each in self._slowed for severity in Severity)}
        return [LaneLimit(each, severity, self._free((each, severity), now)) for each, severity in sorted(lanes)]

    def resumes_at(self, now: float) -> float | None:
        """The next time after `now` at which a throttled destination may be tried again."""
        return min((each.resumes_at for each in self._slowed.values() if each.resumes_at > now), default=None)

    def forget_pauses(self) -> None:
        """The clock by which destinations named their times was set back: try them now."""
        for each in self._slowed.values():
            each.resumes_at = 0.0

    def begin(self, delivery: Delivery) -> None:
        lane = (delivery.destination, delivery.alert.severity)
        self._in_flight[lane] = self._in_flight.get(lane, 0) + 1

    def end(self, attempt: Attempt) -> None:
        lane = (attempt.delivery.destination, attempt.delivery.alert.severity)
        self._in_flight[lane] -= 1
        if not self._in_flight[lane]:
            del self._in_flight[lane]
        self._learn(attempt)

    def _learn(self, attempt: Attempt) -> None:
        name, verdict = attempt.delivery.destination, attempt.outcome.verdict
        slowed = self._slowed.get(name)
        if verdict in (Verdict.DELIVERED, Verdict.ACCEPTED, Verdict.REJECTED):  # it answers
            if slowed is not None:
                slowed.window *= 2
                if slowed.window >= self._most:
                    del self._slowed[name]
            return
        slowed = self._slowed.setdefault(name, _Destination(self._most))
        slowed.window = max(1, slowed.window // 2)
        if verdict is Verdict.THROTTLED and attempt.outcome.retry_after is not None:
            slowed.resumes_at = max(slowed.resumes_at, attempt.finished_at + attempt.outcome.retry_after)

    def _free(self, lane: Lane, now: float) -> int:
        slowed = self._slowed.get(lane[0])
        if slowed is not None and slowed.resumes_at > now:
            return 0
        window = self._most if slowed is None else slowed.window
        return max(0, window - self._in_flight.get(lane, 0))
