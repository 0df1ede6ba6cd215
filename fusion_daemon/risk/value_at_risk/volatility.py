"""Exponentially weighted volatility (RiskMetrics): next = decay x last + (1 - decay) x return^2, with mean 0."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEED_DAYS = 30
"""The first variance is the mean square of the first 30 returns, or of all where there are fewer."""


def forecasts(returns: Floats, decay: float) -> Floats:
    """The volatility forecast for each day from the days before it, and one more: for the day after the last.

    `returns` is one series, oldest first.
    """
    squares = (returns * returns).tolist()
    variance = float(np.mean(squares[:SEED_DAYS]))
    found = [sqrt(variance)]
    for square in squares:
        variance = decay * variance + (1 - decay) * square
        found.append(sqrt(variance))
    return np.array(found)


def next_covariances(asset_returns: Floats, portfolio: Floats, decay: float) -> Floats:
    """Of each asset (days x assets) with the portfolio, for the day after the last. The recursion, solved: its sum
    weighted by the portfolio's weights is the square of the last of `forecasts`."""
    products = asset_returns * portfolio[:, None]
    days = portfolio.size
    likelihoods = (1 - decay) * decay ** np.arange(days - 1, -1, -1)
    seed: Floats = products[:SEED_DAYS].mean(axis=0)
    return decay**days * seed + likelihoods @ products
