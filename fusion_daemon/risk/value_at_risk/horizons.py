"""From daily returns to those of several days. Which way is named in every answer, because they differ."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Horizon(StrEnum):
    SCALED = "scaled"
    """Daily figures are scaled: by the root of the days, or moment by moment as for independent days."""
    OVERLAPPING = "overlapping"
    """Returns are compounded over every window of so many days. Neighbours share days: exceptions will cluster."""
    NON_OVERLAPPING = "non_overlapping"
    """Over windows one after the other, the last one ending with the newest day."""


def last_days(days: int, n: int, horizon: Horizon) -> NDArray[np.intp]:
    """The last day of each window, as a place among the n daily returns; empty where n is less than `days`."""
    if horizon is Horizon.NON_OVERLAPPING:
        return np.arange(n - 1, days - 2, -days, dtype=np.intp)[::-1]
    return np.arange(days - 1, n, dtype=np.intp)


def compounded(returns: Floats, days: int, ends: NDArray[np.intp]) -> Floats:
    """Of days x assets: one row for each window that ends at one of `ends`."""
    grown = np.ones((ends.size, returns.shape[1]))
    for back in range(days - 1, -1, -1):
        grown *= 1 + returns[ends - back]
    return grown - 1
