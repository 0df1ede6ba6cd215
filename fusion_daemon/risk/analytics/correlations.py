"""Correlation matrices of return series, each by a named method.

    pearson    of the deviations from the sample mean
    spearman   pearson of the ranks; equal returns share the mean of their ranks
    ewma       of products of returns with mean 0, weighted as `value_at_risk.volatility` does

Number of degrees of freedom, length of a step and annualisation cancel in all of them.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from fusion_daemon.risk.value_at_risk.figures import Floats
from fusion_daemon.risk.value_at_risk.volatility import next_covariances


class CorrelationMethod(StrEnum):
    PEARSON = "pearson"
    SPEARMAN = "spearman"
    EWMA = "ewma"


def correlations(returns: Floats, method: CorrelationMethod, decay: float) -> Floats:
    """Assets x assets from steps x assets; `decay` is read by EWMA alone.

    INVARIANT: symmetric to the bit, within [-1, 1], 1 on the diagonal; NaN in the row and column of an asset that does
    not move. Units change nothing, and neither does the size of a number: each series is scaled to 1 first.
    """
    if method is CorrelationMethod.EWMA:
        scaled = _scaled(returns)
        covariances = np.stack([next_covariances(scaled, column, decay) for column in scaled.T])
    else:
        series = _ranks(returns) if method is CorrelationMethod.SPEARMAN else _scaled(returns)
        constant = np.ptp(series, axis=0) == 0  # asked of the series: a mean of equal floats may differ from them
        deviations = _scaled(np.where(constant, 0.0, series - series.mean(axis=0)))
        covariances = deviations.T @ deviations
    return _normalised(covariances)


def _normalised(covariances: Floats) -> Floats:
    deviations = np.sqrt(np.diag(covariances))
    deviations = np.where(deviations > 0, deviations, np.nan)
    upper = np.triu(covariances / np.outer(deviations, deviations), k=1)
    found: Floats = np.clip(upper + upper.T, -1.0, 1.0)
    np.fill_diagonal(found, np.where(np.isnan(deviations), np.nan, 1.0))
    return found


def _scaled(series: Floats) -> Floats:
    """Each column by the power of two of its largest entry: exact, and no square overflows or vanishes."""
    largest = np.max(np.abs(series), axis=0)
    _, exponents = np.frexp(largest)
    found: Floats = np.ldexp(series, -exponents)
    return found


def _ranks(series: Floats) -> Floats:
    """Of each column, from 1."""
    found = np.empty_like(series)
    for place, column in enumerate(series.T):
        _, which, counts = np.unique(column, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        found[:, place] = (last - (counts - 1) / 2)[which]
    return found
