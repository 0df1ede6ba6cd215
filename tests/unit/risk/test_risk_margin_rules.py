"""Rules of protocols: every figure equals its formula in exact fractions, and the laws of a health factor hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fusion_daemon.risk.margin_rules.close_factor import closable, close_factor_bps
from fusion_daemon.risk.margin_rules.measure import NO_DEBT, Measure
from fusion_daemon.risk.margin_rules.morpho import borrowed
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Pool, Position, Quote
from fusion_daemon.risk.margin_rules.rule_names import RULES, RuleName
from tests.unit.risk.margin_positions import ADDITIVE, SCALED, expected, liquidatable, positions, with_debt

RAY, WAD, USD = 10**27, 10**18, 10**8
V3_5, V3_0, COMPOUND, MORPHO = RuleName
EACH = pytest.mark.parametrize("rules", RuleName)


def held(units: int, threshold: int, price: int = USD, *, asset: str = "ETH", ltv: int = 0) -> CollateralLeg:
    """Of an asset whose base unit is worth `price` x 1e-8 USD."""
    return CollateralLeg(asset, units, RAY, 0, Quote(price, 8), threshold, ltv)


def owed(units: int, price: int = USD, *, asset: str = "USDC") -> DebtLeg:
    return DebtLeg(asset, units, RAY, 0, Quote(price, 8))


def measured(rules: RuleName, collateral: list[CollateralLeg], debt: list[DebtLeg]) -> Measure:
    return RULES[rules].measure(Position(tuple(collateral), tuple(debt)))


# Equal to the formulas


@EACH
@given(st.data())
def test_every_figure_is_the_formulas_to_the_unit(rules: RuleName, data: st.DataObject) -> None:
    position = data.draw(positions(rules))
    found, formula = RULES[rules].measure(position), expected(position, rules)
    assert found.collateral == formula.collateral
    assert found.debt == formula.debt
    assert found.health_factor == min(formula.health_factor, NO_DEBT)
    assert found.available_borrows == formula.available_borrows
    assert found.liquidatable == liquidatable(position, rules)


# Edges, worked by hand


@EACH
def test_a_health_factor_of_exactly_one_is_safe_and_one_unit_less_is_not(rules: RuleName) -> None:
    at, below = (measured(rules, [held(units, 8_000, 1)], [owed(8_000, 1)]) for units in (10_000, 9_999))
    assert at.health_factor == WAD
    assert not at.liquidatable
    assert below.liquidatable


@EACH
def test_nothing_owed_is_the_largest_and_nothing_held_is_zero(rules: RuleName) -> None:
    assert measured(rules, [held(1, 8_000)], []).health_factor == NO_DEBT
    assert measured(rules, [], []).health_factor == NO_DEBT
    assert measured(rules, [], [owed(1)]).health_factor == 0


def test_dust_debt_exists_since_v3_5_only() -> None:
    """A debt of 0.4 base units of USD: free in the old generation and at Compound, one unit in the new one."""
    dust = DebtLeg("WEI", 4, RAY, 1, Quote(1, 8))
    assert measured(V3_0, [], [dust]).health_factor == NO_DEBT
    assert measured(COMPOUND, [], [dust]).health_factor == NO_DEBT
    assert (measured(V3_5, [], [dust]).debt, measured(V3_5, [], [dust]).health_factor) == (1, 0)
    assert measured(MORPHO, [], [dust]).health_factor == 0  # compared in base units of the loan


def test_half_a_base_unit_of_interest_is_rounded_each_generations_way() -> None:
    half = RAY + RAY // 2  # 1 scaled unit is 1.5 base units
    rich, poor = replace(held(1, 10_000), index=half), replace(owed(1), index=half)
    new, old = measured(V3_5, [rich], [poor]), measured(V3_0, [rich], [poor])
    assert (new.collateral, new.debt) == (1 * USD, 2 * USD)
    assert (old.collateral, old.debt) == (2 * USD, 2 * USD)


def test_mixed_collateral_loses_up_to_a_basis_point_in_the_old_generation() -> None:
    """2/3 at 8000 and 1/3 at 8001: the average is 8000.33, the old one takes 8000."""
    mixed = [held(2 * 10**8, 8_000, 1), held(10**8, 8_001, 1, asset="WBTC")]
    debt = [owed(24 * 10**7, 1)]
    new, old = measured(V3_5, mixed, debt), measured(V3_0, mixed, debt)
    assert old.average_threshold_bps == new.average_threshold_bps == 8_000
    assert old.health_factor == WAD
    assert new.health_factor == 1_000_041_666_666_666_666


def test_more_collateral_may_lower_a_health_factor_of_the_old_generation_and_of_no_other() -> None:
    """One unit at a threshold of 1 takes a whole basis point off the average of a million at 8000."""
    before, after = ([held(10**6, 8_000)], [held(10**6, 8_000), held(1, 1, asset="WBTC")])
    debt = [owed(10**6)]
    assert measured(V3_0, after, debt).health_factor < measured(V3_0, before, debt).health_factor
    for rules in (V3_5, COMPOUND):
        assert measured(rules, after, debt).health_factor >= measured(rules, before, debt).health_factor


def test_compound_bears_leg_by_leg_and_values_a_debt_towards_zero() -> None:
    """Two legs of 0.99 units borne are nothing each; a debt of 1.9 units of USD is one."""
    legs = [held(1, 9_900, 1), held(1, 9_900, 1, asset="WBTC")]
    debt = DebtLeg("WEI", 19, RAY, 1, Quote(1, 8))
    found = measured(COMPOUND, legs, [debt])
    assert (found.collateral, found.debt, found.health_factor) == (2, 1, 0)


def test_morpho_shares_are_worth_their_part_of_the_virtual_totals_rounded_up() -> None:
    """An empty market: 1e6 virtual shares for one virtual asset, so 1e6 shares are one, and one more are two."""
    assert borrowed(replace(owed(10**6), pool=Pool(0, 0))) == 1
    assert borrowed(replace(owed(10**6 + 1), pool=Pool(0, 0))) == 2
    assert borrowed(replace(owed(10**6), pool=Pool(99, 10**6 * 99))) == 1
    assert borrowed(replace(owed(99 * 10**6), pool=Pool(100, 10**6 * 99))) == 100  # 99.99


def test_the_oracles_own_figure_may_be_given_to_morpho() -> None:
    """Price of a base unit of 18 decimals in base units of 6, x 1e36: 36 + 6 - 18 decimals, and a loan at 1."""
    wsteth = CollateralLeg("wstETH", 10**18, RAY, 18, Quote(2_345_678_901_234_567_890_123_456_789, 24), 8_600, 8_600)
    loan = DebtLeg("USDC", 2_017_283_854, RAY, 6, Quote(1, 0))
    # 2345.678901 USDC x 0.86 = 2017.283854 (.86), so exactly that may be borrowed.
    assert measured(MORPHO, [wsteth], [loan]).health_factor == WAD
    assert measured(MORPHO, [wsteth], [replace(loan, scaled=loan.scaled + 1)]).liquidatable


def test_half_up_makes_a_one_of_a_breath_less_only_above_twenty_billion_dollars() -> None:
    """S is one short of the debt x 1e4, so the health factor is 1 - 1e-4 / debt: half up lifts it from 2e18 units on,
    and the protocol does not liquidate. Compound compares and knows no such debt."""
    for debt, health in ((2 * 10**18 - 2, WAD - 1), (2 * 10**18, WAD), (10**21, WAD)):
        legs = [held(debt - 1, 10_000, 1), held(1, 9_999, 1, asset="WBTC")]
        assert measured(V3_5, legs, [owed(debt, 1)]).health_factor == health
        assert measured(COMPOUND, legs, [owed(debt, 1)]).liquidatable


# Laws


@pytest.mark.parametrize("rules", [V3_5, COMPOUND, MORPHO])
@given(st.data(), SCALED)
def test_more_collateral_never_lowers_a_health_factor(rules: RuleName, data: st.DataObject, more: int) -> None:
    """Nor what may be borrowed, but at Aave, whose average LTV loses up to a basis point in both generations."""
    position = data.draw(positions(rules))
    assume(position.collateral)
    leg = position.collateral[0]
    richer = replace(position, collateral=(replace(leg, scaled=leg.scaled + more), *position.collateral[1:]))
    before, after = RULES[rules].measure(position), RULES[rules].measure(richer)
    assert after.health_factor >= before.health_factor
    if rules is not V3_5:
        assert after.available_borrows >= before.available_borrows


@EACH
@given(st.data())
def test_repaying_never_lowers_a_health_factor(rules: RuleName, data: st.DataObject) -> None:
    """Nor what may be borrowed, but of a Morpho position that repays its last share: without a loan asset that is
    rounded in USD."""
    position = data.draw(positions(rules))
    assume(position.debt)
    left = data.draw(st.integers(0, RULES[rules].owed(position.debt[0])))
    before, after = RULES[rules].measure(position), RULES[rules].measure(with_debt(position, 0, left))
    assert after.health_factor >= before.health_factor
    if left or rules is not MORPHO:
        assert after.available_borrows >= before.available_borrows


@pytest.mark.parametrize("rules", ADDITIVE)
@given(st.data())
def test_the_order_of_legs_is_nothing(rules: RuleName, data: st.DataObject) -> None:
    position = data.draw(positions(rules))
    assert RULES[rules].measure(position) == RULES[rules].measure(
        Position(position.collateral[::-1], position.debt[::-1])
    )


# Close factor


def pair(health: int, collateral_usd: int, debt_usd: int) -> tuple[Position, Measure]:
    position = Position((held(collateral_usd, 8_000, 1),), (owed(debt_usd, 1),))
    return position, Measure(collateral_usd, debt_usd, health, 0, 8_000, 0)


@pytest.mark.parametrize(
    ("health", "collateral", "debt", "new", "old"),
    [
        (95 * 10**16 + 1, 2_000 * USD, 2_000 * USD, 5_000, 5_000),
        (95 * 10**16, 2_000 * USD, 2_000 * USD, 10_000, 10_000),
        (95 * 10**16 + 1, 2_000 * USD - 1, 2_000 * USD, 10_000, 5_000),
        (95 * 10**16 + 1, 2_000 * USD, 2_000 * USD - 1, 10_000, 5_000),
        (2 * WAD, 5_000 * USD, 2_000 * USD, 5_000, 5_000),
    ],
)
def test_close_factor_bounds(health: int, collateral: int, debt: int, new: int, old: int) -> None:
    found = pair(health, collateral, debt)
    for rules, factor in ((V3_5, new), (V3_0, old), (COMPOUND, 10_000), (MORPHO, 10_000)):
        assert close_factor_bps(found[0], rules, found[1]) == factor


def test_half_of_the_whole_debt_may_be_all_of_a_leg() -> None:
    """6,000.00000001 and 2,500 USD: half of both is 4,250.00000001 (half up), more than the smaller leg. Before v3.3
    it was half of each leg."""
    position = Position((held(10_000 * USD, 8_000, 1),), (owed(6_000 * USD + 1, 1), owed(2_500 * USD, 1, asset="DAI")))
    found = Measure(10_000 * USD, 8_500 * USD + 1, 99 * 10**16, 0, 8_000, 0)
    assert [each.most for each in closable(position, V3_5, found)] == [4_250 * USD + 1, 2_500 * USD]
    assert [each.most for each in closable(position, V3_0, found)] == [3_000 * USD + 1, 1_250 * USD]


def test_without_a_pair_nothing_may_be_closed() -> None:
    for position in (Position((), (owed(1),)), Position((held(1, 1),), ())):
        found = RULES[V3_5].measure(position)
        assert close_factor_bps(position, V3_5, found) == 0
        assert closable(position, V3_5, found) == ()
