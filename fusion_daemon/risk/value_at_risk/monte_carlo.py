"""Joint normal paths. Block b of a seed is the same numbers whoever draws it, so the work may be cut anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_PATHS = 1_024
BLOCKS = 64
"""65,536 paths: a 99 % VaR within about 2 %."""


def asset_losses(means: Floats, covariance: Floats, *, seed: int, days: int, blocks: Iterable[int]) -> Floats:
    """Paths x assets: losses of one unit of weight over `days` independent days.

    Every block is multiplied on its own and has the same shape, so its last bit does not depend on the others.
    """
    root = _root(covariance) * sqrt(days)
    drift = means * days
    parts = []
    for block in blocks:
        source = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=(block,))))
        parts.append(-(source.standard_normal((BLOCK_PATHS, means.size)) @ root.T + drift))
    return np.concatenate(parts)


def _root(covariance: Floats) -> Floats:
    """Cholesky's, which also takes assets that others determine: what is left of their variance is nothing."""
    size = covariance.shape[0]
    rest = covariance.copy()
    root = np.zeros_like(rest)
    negligible = size * np.finfo(np.float64).eps * np.diag(covariance)
    for column in range(size):
        pivot = rest[column, column]
        if pivot > negligible[column]:
            root[column:, column] = rest[column:, column] / sqrt(pivot)
            rest -= np.outer(root[:, column], root[:, column])
    return root
