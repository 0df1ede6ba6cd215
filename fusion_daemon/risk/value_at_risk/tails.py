"""Which scenarios make VaR and ES, and with which weights, counted from the worst.

ES is exact (Acerbi and Tasche 2002): the floor(a n) largest losses and the fraction of a n of the next one, over a n.
It does not depend on the rule by which VaR is chosen.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from fusion_daemon.risk.value_at_risk.levels import tail_parts
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule, position

NEAR = 1e-9
"""Far above the rounding of a cumulated weight: nearer than this to the tail probability, integers decide."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Ranks count from 0, the worst scenario. Both weightings sum to 1."""

    var_ranks: NDArray[np.intp]
    var_weights: NDArray[np.float64]
    es_weights: NDArray[np.float64]
    """Of ranks 0, 1, 2 …"""
    reach: int
    """How many of the worst scenarios are needed."""


def equal_tail(level: Fraction, n: int, rule: QuantileRule) -> Tail:
    """Of n scenarios that are equally likely."""
    place = position(rule, level, n)
    whole, rest = tail_parts(level, n)
    size = whole + rest
    shares = [1 / size] * whole + ([rest / size] if rest else [])
    ranks = [n - 1 - place.index] + ([n - 2 - place.index] if place.share else [])
    return _tail(ranks, [1 - place.share, place.share][: len(ranks)], shares)


def aged_tail(level: Fraction, ages: list[int], decay: Fraction) -> Tail:
    """Of scenarios whose likelihood falls by `decay` with each day of age (Boudoukh, Richardson, Whitelaw 1998).

    `ages` is in the order of the scenarios, worst first, and holds 0 … n-1. VaR is the first scenario at which the
    cumulated likelihood reaches a; ES takes of that one what is still missing to a.
    """
    tail = 1 - level
    last = _first_to_reach(tail, ages, decay)
    before = _likelihoods(ages[:last], decay, len(ages))
    shares = [each / float(tail) for each in before]
    return _tail([last], [1.0], [*shares, 1 - float(np.sum(shares))])


def _first_to_reach(tail: Fraction, ages: list[int], decay: Fraction) -> int:
    sums = list(accumulate(_likelihoods(ages, decay, len(ages))))
    first, beyond = bisect_left(sums, float(tail) - NEAR), bisect_right(sums, float(tail) + NEAR)
    # The last sum is 1 but for its rounding, so some rank always reaches.
    undecided = range(first, min(beyond, len(ages) - 1))
    return first + bisect_left(undecided, True, key=lambda rank: _reaches(tail, ages[: rank + 1], len(ages), decay))


def _reaches(tail: Fraction, ages: list[int], n: int, decay: Fraction) -> bool:
    """Exactly: sum of decay^age >= tail x sum of decay^0 … decay^(n-1). With decay = p / q both are multiplied by
    q^(n-1) and summed by Horner's scheme, from the oldest."""
    p, q = decay.numerator, decay.denominator
    chosen = set(ages)
    some, all_days, power = 0, 0, 1
    for age in range(n - 1, -1, -1):
        some, all_days = some * p, all_days * p + power
        if age in chosen:
            some += power
        power *= q
    return some * tail.denominator >= all_days * tail.numerator


def _likelihoods(ages: list[int], decay: Fraction, n: int) -> list[float]:
    rate = float(decay)
    first = (1 - rate) / (1 - rate**n)
    return [first * rate**age for age in ages]


def _tail(ranks: list[int], var_weights: list[Fraction] | list[float], shares: list[Fraction] | list[float]) -> Tail:
    return Tail(
        np.array(ranks, dtype=np.intp),
        np.array([float(each) for each in var_weights]),
        np.array([float(each) for each in shares]),
        max(len(shares), *(rank + 1 for rank in ranks)),
    )
