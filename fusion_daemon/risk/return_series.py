"""Return series of several assets, as a request gives them: read at the edge into one matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from fusion_daemon.risk.request_body import finite, invalid

MOST_ASSETS = 256
"""Simulated paths take half a megabyte each."""
LEAST_STEPS = 2
MOST_STEPS = 10_000
"""27 years of days."""


def return_matrix(returns: Mapping[str, Sequence[Decimal]], assets: Sequence[str]) -> NDArray[np.float64]:
    """Steps x `assets`, in their order, each of which is among `returns`. All series are checked, also of assets that
    are not asked for. Raises Invalid."""
    if not 1 <= len(assets) <= MOST_ASSETS:
        raise invalid(f"There are {len(assets)} assets.", f"Name 1 to {MOST_ASSETS}.")
    steps = len(returns[assets[0]])
    for asset, series in returns.items():
        if len(series) != steps:
            raise invalid(
                f"Of {asset[:64]!r} there are {len(series)} returns, of another asset {steps}.",
                "Send returns of the same steps for all.",
            )
        finite(series, f"returns.{asset[:64]}")
    if not LEAST_STEPS <= steps <= MOST_STEPS:
        raise invalid(f"There are {steps} returns of each asset.", f"Send {LEAST_STEPS} to {MOST_STEPS}.")
    found = np.array([[float(each) for each in returns[asset]] for asset in assets]).T
    if not np.isfinite(found).all():
        raise invalid("The numbers are too large to compute with.", "Send returns as fractions.")
    return np.ascontiguousarray(found)
