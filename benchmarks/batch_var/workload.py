"""The same portfolios and scenarios for everybody, drawn from one seed. Needs numpy alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TAIL = Fraction(1, 100)


@dataclass(frozen=True)
class Workload:
    portfolios: int
    assets: int
    scenarios: int
    rounds: int

    def weights(self) -> Floats:
        return np.random.Generator(np.random.PCG64(1)).standard_normal((self.portfolios, self.assets))

    def asset_losses(self) -> Floats:
        """Assets x scenarios."""
        return np.random.Generator(np.random.PCG64(2)).standard_t(4, (self.assets, self.scenarios)) * 0.03


def least(rounds: int, work: Callable[[], object]) -> float:
    """CPU seconds of the quickest round: what other processes take is left out as far as it can be."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)
