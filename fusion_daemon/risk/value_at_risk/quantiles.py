"""Which loss is "the 99 % VaR": fourteen rules by name, their positions computed exactly.

All are about losses in rising order, so that `lower` is the smaller loss. `order_statistic` takes the ceil(a n)-th
largest loss; the other thirteen are numpy's, whose quantile of the *losses* at the level they equal
(`inverted_cdf` of losses takes the (k+1)-th largest where a n is a whole number k, `order_statistic` the k-th).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor


class QuantileRule(StrEnum):
    ORDER_STATISTIC = "order_statistic"
    INVERTED_CDF = "inverted_cdf"
    AVERAGED_INVERTED_CDF = "averaged_inverted_cdf"
    CLOSEST_OBSERVATION = "closest_observation"
    INTERPOLATED_INVERTED_CDF = "interpolated_inverted_cdf"
    HAZEN = "hazen"
    WEIBULL = "weibull"
    LINEAR = "linear"
    MEDIAN_UNBIASED = "median_unbiased"
    NORMAL_UNBIASED = "normal_unbiased"
    LOWER = "lower"
    HIGHER = "higher"
    MIDPOINT = "midpoint"
    NEAREST = "nearest"


@dataclass(frozen=True, slots=True)
class Position:
    """Between the losses at `index` and `index + 1` of n in rising order, counted from 0; at `index` where `share` of
    the way to the next one is 0."""

    index: int
    share: Fraction


def position(rule: QuantileRule, level: Fraction, n: int) -> Position:
    """Where the level lies among n losses, never outside them."""
    found = _RULES[rule](level, n)
    if found.index < 0:
        return Position(0, Fraction(0))
    if found.index >= n - 1:
        return Position(n - 1, Fraction(0))
    return found


_Rule = Callable[[Fraction, int], Position]


def _at(index: int) -> Position:
    return Position(index, Fraction(0))


def _between(virtual: Fraction) -> Position:
    """A position that need not be whole, counted from 0."""
    return Position(floor(virtual), virtual - floor(virtual))


def _plotting(alpha: Fraction, beta: Fraction) -> _Rule:
    """Hyndman and Fan's continuous rules: n p + alpha + p (1 - alpha - beta), counted from 1."""
    return lambda level, n: _between(n * level + alpha + level * (1 - alpha - beta) - 1)


def _averaged(level: Fraction, n: int) -> Position:
    count = n * level
    return Position(int(count) - 1, Fraction(1, 2)) if count.denominator == 1 else _at(ceil(count) - 1)


def _midpoint(level: Fraction, n: int) -> Position:
    place = (n - 1) * level
    return Position(floor(place), Fraction(1, 2)) if place.denominator > 1 else _at(int(place))


_RULES: Mapping[QuantileRule, _Rule] = {
    QuantileRule.ORDER_STATISTIC: lambda level, n: _at(n - ceil((1 - level) * n)),
    QuantileRule.INVERTED_CDF: lambda level, n: _at(ceil(n * level) - 1),
    QuantileRule.AVERAGED_INVERTED_CDF: _averaged,
    # Halves go to the even count, which is the odd index.
    QuantileRule.CLOSEST_OBSERVATION: lambda level, n: _at(round(n * level) - 1),
    QuantileRule.INTERPOLATED_INVERTED_CDF: _plotting(Fraction(0), Fraction(1)),
    QuantileRule.HAZEN: _plotting(Fraction(1, 2), Fraction(1, 2)),
    QuantileRule.WEIBULL: _plotting(Fraction(0), Fraction(0)),
    QuantileRule.LINEAR: _plotting(Fraction(1), Fraction(1)),
    QuantileRule.MEDIAN_UNBIASED: _plotting(Fraction(1, 3), Fraction(1, 3)),
    QuantileRule.NORMAL_UNBIASED: _plotting(Fraction(3, 8), Fraction(3, 8)),
    QuantileRule.LOWER: lambda level, n: _at(floor((n - 1) * level)),
    QuantileRule.HIGHER: lambda level, n: _at(ceil((n - 1) * level)),
    QuantileRule.MIDPOINT: _midpoint,
    QuantileRule.NEAREST: lambda level, n: _at(round((n - 1) * level)),
}
