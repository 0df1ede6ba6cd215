"""VaR and ES where the distribution is assumed: normal with sample or weighted moments, and Cornish-Fisher.

With m the mean and s the deviation of the portfolio's return, z the standard normal quantile at the level and phi its
density: VaR = s z - m, ES = s phi(z) / a - m. Over h independent days m grows with h, s with its root.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from fusion_daemon.risk.value_at_risk.volatility import next_covariances

Floats = NDArray[np.float64]
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Form:
    var: float
    es: float
    marginal_var: Floats
    marginal_es: Floats
    domain_ok: bool


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the portfolio, and their derivatives by each asset's weight."""

    mean: float
    means: Floats
    deviation: float
    slopes: Floats
    """d deviation / d weight: an asset's covariance with the portfolio, over the portfolio's deviation."""


def sample_moments(returns: Floats, weights: Floats, *, ddof: int, centred: bool) -> Moments:
    """Of days x assets. Not `centred`: the mean is taken to be 0, and deviations are about 0 too."""
    portfolio = returns @ weights
    means: Floats = returns.mean(axis=0) if centred else np.zeros(returns.shape[1])
    mean = float(means @ weights)
    covariances = (portfolio - mean) @ (returns - means) / (portfolio.size - ddof)
    return _moments(mean, means, covariances, weights)


def weighted_moments(returns: Floats, weights: Floats, *, decay: float) -> Moments:
    """Exponentially weighted, about 0."""
    covariances = next_covariances(returns, returns @ weights, decay)
    return _moments(0.0, np.zeros(returns.shape[1]), covariances, weights)


def _moments(mean: float, means: Floats, covariances: Floats, weights: Floats) -> Moments:
    deviation = sqrt(max(float(covariances @ weights), 0.0))
    slopes = covariances / deviation if deviation else np.zeros_like(covariances)
    return Moments(mean, means, deviation, slopes)


def normal(moments: Moments, level: Fraction, days: int) -> Form:
    z, beyond = _normal_tail(level)
    root = sqrt(days)
    return Form(
        var=root * moments.deviation * z - days * moments.mean,
        es=root * moments.deviation * beyond - days * moments.mean,
        marginal_var=root * moments.slopes * z - days * moments.means,
        marginal_es=root * moments.slopes * beyond - days * moments.means,
        domain_ok=True,
    )


def cornish_fisher(returns: Floats, weights: Floats, moments: Moments, level: Fraction, days: int) -> Form:
    """The normal quantile corrected for skewness S and excess kurtosis K of the *losses* (population moments):

        q = z + (z^2 - 1) S / 6 + (z^3 - 3 z) K / 24 - (2 z^3 - 5 z) S^2 / 36

    and ES the mean of q beyond the level, in closed form. Over h independent days S falls with the root of h, K with
    h. `domain_ok` tells whether q rises with z everywhere: elsewhere it is no quantile function.
    """
    skew, kurtosis, skew_slopes, kurtosis_slopes = _shape(returns, weights)
    root = sqrt(days)
    skew, skew_slopes = skew / root, skew_slopes / root
    kurtosis, kurtosis_slopes = kurtosis / days, kurtosis_slopes / days
    z, beyond = _normal_tail(level)
    # Powers of z, and what the tail's mean of each is: the Hermite polynomials integrate to the next lower one.
    at_level = (z, (z**2 - 1) / 6, (z**3 - 3 * z) / 24, -(2 * z**3 - 5 * z) / 36)
    in_tail = (beyond, beyond * z / 6, beyond * (z**2 - 1) / 24, -beyond * (2 * z**2 - 1) / 36)
    values, marginals = [], []
    for one, by_skew, by_kurtosis, by_square in (at_level, in_tail):
        q = one + by_skew * skew + by_kurtosis * kurtosis + by_square * skew**2
        slope = (by_skew + 2 * by_square * skew) * skew_slopes + by_kurtosis * kurtosis_slopes
        values.append(root * moments.deviation * q - days * moments.mean)
        marginals.append(root * (moments.slopes * q + moments.deviation * slope) - days * moments.means)
    return Form(values[0], values[1], marginals[0], marginals[1], _rises(skew, kurtosis))


def _normal_tail(level: Fraction) -> tuple[float, float]:
    """The quantile z, from the nearer end, where the float of the probability is more exact; and phi(z) / a."""
    tail = float(1 - level)
    z = -_NORMAL.inv_cdf(tail)
    return z, _NORMAL.pdf(z) / tail


def _shape(returns: Floats, weights: Floats) -> tuple[float, float, Floats, Floats]:
    """Skewness and excess kurtosis of the portfolio's losses about their mean, and their derivatives by weight.

    Without deviation all are 0.
    """
    losses = -(returns - returns.mean(axis=0))
    portfolio = losses @ weights
    second = float(np.mean(portfolio**2))
    nothing = np.zeros(weights.size)
    if second == 0.0:
        return 0.0, 0.0, nothing, nothing
    units, each = portfolio / sqrt(second), losses / sqrt(second)
    skew, kurtosis = float(np.mean(units**3)), float(np.mean(units**4))
    with_second, with_third, with_fourth = (units**power @ each / units.size for power in (1, 2, 3))
    return (
        skew,
        kurtosis - 3,
        3 * (with_third - skew * with_second),
        4 * (with_fourth - kurtosis * with_second),
    )


def _rises(skew: float, kurtosis: float) -> bool:
    """dq/dz = 1 + z S / 3 + (z^2 - 1) K / 8 - (6 z^2 - 5) S^2 / 36 > 0 for every z; for S = 0: 0 <= K < 8."""
    square = kurtosis / 8 - skew**2 / 6
    constant = 1 - kurtosis / 8 + 5 * skew**2 / 36
    if square == 0:
        return skew == 0 and constant > 0
    return square > 0 and (skew / 3) ** 2 < 4 * square * constant
