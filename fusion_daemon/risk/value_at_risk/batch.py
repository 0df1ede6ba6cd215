"""VaR and ES of very many portfolios over one set of scenarios: one multiplication and one partition a block.

INVARIANT: a portfolio's figures do not depend on which others are computed with it, to the last bit. So work may be cut
anywhere and handed to any worker: every multiplication has the same shape, the last one filled up with empty rows.
(BLAS must use one thread, as workers do: it would cut a block in its own way.)

A block of profits stays in the cache between its multiplication and its partition; rows are portfolios, because a
partition along a strided axis copies it first. VaR is the order statistic: the partition for its rank leaves the
larger losses behind it, which are the rest of ES. A second rank for an interpolation would cost as much again and more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fusion_daemon.risk.value_at_risk.levels import tail_count

Floats = NDArray[np.float64]

BLOCK = 256
"""Portfolios multiplied at once: with 1,000 scenarios 2 MB."""


@dataclass(frozen=True, slots=True)
class BatchFigures:
    """One of each per portfolio, in the order of the weights."""

    var: Floats
    es: Floats


def batch_figures(weights: Floats, asset_losses: Floats, level: Fraction) -> BatchFigures:
    """`weights` is portfolios x assets, `asset_losses` assets x scenarios: what one unit of weight loses."""
    count, scenarios = weights.shape[0], asset_losses.shape[1]
    tail = _Ranks.of(level, scenarios)
    found = BatchFigures(np.empty(count), np.empty(count))
    losses = np.empty((BLOCK, scenarios))
    for first, block in _blocks(weights):
        rows = slice(first, min(first + BLOCK, count))
        np.matmul(block, asset_losses, out=losses)
        losses.partition(tail.var, axis=1)
        used = losses[: rows.stop - first]
        found.var[rows] = used[:, tail.var]
        beyond = used[:, tail.var + 1 :].sum(axis=1)
        found.es[rows] = (beyond + tail.share * found.var[rows]) / tail.size
    return found


@dataclass(frozen=True, slots=True)
class _Ranks:
    var: int
    """Of the VaR among the rising losses, from 0."""
    share: float
    """How much of that loss is in the tail: all of it where a n is whole."""
    size: float
    """a n"""

    @classmethod
    def of(cls, level: Fraction, scenarios: int) -> _Ranks:
        size = (1 - level) * scenarios
        reach = tail_count(level, scenarios)
        return cls(scenarios - reach, float(size - (reach - 1)), float(size))


def _blocks(weights: Floats) -> Iterator[tuple[int, Floats]]:
    """Where each begins, and BLOCK rows; the last is filled up with empty portfolios."""
    whole = weights.shape[0] // BLOCK * BLOCK
    for first in range(0, whole, BLOCK):
        yield first, weights[first : first + BLOCK]
    if whole < weights.shape[0]:
        last = np.zeros((BLOCK, weights.shape[1]))
        last[: weights.shape[0] - whole] = weights[whole:]
        yield whole, last
