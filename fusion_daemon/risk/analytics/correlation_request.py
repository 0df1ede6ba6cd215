"""`correlation`: from a JSON request to its answer."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np

from fusion_daemon.domain.decimals import float_text
from fusion_daemon.risk.analytics.correlations import CorrelationMethod, correlations
from fusion_daemon.risk.request_body import read_body
from fusion_daemon.risk.return_series import return_matrix
from fusion_daemon.risk.value_at_risk.figures import Floats
from fusion_daemon.risk.value_at_risk.levels import exact_text, level_of
from fusion_daemon.risk.value_at_risk.volatility import SEED_DAYS

DEFAULT_DECAY = Fraction(94, 100)
"""RiskMetrics' for days."""


class CorrelationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    returns: dict[str, list[Decimal]]
    """Of each asset over the same consecutive steps, oldest first."""
    method: CorrelationMethod = CorrelationMethod.PEARSON
    decay: Decimal | None = msgspec.field(default=None, name="lambda")
    """Of `ewma`."""


class CorrelationConvention(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is absent has no part in the method."""

    method: str
    n: int
    window: int
    """Steps of every series, which are all used, and so `n`."""
    returns: str
    mean: str
    ddof: str
    annualisation: str
    data_hash: str
    ties: str | None = None
    decay: str | None = msgspec.field(default=None, name="lambda")
    covariance_seed: str | None = None


class CorrelationAnswer(msgspec.Struct, frozen=True):
    assets: list[str]
    """In the order of the matrix: that of their names."""
    matrix: list[list[str | None]]
    """None where an asset does not move."""
    convention: CorrelationConvention


def answer_correlation(body: bytes) -> CorrelationAnswer:
    """Raises NotJson and Invalid."""
    asked = read_body(body, CorrelationRequest)
    decay = DEFAULT_DECAY if asked.decay is None else level_of(asked.decay, "lambda")
    assets = sorted(asked.returns)
    returns = return_matrix(asked.returns, assets)
    matrix = correlations(returns, asked.method, float(decay))
    return CorrelationAnswer(
        assets=assets,
        matrix=[[None if np.isnan(each) else float_text(each) for each in row] for row in matrix],
        convention=_convention(asked.method, decay, assets, returns),
    )


def _convention(
    method: CorrelationMethod, decay: Fraction, assets: list[str], returns: Floats
) -> CorrelationConvention:
    ewma, spearman = method is CorrelationMethod.EWMA, method is CorrelationMethod.SPEARMAN
    digest = hashlib.sha256()
    for place, asset in enumerate(assets):
        digest.update(asset.encode() + b"\0" + np.ascontiguousarray(returns[:, place]).astype("<f8").tobytes())
    return CorrelationConvention(
        method=method,
        n=returns.shape[0],
        window=returns.shape[0],
        returns="as given",
        mean="zero" if ewma else "sample",
        ddof="cancels",
        annualisation="cancels",
        data_hash=f"sha256:{digest.hexdigest()}",
        ties="mean_rank" if spearman else None,
        decay=exact_text(decay) if ewma else None,
        covariance_seed=f"mean product of the first {SEED_DAYS} returns" if ewma else None,
    )
