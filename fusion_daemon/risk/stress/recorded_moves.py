"""What happened: the moves of crash days and each asset's extreme days, which ship with the daemon (two CSV files that
name their source), and which tokens move like which asset."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files

LIKE: Mapping[str, str] = {
    "WETH": "ETH",
    "stETH": "ETH",
    "wstETH": "ETH",
    "rETH": "ETH",
    "cbETH": "ETH",
    "weETH": "ETH",
    "WBTC": "BTC",
    "cbBTC": "BTC",
    "tBTC": "BTC",
    "WBNB": "BNB",
    "WSOL": "SOL",
    "WAVAX": "AVAX",
}
"""Claims on an asset, which move as it does; what they lose of their peg is a scenario of its own."""

STABLE = frozenset(
    ("USDC", "USDT", "DAI", "USDS", "GHO", "PYUSD", "FRAX", "LUSD", "crvUSD", "FDUSD", "TUSD", "USDe", "sUSDe")
)
"""Dollars: they stand still unless a scenario names them."""

DEPEGS: Mapping[str, Mapping[str, Fraction]] = {
    "stETH": {"stETH": Fraction("-0.065"), "wstETH": Fraction("-0.065")},
    "USDe": {"USDe": Fraction("-0.35"), "sUSDe": Fraction("-0.35")},
}
"""To 0.935 of ETH (June 2022) and to 0.65 USD (October 2025, on one venue), with the tokens that wrap them."""

Moves = Mapping[str, Fraction]


@dataclass(frozen=True, slots=True)
class Recorded:
    crash_days: Mapping[str, Moves]
    """By ISO date (UTC), oldest first; an asset that was not listed yet is absent."""
    falls: Moves
    """The deepest of each asset on any day."""
    rises: Moves
    data_hash: str
    """Of both files."""


@cache
def recorded() -> Recorded:
    here = files(__package__)
    crashes, extremes = (here.joinpath(name).read_text() for name in ("crash_days.csv", "extreme_days.csv"))
    by_day: dict[str, dict[str, Fraction]] = {}
    for day, asset, move in _rows(crashes):
        by_day.setdefault(day, {})[asset] = move
    farthest = _rows(extremes)
    return Recorded(
        crash_days={day: _with_claims(moves) for day, moves in by_day.items()},
        falls=_with_claims({asset: move for _, asset, move in farthest if move < 0}),
        rises=_with_claims({asset: move for _, asset, move in farthest if move > 0}),
        data_hash=f"sha256:{hashlib.sha256((crashes + extremes).encode()).hexdigest()}",
    )


def _rows(text: str) -> list[tuple[str, str, Fraction]]:
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [(row["date"], row["asset"], Fraction(row["move"])) for row in csv.DictReader(lines)]


def _with_claims(moves: Moves) -> Moves:
    return {**{token: moves[asset] for token, asset in LIKE.items() if asset in moves}, **moves}
