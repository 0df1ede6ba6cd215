"""Rule: `risk margin` answers with the figures of the protocol, and with a problem where there can be none."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from fusion_daemon.cli_risk import answer_lines
from fusion_daemon.risk.stateless import STATELESS

RAY = str(10**27)
ETH = {
    "asset": "ETH",
    "scaled": str(10 * 10**18),
    "index_ray": RAY,
    "decimals": 18,
    "price": "200000000000",
    "price_decimals": 8,
    "liquidation_threshold_bps": 8250,
    "ltv_bps": 8000,
}
USDC = {
    "asset": "USDC",
    "scaled": "8000000000",
    "index_ray": RAY,
    "decimals": 6,
    "price": "100000000",
    "price_decimals": 8,
    "stable": True,
}
ASKED: dict[str, Any] = {"rules": "aave_v3_5", "collateral": [ETH], "debt": [USDC]}


def answered(*requests: object, name: str = "margin") -> list[Any]:
    (call,) = (each for each in STATELESS if each.name == name)
    out = io.BytesIO()
    answer_lines(call.answer, io.BytesIO(b"\n".join(json.dumps(each).encode() for each in requests)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_account_worked_by_hand() -> None:
    (shown,) = answered(ASKED)
    assert (shown["collateral_base"], shown["debt_base"]) == (str(20_000 * 10**8), str(8_000 * 10**8))
    assert shown["health_factor_wad"] == str(20_625 * 10**14)  # 20,000 x 0.825 / 8,000
    assert shown["liquidatable"] is False
    assert shown["available_borrows_base"] == str(8_000 * 10**8)  # 20,000 x 0.8 - 8,000
    # 10 p x 0.825 = 8,000 at 969.6969..; at 969.69696969 it bears less, one unit above it bears enough.
    # 16,500 / 8,000 = 2.0625 is still enough, one unit more is not.
    assert shown["liquidation_prices"] == [
        {"asset": "ETH", "price": "96969696969", "price_decimals": 8, "direction": "below"},
        {"asset": "USDC", "price": "206250001", "price_decimals": 8, "direction": "above"},
    ]
    # It takes a collateral of 9,696.96969697 USD; below 0.4848484848485 of the price it is one unit less.
    assert shown["joint_move"] == {"move_wad": "-515151515151500001", "direction": "below"}
    assert shown["close_factor_bps"] == 5_000
    assert shown["health_factor_interval"] is None


def test_the_default_rules_are_those_of_aave_since_v3_5() -> None:
    bare = {name: value for name, value in ASKED.items() if name != "rules"}
    named, default = answered(ASKED, bare)
    assert named == default


@pytest.mark.parametrize("rules", ["aave_v3_5", "aave_v3_0", "compound_v3", "morpho_blue"])
@pytest.mark.parametrize("price", [None, "0", "-1", "not a price"])
def test_the_price_of_an_empty_leg_is_never_read(rules: str, price: str | None) -> None:
    dead = {**ETH, "scaled": "0", "price": price}
    nothing = {**USDC, "scaled": "0", "price": price}
    (shown,) = answered({"rules": rules, "collateral": [dead], "debt": [nothing]})
    assert shown["health_factor_wad"] == str(2**256 - 1)
    assert shown["liquidation_prices"] == []
    (needed,) = answered({"rules": rules, "collateral": [{**ETH, "price": price}], "debt": [USDC]})
    assert (needed["status"], needed["code"]) == (422, "invalid")
    assert "ETH has no price" in needed["detail"]
    assert needed["remedy"]


def test_stale_collateral_lends_nothing_and_still_bears_its_debt_in_a_wider_interval() -> None:
    """The age is 4 allowed ones, begun: 4 x 50 bps."""
    told = {"price_band_bps": 50, "price_max_age_seconds": 3_600}
    fresh, stale = answered(
        {**ASKED, "collateral": [{**ETH, **told, "price_age_seconds": 3_600}]},
        {**ASKED, "collateral": [{**ETH, **told, "price_age_seconds": 10_801}]},
    )
    assert fresh["available_borrows_base"] == str(8_000 * 10**8)
    assert stale["available_borrows_base"] == "0"
    assert stale["health_factor_wad"] == fresh["health_factor_wad"]
    assert (fresh["stale"], stale["stale"]) == ([], ["ETH"])
    assert fresh["health_factor_interval"] == {"low": str(20_521_875 * 10**11), "high": str(20_728_125 * 10**11)}
    assert stale["health_factor_interval"] == {"low": str(202_125 * 10**13), "high": str(210_375 * 10**13)}


BAD = [
    ({**ASKED, "rules": "aave_v4"}, "rules"),
    ({**ASKED, "surprise": 1}, "surprise"),
    ({**ASKED, "collateral": [{**ETH, "scaled": "-1"}]}, "scaled"),
    ({**ASKED, "collateral": [{**ETH, "scaled": 1}]}, "scaled"),
    ({**ASKED, "collateral": [{**ETH, "scaled": "1e18"}]}, "scaled"),
    ({**ASKED, "collateral": [{**ETH, "scaled": "1\n"}]}, "scaled"),
    ({**ASKED, "collateral": [{**ETH, "scaled": str(2**256)}]}, "uint256"),
    ({**ASKED, "collateral": [{**ETH, "index_ray": "0"}]}, "index_ray"),
    ({**ASKED, "collateral": [{**ETH, "decimals": 37}]}, "decimals"),
    ({**ASKED, "collateral": [{**ETH, "decimals": 18.0}]}, "decimals"),
    ({**ASKED, "collateral": [{**ETH, "liquidation_threshold_bps": 10_001}]}, "liquidation_threshold_bps"),
    ({**ASKED, "collateral": [{**ETH, "price_band_bps": 10_000}]}, "price_band_bps"),
    ({**ASKED, "collateral": [{**ETH, "price_age_seconds": 5}]}, "largest"),
    ({**ASKED, "collateral": [{**ETH, "price_max_age_seconds": 5}]}, "largest"),
    ({**ASKED, "collateral": [ETH] * 33}, "collateral"),
    ({**ASKED, "collateral": [ETH, {**ETH, "price": "1"}]}, "two prices"),
    ({**ASKED, "collateral": [{**ETH, "price": str(10**31)}]}, "1e22"),
    ({**ASKED, "debt": [{**USDC, "total_borrow_assets": "1", "total_borrow_shares": "9000000000"}]}, "totals"),
    ({**ASKED, "target_health_factor_wad": "0"}, "target"),
    ({**ASKED, "rules": "compound_v3", "debt": [USDC, {**USDC, "asset": "DAI"}]}, "base asset"),
    ({**ASKED, "rules": "morpho_blue", "collateral": [ETH, {**ETH, "asset": "wstETH"}]}, "market"),
    ({**ASKED, "rules": "morpho_blue", "debt": [{**USDC, "asset": "ETH", "price": ETH["price"]}]}, "two prices"),
    ({**ASKED, "rules": "morpho_blue", "debt": [{**USDC, "total_borrow_assets": "1"}]}, "totals"),
    (
        {**ASKED, "rules": "morpho_blue", "debt": [{**USDC, "total_borrow_assets": "1", "total_borrow_shares": "1"}]},
        "shares",
    ),
    (
        {**ASKED, "rules": "compound_v3", "debt": [{**USDC, "asset": "ETH", "price": ETH["price"], "stable": False}]},
        "both",
    ),
    ([], "object"),
]


@pytest.mark.parametrize(("asked", "named"), BAD)
def test_what_contradicts_itself_is_refused_by_name(asked: object, named: str) -> None:
    (problem,) = answered(asked)
    assert (problem["status"], problem["code"], problem["line"]) == (422, "invalid", 1)
    assert named in problem["detail"], problem
    assert problem["remedy"]


def test_a_batch_is_answered_in_order_or_not_at_all() -> None:
    old = {**ASKED, "rules": "aave_v3_0"}
    one, two = answered(ASKED, old)
    batch, wrong, long = answered(
        [old, ASKED], [ASKED, {**ASKED, "debt": [{**USDC, "price": "0"}]}], [ASKED] * 101, name="margin-batch"
    )
    assert batch == [two, one]
    assert "request number 1" in wrong["detail"]
    assert "USDC has no price" in wrong["detail"]
    assert "101 requests" in long["detail"]
