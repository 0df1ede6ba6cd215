"""The real daily closes under tests/data/prices, as returns."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).parent / "data/prices/closes_1d.csv"
DAYS = 2_919


@cache
def closes() -> dict[str, list[str]]:
    """By asset (and `date`), as text; empty where an asset was not listed yet."""
    with FILE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == DAYS
    return {name: [row[name] for row in rows] for name in rows[0]}


def returns(assets: Sequence[str], days: int | None = None) -> NDArray[np.float64]:
    """Simple returns, days x assets: the newest `days`, or all since the youngest of the assets was listed."""
    prices = np.array([[float(text) if text else np.nan for text in closes()[asset]] for asset in assets]).T
    prices = prices[~np.isnan(prices).any(axis=1)]
    found: NDArray[np.float64] = prices[1:] / prices[:-1] - 1
    return found if days is None else found[-days:]
