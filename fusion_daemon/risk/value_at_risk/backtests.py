"""Was a history of VaR right? Kupiec, Christoffersen and Acerbi-Szekely, without a statistics library.

An exception is a loss strictly above its VaR. Likelihood ratios are chi-squared under the null, so their p-values are
erfc(sqrt(LR / 2)) for one degree of freedom and exp(-LR / 2) for two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import erfc, exp, fsum, log, sqrt


@dataclass(frozen=True, slots=True)
class Ratio:
    """A likelihood ratio (>= 0) and the probability of one at least as large if the VaR is right."""

    ratio: float
    p: float


@dataclass(frozen=True, slots=True)
class Coverage:
    unconditional: Ratio
    """Kupiec: as many exceptions as the level says?"""
    independence: Ratio
    """Christoffersen: is an exception as likely after one as after none?"""
    conditional: Ratio
    """Both at once; the sum of the two ratios."""


def coverage(exceptions: Sequence[bool], tail: Fraction) -> Coverage:
    """`exceptions` of consecutive days, oldest first, at least two; `tail` is a = 1 - level."""
    unconditional = kupiec(sum(exceptions), len(exceptions), tail)
    independence = christoffersen(exceptions)
    both = unconditional.ratio + independence.ratio
    return Coverage(unconditional, independence, Ratio(both, exp(-both / 2)))


def kupiec(exceptions: int, n: int, tail: Fraction) -> Ratio:
    """Proportion of failures (Kupiec 1995).

    LR = 2 [x ln((x/n) / a) + (n - x) ln((1 - x/n) / (1 - a))], with 0 ln 0 = 0.
    """
    seen = Fraction(exceptions, n)
    return _one_degree(
        2 * fsum((_weighted_log(exceptions, seen / tail), _weighted_log(n - exceptions, (1 - seen) / (1 - tail))))
    )


def christoffersen(exceptions: Sequence[bool]) -> Ratio:
    """Independence (Christoffersen 1998): the transitions of consecutive days against one common probability."""
    moves = {(before, after): 0 for before in (False, True) for after in (False, True)}
    for before, after in pairwise(exceptions):
        moves[before, after] += 1
    total = sum(moves.values())
    terms = []
    for (before, after), count in moves.items():
        if count:
            given = Fraction(count, moves[before, False] + moves[before, True])
            common = Fraction(moves[False, after] + moves[True, after], total)
            terms.append(_weighted_log(count, given / common))
    return _one_degree(2 * fsum(terms))


def acerbi_szekely(losses: Sequence[float], es: Sequence[float], exceptions: Sequence[bool], tail: Fraction) -> float:
    """Z2 (Acerbi and Szekely 2014) = 1 - sum over the exceptions of loss / ES, over n a.

    0 is expected, negative means that ES was too small; about -0.7 is the 5 % critical value. Needs ES > 0 at
    every exception.
    """
    days = zip(losses, es, exceptions, strict=True)
    return 1 - fsum(loss / expected for loss, expected, exceeded in days if exceeded) / float(len(losses) * tail)


def _one_degree(ratio: float) -> Ratio:
    ratio = max(ratio, 0.0)  # rounding may leave a ratio of 0 a little below
    return Ratio(ratio, erfc(sqrt(ratio / 2)))


def _weighted_log(weight: int, of: Fraction) -> float:
    return weight * log(of) if weight else 0.0
