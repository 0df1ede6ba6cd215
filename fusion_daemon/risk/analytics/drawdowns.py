"""The deepest fall of an index from its highest point so far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion_daemon.risk.value_at_risk.figures import Floats


@dataclass(frozen=True, slots=True)
class Drawdown:
    depth: float
    """Fraction of the peak."""
    peak: int
    """The last point at the height from which it fell."""
    trough: int
    """The first point at the depth."""
    recovery: int | None
    """The first point after it that is as high as the peak; None: not yet."""


def deepest(index: Floats) -> Drawdown | None:
    """Of two equally deep ones the first; None for an index that never falls. `index` is above 0."""
    heights = np.maximum.accumulate(index)
    depths = 1 - index / heights
    trough = int(np.argmax(depths))
    if depths[trough] == 0:
        return None
    height = heights[trough]
    peak = int(np.flatnonzero(index[:trough] == height)[-1])
    back = np.flatnonzero(index[trough:] >= height)
    return Drawdown(float(depths[trough]), peak, trough, trough + int(back[0]) if back.size else None)
