"""How many calls a second an endpoint is asked: raised steadily, cut down when the provider limits us. Pure: the time
is given.

LAWS
* The rate stays within its bounds; a limit cuts it below what was in fact asked at the busiest of late (not in the
  moment of the refusal, before which we may have waited as we were told), and it climbs back, faster and faster the
  longer nobody limits us: one refusal in an idle moment does not slow a chain down for hours.
* It never freezes: any number of calls is admitted, at the latest when what was admitted before has been paid for.
* What was under way when the rate was cut, or follows in the same second, does not cut it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp

from fusion_daemon.chain.settings import RateBounds

_CUT = 0.7
_CLIMB = 1 / 40
"""Of the rate that was too much, each second …"""
_LEAST_CLIMB = 1.0
"""… but at least so many calls a second, each second …"""
_CALM = 10.0
"""… and twice as much after each so many seconds without a limit."""
_LONGEST_CALM = 300.0
_SETTLE = 1.0
"""Seconds after a cut: providers count by the second, so what is refused until then is the same excess."""
_WINDOW = 2.0
"""Seconds over which is measured what is asked."""
_MEMORY = 30.0
"""Seconds in which the busiest moment is forgotten."""
_BURST = 0.5
"""Seconds of calls that may be sent at once after a rest."""


@dataclass(frozen=True, slots=True)
class RequestRate:
    """Times in seconds of a monotonic clock, rates in calls a second."""

    bounds: RateBounds
    rate: float
    paid: float = 0.0
    """When all calls that were admitted are paid for, at this rate."""
    cut: float | None = None
    """When it was last cut; None: never, nothing holds us back."""
    ceiling: float = 0.0
    """What was too much then."""
    raised: float = 0.0
    """Up to when it has climbed."""
    asked: float = 0.0
    """Of late."""
    peak: float = 0.0
    """Of that."""
    noted: float = 0.0

    def admitted(self, calls: int, now: float) -> tuple[RequestRate, float]:
        """Seconds to wait before these are sent, all at once."""
        start = max(self.paid, now - _BURST)
        wait = max(0.0, start - now)
        sent = max(now + wait, self.noted)
        asked = self._faded(self.asked, _WINDOW, sent) + calls / _WINDOW
        peak = max(asked, self._faded(self.peak, _MEMORY, sent))
        return replace(self, paid=start + calls / self.rate, asked=asked, peak=peak, noted=sent), wait

    def answered(self, now: float) -> RequestRate:
        if self.cut is None or now <= self.raised:
            return self
        calm = min(now - self.cut, _LONGEST_CALM)
        climb = max(_LEAST_CLIMB, _CLIMB * self.ceiling) * 2 ** (calm / _CALM)
        rate = min(self.rate + climb * min(now - self.raised, _CALM), self.bounds.highest)
        return replace(self, rate=rate, raised=now)

    def limited(self, sent: float, now: float) -> RequestRate:
        """`sent`: when that was sent which is refused now."""
        if self.cut is not None and sent < self.cut + _SETTLE:
            return self
        ceiling = min(self.rate, self._faded(self.peak, _MEMORY, now))
        rate = max(_CUT * ceiling, self.bounds.lowest)
        return replace(self, rate=rate, cut=now, ceiling=ceiling, raised=now)

    def headroom(self, seconds: float, now: float) -> int:
        """Calls that are paid for within so many seconds, after those that wait already; at least one."""
        return max(1, int(self.rate * (seconds - max(0.0, self.paid - now))))

    def _faded(self, figure: float, memory: float, now: float) -> float:
        return figure * exp(-max(0.0, now - self.noted) / memory)


def first_rate(bounds: RateBounds) -> RequestRate:
    return RequestRate(bounds, bounds.highest)
