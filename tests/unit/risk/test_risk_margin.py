"""Exact margin arithmetic: rounding, states, hysteresis and cures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.margin import MarginState
from fusion_daemon.risk.margin import (
    RAY,
    WAD,
    Totals,
    borrow_index,
    collateral_value,
    cure,
    debt_balance,
    debt_value,
    decide,
    figures,
    health_factor,
    level,
    rule_of,
    score_bps,
)
from fusion_daemon.risk.settings import BPS, Limits, RiskSettings, RiskSettingsInvalid

HEALTHY, WARNING, MARGIN_CALL, LIQUIDATION = MarginState
RULE = rule_of(RiskSettings({}))
USD = 10**8
LAX = RiskSettings({}, score=Limits(30, 20, 10), health=Limits(15_000, 12_500, 10_000))
"""Limits under which the health factor alone decides."""


def totals(collateral: int, debt: int, threshold_bps: int = 10_000) -> Totals:
    return Totals(collateral, collateral * threshold_bps, debt)


def by_score(collateral: int, debt: int) -> Totals:
    """With a health factor so ample that the score alone decides."""
    return Totals(collateral, 10**9 * BPS, debt)


# Rounding, to the unit, worked by hand


def test_collateral_is_rounded_down_and_debt_up() -> None:
    # 1.5 WETH + 1 wei at 1,999.99999999: 2,999.999999985 + a little
    assert collateral_value(15 * 10**17 + 1, 1_999_99999999, 18) == 2_999_99999998
    assert debt_value(15 * 10**17 + 1, 1_999_99999999, 18) == 2_999_99999999


def test_a_debt_of_one_wei_counts_as_one_unit() -> None:
    assert debt_value(1, 2_000 * USD, 18) == 1
    assert collateral_value(1, 2_000 * USD, 18) == 0


def test_scaled_debt_is_rounded_up_at_the_index_rounded_down() -> None:
    # index 1.05 at 3 ray-units a second for 7 s: 1.05e27 x (1e27 + 21) / 1e27 = 1.05e27 + 22.05, down
    index = borrow_index(105 * RAY // 100, 3, 7)
    assert index == 105 * RAY // 100 + 22
    assert debt_balance(1_000_000, index) == 1_050_001  # 1,050,000 and a breath of 2.2e-20
    assert debt_balance(100, 105 * RAY // 100) == 105  # exact stays exact


def test_a_clock_behind_the_update_accrues_nothing() -> None:
    assert borrow_index(RAY, 10**20, -5) == RAY


def test_health_factor_is_half_up_then_down() -> None:
    # S = 3 x 10^4, debt 9: 30,000e18 / 9 = 3333.33..e18 -> / 10^4 = 0.333..
    assert health_factor(Totals(3, 30_000, 9)) == 333_333_333_333_333_333
    # S = 20,000, debt 3: 6666.66..e18 half up = ...667, / 10^4 down = 0.666...666
    assert health_factor(Totals(2, 20_000, 3)) == 666_666_666_666_666_666
    assert health_factor(totals(0, 1)) == 0
    assert health_factor(totals(5, 0)) is None


def test_score_is_rounded_down_below_zero_too() -> None:
    assert score_bps(totals(3, 2)) == 5_000
    assert score_bps(totals(2, 3)) == -3_334
    assert score_bps(totals(2, 0)) is None


# States


@pytest.mark.parametrize(
    ("collateral", "state"),
    [
        (150_000, HEALTHY),
        (149_999, WARNING),
        (130_000, WARNING),
        (129_999, MARGIN_CALL),
        (115_000, MARGIN_CALL),
        (114_999, LIQUIDATION),
        (0, LIQUIDATION),
    ],
)
def test_score_bounds_belong_to_the_better_state(collateral: int, state: MarginState) -> None:
    ample_health = by_score(collateral, 100_000)
    assert level(ample_health, RULE.bounds) is state


@pytest.mark.parametrize(
    ("weighted_usd", "state"),
    [
        (150_000, HEALTHY),
        (149_999, WARNING),
        (125_000, WARNING),
        (124_999, MARGIN_CALL),
        (100_000, MARGIN_CALL),
        (99_999, LIQUIDATION),
    ],
)
def test_health_bounds_belong_to_the_better_state(weighted_usd: int, state: MarginState) -> None:
    ample_score = Totals(10**9, weighted_usd * BPS, 100_000)
    assert level(ample_score, RULE.bounds) is state


def test_a_health_factor_below_one_by_one_unit_is_liquidation() -> None:
    # Far below the last digit that a rounded ratio shows.
    huge = 10**40
    assert level(Totals(huge * 10, (huge - 1) * BPS, huge), RULE.bounds) is LIQUIDATION


@given(st.integers(0, 10**30))
def test_without_debt_everyone_is_healthy(collateral: int) -> None:
    for before in MarginState:
        assert decide(totals(collateral, 0), before, RULE) is HEALTHY


# Hysteresis


def test_worse_at_once_and_better_only_with_a_margin() -> None:
    # Score 50 % is HEALTHY, but coming from WARNING it takes 51 %.
    assert decide(totals(150_000, 100_000), HEALTHY, RULE) is HEALTHY
    assert decide(totals(149_999, 100_000), HEALTHY, RULE) is WARNING
    assert decide(by_score(150_999, 100_000), WARNING, RULE) is WARNING
    assert decide(by_score(151_000, 100_000), WARNING, RULE) is HEALTHY
    # And a health factor of 1.53.
    assert decide(Totals(10**9, 152_999 * BPS, 100_000), WARNING, RULE) is WARNING
    assert decide(Totals(10**9, 153_000 * BPS, 100_000), WARNING, RULE) is HEALTHY


def test_a_great_recovery_that_does_not_clear_the_top_stops_below_it() -> None:
    # From LIQUIDATION to a score of 50.5 %: HEALTHY by the bare limits, WARNING with the margin.
    assert decide(by_score(150_500, 100_000), LIQUIDATION, RULE) is WARNING


AMOUNT = st.integers(0, 10**24)
TOTALS = st.builds(
    lambda collateral, bps, debt: Totals(collateral, collateral * bps, debt),
    AMOUNT,
    st.integers(0, 10_000),
    st.integers(1, 10**24),
)
SETTINGS = st.builds(
    lambda score, health, hysteresis: RiskSettings(
        {}, Limits(*sorted(score, reverse=True)), Limits(*sorted(health, reverse=True)), hysteresis
    ),
    st.sets(st.integers(1, 20_000), min_size=3, max_size=3),
    st.sets(st.integers(10_000, 40_000), min_size=3, max_size=3),
    st.integers(0, 5_000),
)


@given(TOTALS, SETTINGS, st.sampled_from(MarginState))
def test_hysteresis_lies_between_the_bare_level_and_before(
    sums: Totals, settings: RiskSettings, before: MarginState
) -> None:
    rule = rule_of(settings)
    bare, after = level(sums, rule.bounds), decide(sums, before, rule)
    assert min(bare, before) <= after <= max(bare, before)
    assert after is bare or bare < before
    assert decide(sums, after, rule) is after  # nothing more happens without news


@given(TOTALS, SETTINGS, st.sampled_from(MarginState), AMOUNT, AMOUNT)
def test_more_collateral_or_less_debt_never_makes_it_worse(
    sums: Totals, settings: RiskSettings, before: MarginState, more: int, less: int
) -> None:
    rule = rule_of(settings)
    richer = replace(sums, collateral=sums.collateral + more, weighted=sums.weighted + more)
    lighter = replace(sums, debt=max(sums.debt - less, 0))
    after = decide(sums, before, rule)
    assert decide(richer, before, rule) <= after
    assert decide(lighter, before, rule) <= after


@given(TOTALS)
def test_a_health_factor_below_one_is_always_liquidation(sums: Totals) -> None:
    if sums.weighted < sums.debt * BPS:
        for before in MarginState:
            assert decide(sums, before, RULE) is LIQUIDATION


# Cures


def test_cures_worked_by_hand() -> None:
    # 100,000 of collateral at 80 %, 80,000 of debt: score 25 %, health 1.0: a margin call.
    sums = totals(100_000 * USD, 80_000 * USD, 8_000)
    repay, deposit = cure(sums, RULE)
    # Score 51 %: debt <= 100,000 / 1.51 = 66,225.16556291
    # Health 1.53: debt <= 80,000 / 1.53 = 52,287.58169934, the smaller one
    assert repay == 80_000 * USD - 52_287_58169934
    # Health 1.53: 1.53 x 80,000 = 122,400 of weighted collateral, 42,400 more, at 80 % = 53,000
    assert deposit == 53_000 * USD
    shown = figures(sums, MARGIN_CALL, RULE)
    assert (shown.cure_repay_usd, shown.cure_deposit_usd) == (repay, deposit)
    assert (shown.health_factor, shown.score_bps) == (WAD, 2_500)
    assert figures(sums, HEALTHY, RULE).cure_repay_usd == 0


def test_without_collateral_the_deposit_is_quoted_at_the_assumed_threshold() -> None:
    repay, deposit = cure(Totals(0, 0, 10_000), RULE)
    assert repay == 10_000
    assert deposit == 20_400  # 1.53 x 10,000 / 0.75


@given(TOTALS, SETTINGS)
def test_repaying_the_cure_cures_and_one_unit_less_does_not(sums: Totals, settings: RiskSettings) -> None:
    rule = rule_of(settings)
    if level(sums, rule.cleared) is HEALTHY:
        return
    repay, _ = cure(sums, rule)
    assert 0 < repay <= sums.debt
    for before in MarginState:
        assert decide(replace(sums, debt=sums.debt - repay), before, rule) is HEALTHY
    assert decide(replace(sums, debt=sums.debt - repay + 1), LIQUIDATION, rule) is not HEALTHY


@given(TOTALS, SETTINGS)
def test_depositing_the_cure_at_the_quoted_threshold_cures(sums: Totals, settings: RiskSettings) -> None:
    rule = rule_of(settings)
    if level(sums, rule.cleared) is HEALTHY:
        return
    _, deposit = cure(sums, rule)
    average = sums.weighted // sums.collateral if sums.collateral else 0
    at = average or rule.assumed_threshold_bps
    topped = replace(sums, collateral=sums.collateral + deposit, weighted=sums.weighted + deposit * at)
    for before in MarginState:
        assert decide(topped, before, rule) is HEALTHY


@given(
    st.integers(1, 10**30),
    st.integers(1, 10**13),
    st.integers(0, 18),
    st.integers(1, 10**20),
)
def test_base_units_rounded_up_from_a_cure_are_worth_at_least_it(
    balance: int, price: int, decimals: int, usd: int
) -> None:
    """Paying ceil(usd / price) base units lowers a debt leg's value by at least `usd`, and raises a
    collateral leg's by at least it: so a cure in USD really cures in tokens."""
    units = -(-usd * 10**decimals // price)
    if units <= balance:
        assert debt_value(balance, price, decimals) - debt_value(balance - units, price, decimals) >= usd
    before, after = (
        collateral_value(balance, price, decimals),
        collateral_value(balance + units, price, decimals),
    )
    assert after - before >= usd


# Settings


@pytest.mark.parametrize(
    "bad",
    [
        lambda: RiskSettings({}, score=Limits(3_000, 3_000, 1_500)),
        lambda: RiskSettings({}, score=Limits(3_000, 2_000, 0)),
        lambda: RiskSettings({}, health=Limits(15_000, 12_500, 9_999)),
        lambda: RiskSettings({}, hysteresis_bps=-1),
        lambda: RiskSettings({}, hysteresis_bps=10_000),
    ],
)
def test_contradictory_limits_are_refused(bad: Callable[[], RiskSettings]) -> None:
    with pytest.raises(RiskSettingsInvalid):
        bad()


def test_the_fingerprint_follows_what_decides_and_nothing_else() -> None:
    plain = RiskSettings({})
    assert len(plain.fingerprint) == 64
    assert RiskSettings({}, interest_seconds=5).fingerprint == plain.fingerprint
    assert RiskSettings({}, hysteresis_bps=100).fingerprint != plain.fingerprint
    assert RiskSettings({}, score=Limits(6_000, 3_000, 1_500)).fingerprint != plain.fingerprint
