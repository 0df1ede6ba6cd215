"""The supervisors' traffic light: how many exceptions are too many, and what they cost in capital.

A zone is a range of the binomial probability of so many exceptions or fewer, if the VaR is right: yellow begins where
that reaches 95 %, red where it reaches 99.99 % (Basel Committee, MAR32). At 99 % over 250 days that is green to 4,
yellow to 9, red from 10. Decided in integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

YELLOW_FROM = Fraction(95, 100)
RED_FROM = Fraction(9_999, 10_000)
REGULATORY_DAYS = 250
REGULATORY_TAIL = Fraction(1, 100)
MULTIPLIERS = ("1.50", "1.50", "1.50", "1.50", "1.50", "1.70", "1.76", "1.83", "1.88", "1.92", "2.00")
"""By the number of exceptions in 250 days at 99 %, the last for all larger ones."""
_YELLOW, _RED = 5, 10


class Zone(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class TrafficLight:
    zone: Zone
    multiplier: str


def traffic_light(exceptions: int, n: int, tail: Fraction) -> TrafficLight:
    """For other periods and levels the multiplier is that of the largest regulatory count that is no less likely to be
    kept, within the zone."""
    reached = _at_most(exceptions, n, tail)
    if reached >= RED_FROM:
        return TrafficLight(Zone.RED, MULTIPLIERS[_RED])
    if reached < YELLOW_FROM:
        return TrafficLight(Zone.GREEN, MULTIPLIERS[0])
    count = _YELLOW
    while count + 1 < _RED and _at_most(count + 1, REGULATORY_DAYS, REGULATORY_TAIL) <= reached:
        count += 1
    return TrafficLight(Zone.YELLOW, MULTIPLIERS[count])


def _at_most(exceptions: int, n: int, tail: Fraction) -> Fraction:
    """P(X <= exceptions) for n independent days, or a lower bound of it that is red already."""
    hit, scale = tail.numerator, tail.denominator
    miss = scale - hit
    whole = scale**n
    term = total = miss**n
    for count in range(exceptions):
        term = term * (n - count) * hit // ((count + 1) * miss)
        total += term
        if total * RED_FROM.denominator >= whole * RED_FROM.numerator:
            break
    return Fraction(total, whole)
