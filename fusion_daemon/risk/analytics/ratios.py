"""Volatility, Sharpe ratio and beta of returns, per step; whoever shows them annualises."""

from __future__ import annotations

import numpy as np

from fusion_daemon.risk.value_at_risk.figures import Floats


def volatility(returns: Floats, ddof: int) -> float | None:
    """None for fewer than ddof + 1 returns. A constant series has exactly 0, whatever its mean is rounded to."""
    if returns.size <= ddof:
        return None
    return 0.0 if np.ptp(returns) == 0 else float(np.std(returns, ddof=ddof))


def sharpe(returns: Floats, risk_free: float, ddof: int) -> float | None:
    """Mean return above the risk-free one over the volatility; None without volatility."""
    deviation = volatility(returns, ddof)
    return (float(returns.mean()) - risk_free) / deviation if deviation else None


def beta(returns: Floats, benchmark: Floats) -> float | None:
    """Covariance over the benchmark's variance, in which ddof cancels; None if the benchmark does not move."""
    if np.ptp(benchmark) == 0:
        return None
    apart = benchmark - benchmark.mean()
    return float(apart @ (returns - returns.mean()) / (apart @ apart))
