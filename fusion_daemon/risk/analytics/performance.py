"""What a portfolio earned, and which of its assets earned it.

    return of a step    (value at its end - what was paid in during it) / value at its start - 1
    index               those returns compounded, from 1: payments in and out do not move it (time-weighted)
    contribution        of an asset to a step: (its value at the end - paid in - its value at the start) / the
                        portfolio's value at the start; they sum to the step's return

Contributions of many steps are linked by Carino's logarithmic weights, (ln(1 + R_t) / R_t) / (ln(1 + R) / R), so that
they too sum to the whole return R.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_daemon.risk.value_at_risk.figures import Floats


@dataclass(frozen=True, slots=True)
class Performance:
    growth: Floats
    """1 + the simple return, one a step, above 0. It and not the return is kept: near -1 the return has no digits."""
    index: Floats
    """One more."""
    contributions: Floats
    """Of each asset to the whole return."""

    @property
    def returns(self) -> Floats:
        """Simple."""
        return self.growth - 1

    @property
    def log_returns(self) -> Floats:
        return np.log(self.growth)

    @property
    def whole(self) -> float:
        return float(self.index[-1]) - 1


class WorthNothing(Exception):
    """In this step the value at the start, or what is left at the end, is not above 0: there is no return."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def performance(values: Floats, flows: Floats) -> Performance:
    """`values`: points x assets, a debt negative; `flows`: steps x assets, what was paid in before the step's end.

    Raises WorthNothing.
    """
    totals = values.sum(axis=1)
    left = totals[1:] - flows.sum(axis=1)
    lost = np.flatnonzero(~((totals[:-1] > 0) & (left > 0)))
    if lost.size:
        raise WorthNothing(int(lost[0]))
    by_step = (values[1:] - flows - values[:-1]) / totals[:-1, None]
    growth = left / totals[:-1]
    index = np.concatenate(([1.0], np.cumprod(growth)))
    links = _carino(growth) / _carino(index[-1:])
    return Performance(growth, index, links @ by_step)


def _carino(growth: Floats) -> Floats:
    """ln(1 + R) / R of 1 + R, and its limit at R = 0."""
    returns = growth - 1
    found: Floats = np.divide(np.log(growth), returns, out=np.ones_like(growth), where=returns != 0)
    return found
