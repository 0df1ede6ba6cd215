"""Rule: `risk stress` answers where each scenario leaves the account and names the worst; a scenario that cannot be is
a problem that says which there are."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import pytest

from fusion_daemon.cli_risk import answer_lines
from fusion_daemon.risk.stateless import STATELESS

ETH = {
    "asset": "ETH",
    "scaled": str(10 * 10**18),
    "decimals": 18,
    "price": "200000000000",
    "liquidation_threshold_bps": 8250,
    "ltv_bps": 8000,
}
USDC = {"asset": "USDC", "scaled": "8000000000", "decimals": 6, "price": "100000000"}
ASKED: dict[str, Any] = {"collateral": [ETH], "debt": [USDC], "scenarios": ["grid"]}
USD = 10**8


def answered(*requests: object) -> list[dict[str, Any]]:
    (call,) = (each for each in STATELESS if each.name == "stress")
    out = io.BytesIO()
    answer_lines(call.answer, io.BytesIO(b"\n".join(json.dumps(each).encode() for each in requests)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def stressed(**changes: object) -> dict[str, Any]:
    (shown,) = answered(ASKED | changes)
    assert "scenarios" in shown, shown
    return shown


def one(shown: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (each for each in shown["scenarios"] if each["name"] == name)
    return dict(found)


def test_the_day_of_march_2020_worked_by_hand() -> None:
    """2,000 x (1 - 0.44596886) = 1,108.06228 USD; x 10 = 11,080.6228; x 0.825 / 8,000 = 1.14268922625."""
    shown = stressed(scenarios=["crash:2020-03-12"])
    assert shown["before"]["health_factor_wad"] == str(20_625 * 10**14)
    assert shown["worst"] == "crash:2020-03-12"
    (found,) = shown["scenarios"]
    assert found["prices"] == [
        {"asset": "ETH", "side": "collateral", "price": "110806228000", "price_decimals": 8, "move": "-0.44596886"}
    ]
    assert found["after"] == {
        "state": "healthy",
        "health_factor_wad": "1142689226250000000",
        "collateral_base": "1108062280000",
        "debt_base": str(8_000 * USD),
        "equity_base": "308062280000",
        "margin_shortfall_base": "0",
        "bad_debt_base": "0",
    }
    assert found["equity_change_base"] == "-891937720000"
    assert (found["assumed"], found["halt"]) == ([], None)


def test_the_grid_has_nine_points_from_16_percent_below_to_16_above() -> None:
    shown = stressed()
    assert [each["name"] for each in shown["scenarios"]] == [
        *("grid:-0.16", "grid:-0.12", "grid:-0.08", "grid:-0.04", "grid:+0.00"),
        *("grid:+0.04", "grid:+0.08", "grid:+0.12", "grid:+0.16"),
    ]
    assert shown["worst"] == "grid:-0.16"
    assert one(shown, "grid:+0.00")["after"] == shown["before"]
    assert one(shown, "grid:-0.16")["after"]["collateral_base"] == str(16_800 * USD)
    assert one(shown, "grid:+0.16")["after"]["debt_base"] == str(8_000 * USD)  # a dollar stands still


def test_a_depeg_takes_what_wraps_the_token_with_it_and_nothing_else() -> None:
    collateral = [ETH, {**ETH, "asset": "stETH"}, {**ETH, "asset": "wstETH"}, {**USDC, **_lent("USDe")}]
    shown = stressed(collateral=collateral, scenarios=["depeg:stETH", "depeg:USDe"])
    assert _prices(one(shown, "depeg:stETH")) == {"stETH": "187000000000", "wstETH": "187000000000"}
    assert _prices(one(shown, "depeg:USDe")) == {"USDe": "65000000"}


def test_correlation_one_is_every_assets_own_worst_day_at_once() -> None:
    shown = stressed(
        collateral=[{**ETH, "asset": "SOL"}], debt=[{**USDC, "asset": "DOGE"}], scenarios=["correlation:one"]
    )
    fall, rise = one(shown, "correlation:one:fall"), one(shown, "correlation:one:rise")
    assert [each["move"] for each in fall["prices"]] == ["-0.42247744", "-0.38439286"]
    assert [each["move"] for each in rise["prices"]] == ["0.45871151", "3.92411365"]
    assert shown["worst"] == "correlation:one:rise"


def test_who_was_not_listed_yet_falls_like_the_worst_of_the_day_and_is_named() -> None:
    shown = stressed(collateral=[{**ETH, "asset": "SOL"}], scenarios=["crash:2020-03-12"])
    (found,) = shown["scenarios"]
    assert found["assumed"] == ["SOL"]
    assert found["prices"][0]["move"] == "-0.47782232"  # LINK


def test_a_halted_chain_shows_what_it_holds_back() -> None:
    request = {
        "collateral": [ETH, {**ETH, "asset": "WETH", "scaled": str(10**18)}],
        "debt": [USDC, {**USDC, "asset": "DAI", "scaled": "1000000000"}],
        "chains": {"8453": {"collateral": [0], "debt": [1]}},
    }
    (found,) = stressed(**request, scenarios=["halt:8453"])["scenarios"]
    assert found["halt"] == {
        "unusable_collateral_base": str(20_000 * USD),
        "unrepayable_debt_base": str(1_000 * USD),
    }
    assert (found["after"]["collateral_base"], found["after"]["debt_base"]) == (str(2_000 * USD), str(9_000 * USD))
    assert (found["after"]["state"], found["after"]["bad_debt_base"]) == ("insolvent", str(7_000 * USD))
    assert found["after"]["margin_shortfall_base"] == str(7_350 * USD)  # 9,000 - 0.825 x 2,000
    assert found["prices"] == []


def test_an_oracle_that_lags_prices_one_side_by_what_was() -> None:
    history = {"ETH": ["90000000000", "96000000000", "150000000000"]}
    shown = stressed(price_history=history, scenarios=["lag:collateral:1", "lag:collateral:2", "lag:debt:2"])
    assert _prices(one(shown, "lag:collateral:1")) == {"ETH": "150000000000"}
    assert _prices(one(shown, "lag:collateral:2")) == {"ETH": "96000000000"}
    assert one(shown, "lag:collateral:2")["after"]["state"] == "liquidatable"
    assert one(shown, "lag:debt:2")["after"] == shown["before"]
    assert shown["worst"] == "lag:collateral:2"


def test_a_custom_scenario_moves_what_it_names() -> None:
    shown = stressed(scenarios=[{"name": "mine", "shocks": {"ETH": "-0.35", "USDC": "0.02", "BTC": "-1e-3"}}, "grid"])
    assert _prices(one(shown, "mine")) == {"ETH": "130000000000", "USDC": "102000000"}
    assert shown["worst"] == "mine"


def test_an_answer_names_its_convention_and_hashes_the_request() -> None:
    first, again, other = stressed(), stressed(), stressed(scenarios=["crash"])
    assert first == again
    assert first["convention"]["rounding"] == "against the account, leg by leg"
    assert first["convention"]["data_hash"] != other["convention"]["data_hash"]
    assert first["convention"]["recorded_moves"] == other["convention"]["recorded_moves"]
    assert len(other["scenarios"]) == 10


def _lent(asset: str) -> dict[str, object]:
    return {"asset": asset, "liquidation_threshold_bps": 7000, "ltv_bps": 6500}


def _prices(scenario: dict[str, Any]) -> dict[str, str]:
    return {each["asset"]: each["price"] for each in scenario["prices"]}


def shock(value: str) -> list[object]:
    return [{"name": "mine", "shocks": {"ETH": value}}]


BAD: list[tuple[dict[str, object], str]] = [
    ({"scenarios": []}, "scenarios"),
    ({"scenarios": ["grid"] * 65}, "scenarios"),
    ({"scenarios": ["flood"]}, "flood"),
    ({"scenarios": ["grid:5"]}, "grid:5"),
    ({"scenarios": ["crash:2020-03-14"]}, "2020-03-14"),
    ({"scenarios": ["depeg:ETH"]}, "depeg of 'ETH'"),
    ({"scenarios": ["correlation:zero"]}, "zero"),
    ({"scenarios": ["halt:1"]}, "'1'"),
    ({"scenarios": ["halt:1"], "chains": {"1": {"collateral": [1]}}}, "collateral of '1'"),
    ({"scenarios": ["halt:1"], "chains": {"1": {"debt": [-1]}}}, "chains"),
    ({"scenarios": ["lag:both:1"]}, "both:1"),
    ({"scenarios": ["lag:collateral:0"]}, "collateral:0"),
    ({"scenarios": ["lag:collateral:2"], "price_history": {"ETH": ["1"]}}, "ETH 2 steps ago"),
    ({"scenarios": ["lag:collateral:1"], "price_history": {"ETH": ["0"]}}, "ETH 1 steps ago"),
    ({"scenarios": ["lag:collateral:1"], "price_history": {"ETH": ["x"]}}, "price_history"),
    ({"scenarios": ["crash:2020-03-12", "crash"]}, "two scenarios"),
    ({"scenarios": shock("-1")}, "shock of 'ETH'"),
    ({"scenarios": shock("1001")}, "shock of 'ETH'"),
    ({"scenarios": shock("NaN")}, "shock of 'ETH'"),
    ({"scenarios": shock("Infinity")}, "shock of 'ETH'"),
    ({"scenarios": shock("1e-19")}, "shock of 'ETH'"),
    ({"scenarios": [{"name": "mine", "shocks": {}}]}, "shocks"),
    ({"scenarios": [{"name": "mine", "shocks": {"ETH": "0"}, "x": 1}]}, "x"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("changes", "named"), BAD)
def test_what_cannot_be_stressed_is_refused_by_name(changes: dict[str, object], named: str) -> None:
    (problem,) = answered(ASKED | copy.deepcopy(changes))
    assert (problem["status"], problem["code"]) == (422, "invalid"), problem
    assert named in problem["detail"], problem
    assert problem["remedy"]
