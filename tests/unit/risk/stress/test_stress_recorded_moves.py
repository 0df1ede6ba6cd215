"""Rule: what a crash scenario replays is what the closes say of that day, and nothing else."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest

from fusion_daemon.risk.stress.recorded_moves import LIKE, recorded
from tests.closes import closes

DATES = closes()["date"]
ASSETS = [name for name in closes() if name != "date"]
_STEP = Decimal("1e-8")


def move(asset: str, day: int) -> Fraction | None:
    before, now = closes()[asset][day - 1], closes()[asset][day]
    if not before or not now:
        return None
    return Fraction((Decimal(now) / Decimal(before) - 1).quantize(_STEP, ROUND_HALF_EVEN))


def moves(day: int) -> dict[str, Fraction]:
    return {asset: found for asset in ASSETS if (found := move(asset, day)) is not None}


@pytest.mark.parametrize("date", recorded().crash_days)
def test_a_crash_day_is_that_days_closes(date: str) -> None:
    told = {asset: each for asset, each in recorded().crash_days[date].items() if asset not in LIKE}
    assert told == moves(DATES.index(date))


def test_the_extremes_are_those_of_the_whole_history() -> None:
    history = [moves(day) for day in range(1, len(DATES))]
    for asset in ASSETS:
        known = [day[asset] for day in history if asset in day]
        assert recorded().falls[asset] == min(known)
        assert recorded().rises[asset] == max(known)


@pytest.mark.parametrize(
    ("date", "asset", "percent"),
    [
        ("2020-03-12", "BTC", "-39.5"),
        ("2020-03-12", "ETH", "-44.6"),
        ("2021-05-19", "ETH", "-27.7"),
        ("2022-06-13", "BTC", "-15.4"),
        ("2022-11-09", "SOL", "-42.2"),
        ("2025-10-10", "AVAX", "-27.1"),
        ("2026-02-05", "BTC", "-14.0"),
    ],
)
def test_days_that_everyone_remembers(date: str, asset: str, percent: str) -> None:
    assert round(100 * recorded().crash_days[date][asset], 1) == Fraction(percent)


def test_a_claim_moves_like_what_it_claims_and_is_absent_where_that_is() -> None:
    crash = recorded().crash_days["2020-03-12"]
    assert crash["WETH"] == crash["wstETH"] == crash["ETH"]
    assert crash["WBTC"] == crash["BTC"]
    assert "SOL" not in crash  # listed in August
    assert "WSOL" not in crash
