"""Rule: at a liquidation price the account may be liquidated, and one unit towards safety it may not; where there is
none, no price of that asset decides. The same of the joint move; and cures are enough while one unit less is not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.risk.margin_rules.crossing import first_that_holds, last_before_change
from fusion_daemon.risk.margin_rules.cures import cures
from fusion_daemon.risk.margin_rules.doubt import WIDEST_BAND, Freshness, band, health_interval
from fusion_daemon.risk.margin_rules.exposure import exposures
from fusion_daemon.risk.margin_rules.liquidation import Direction, joint_move, liquidation_prices
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Leg, Position, Quote
from fusion_daemon.risk.margin_rules.rule_names import RULES, RuleName
from tests.effort import effort
from tests.unit.risk.margin_positions import ASSETS, balance, liquidatable, positions, usd, with_collateral, with_debt

RAY, WAD, USD = 10**27, 10**18, 10**8
V3_5, V3_0, COMPOUND, MORPHO = RuleName
EACH = pytest.mark.parametrize("rules", RuleName)
FAR = (1, 10**6, 10**9, 10**12, 10**16, 10**24)
BELOW, ABOVE = Direction


def at_price(position: Position, asset: str, price: int) -> Position:
    def quote(leg: Leg) -> Quote:
        return Quote(price, leg.quote.decimals) if leg.asset == asset else leg.quote

    return position.requoted(quote)


def one_sided(position: Position, asset: str) -> bool:
    return not {asset} <= {leg.asset for leg in position.collateral} & {leg.asset for leg in position.debt}


@EACH
@given(st.data())
def test_a_liquidation_price_is_the_border_to_the_unit(rules: RuleName, data: st.DataObject) -> None:
    position = data.draw(positions(rules))
    for found in liquidation_prices(position, RULES[rules]):
        if found.price is None:
            assert found.direction is None
            continue
        safe = found.price + (1 if found.direction is BELOW else -1)
        assert liquidatable(at_price(position, found.asset, found.price), rules)
        if safe > 0:
            assert not liquidatable(at_price(position, found.asset, safe), rules)
        else:
            assert found.price == 1


@pytest.mark.parametrize("rules", [V3_5, COMPOUND, MORPHO])
@given(st.data(), st.sampled_from(FAR))
def test_on_its_side_it_is_the_whole_truth(rules: RuleName, data: st.DataObject, far: int) -> None:
    """Of an asset on one side: every price beyond it may be liquidated and none before it; without a border all
    prices are alike."""
    position = data.draw(positions(rules))
    for found in liquidation_prices(position, RULES[rules]):
        if not one_sided(position, found.asset):
            continue
        for price in (far, found.price or far):
            there = liquidatable(at_price(position, found.asset, price), rules)
            if found.price is None:
                assert there == liquidatable(position, rules)
            else:
                assert there == (price <= found.price if found.direction is BELOW else price >= found.price)


@given(positions())
def test_the_border_lies_within_the_rounding_of_the_linear_root(position: Position) -> None:
    """p - H / k. Every leg is rounded by at most one unit of USD and one base unit of its debt, and the health factor
    by half of 1e-22; the border moves by what that is worth in the asset."""
    by_asset = exposures(position, RULES[V3_5])
    surplus = sum(by_asset.values(), Fraction(0))
    quotes = {leg.asset: leg.quote for leg in position.legs}
    for found in liquidation_prices(position, RULES[V3_5]):
        if found.price is None:
            continue
        there = at_price(position, found.asset, found.price)
        slack = Fraction(len(position.legs) + 1, USD)
        slack += sum((usd(leg, 1) + usd(leg, balance(leg) + 1) / 10**22 for leg in there.debt), Fraction(0))
        exposure = by_asset[found.asset] / quotes[found.asset].price
        root = quotes[found.asset].price - surplus / exposure
        assert abs(found.price - root) <= abs(slack / exposure) + 2


# Both sides, directions and none, by hand


def held(asset: str, units: int, price: int, threshold: int) -> CollateralLeg:
    return CollateralLeg(asset, units, RAY, 0, Quote(price * USD, 8), threshold, threshold)


def owed(asset: str, units: int, price: int) -> DebtLeg:
    return DebtLeg(asset, units, RAY, 0, Quote(price * USD, 8))


def borders(position: Position, rules: RuleName = V3_5) -> dict[str, tuple[int | None, Direction | None]]:
    return {each.asset: (each.price, each.direction) for each in liquidation_prices(position, RULES[rules])}


def test_an_asset_on_both_sides_counts_net() -> None:
    """10 ETH at 80 % against 5 ETH: 3 net bear 4,500 USD of debt down to 1,500. Against 9: 1 is owed net and 2,500 of
    USDC at 100 % bear it up to 2,500. Against 8 nothing is net, whatever it costs."""
    ten = held("ETH", 10, 2_000, 8_000)
    assert borders(Position((ten,), (owed("ETH", 5, 2_000), owed("USDC", 4_500, 1))))["ETH"] == (1_500 * USD - 1, BELOW)
    short = Position((ten, held("USDC", 2_500, 1, 10_000)), (owed("ETH", 9, 2_000),))
    assert borders(short)["ETH"] == (2_500 * USD + 1, ABOVE)
    assert borders(Position((ten,), (owed("ETH", 8, 2_000), owed("USDC", 1, 1))))["ETH"] == (None, None)


def test_one_asset_may_be_unable_to_liquidate() -> None:
    """WBTC alone bears the debt: ETH may fall to nothing. And ETH alone cannot save it once WBTC is gone with no ETH
    price high enough to be missed."""
    position = Position((held("ETH", 1, 2_000, 8_000), held("WBTC", 1, 60_000, 5_000)), (owed("USDC", 20_000, 1),))
    found = borders(position)
    assert found["ETH"] == (None, None)
    assert found["WBTC"] == (36_800 * USD - 1, BELOW)  # 20,000 - 1,600 = 18,400 at 50 %
    assert found["USDC"] == (158_000_000 + 1, ABOVE)  # 31,600 / 20,000


def test_without_debt_there_is_none() -> None:
    for rules in RuleName:
        position = Position((held("ETH", 1, 2_000, 8_000),), ())
        assert borders(position, rules) == {"ETH": (None, None)}
        assert joint_move(position, RULES[rules], ()).direction is None


def test_an_account_under_water_is_told_the_price_above_which_it_is_safe() -> None:
    position = Position((held("ETH", 10, 1_000, 8_000),), (owed("USDC", 9_000, 1),))
    assert borders(position)["ETH"] == (1_125 * USD - 1, BELOW)


def test_a_debt_in_the_collateral_of_a_worthless_threshold_never_ends() -> None:
    """The old average of 1 basis point and nothing is 0 at any price: no search may look for its end."""
    position = Position((held("ETH", 1, 1, 1), held("USDC", 1, 1, 0)), (owed("DAI", 1, 1),))
    assert borders(position, V3_0)["ETH"] == (None, None)


# Joint move


@EACH
@given(st.data(), st.sets(st.sampled_from(ASSETS)))
def test_a_joint_move_is_the_border_to_the_unit(rules: RuleName, data: st.DataObject, stable: set[str]) -> None:
    position = data.draw(positions(rules))
    found = joint_move(position, RULES[rules], stable)
    if found.move is None:
        assert found.direction is None
        return

    def moved(by: int) -> Position:
        return position.requoted(lambda leg: leg.quote if leg.asset in stable else leg.quote.times(WAD + by, 18))

    assert found.move > -WAD
    assert liquidatable(moved(found.move), rules)
    safe = found.move + (1 if found.direction is BELOW else -1)
    if safe > -WAD:
        assert not liquidatable(moved(safe), rules)


def test_two_coins_fall_together_against_a_stable_debt() -> None:
    """1,600 + 30,000 bear 15,800: half."""
    position = Position((held("ETH", 1, 2_000, 8_000), held("WBTC", 1, 60_000, 5_000)), (owed("USDC", 15_800, 1),))
    found = joint_move(position, RULES[V3_5], {"USDC"})
    assert found.direction is BELOW
    assert found.move is not None
    assert -WAD // 2 - 10**8 < found.move < -WAD // 2
    assert joint_move(position, RULES[V3_5], ()).direction is None  # if everything moves, nothing does


# Cures


@EACH
@given(st.data(), st.integers(WAD // 2, 3 * WAD))
def test_cures_are_enough_and_one_unit_less_is_not(rules: RuleName, data: st.DataObject, target: int) -> None:
    position = data.draw(positions(rules))
    found, its = cures(position, RULES[rules], target), RULES[rules]

    def reaches(changed: Position) -> bool:
        return its.measure(changed).health_factor >= target

    for number, repay in enumerate(found.repay):
        whole = its.owed(position.debt[number])
        if repay.amount is None:
            assert not reaches(with_debt(position, number, 0))
            continue
        assert reaches(with_debt(position, number, whole - repay.amount))
        if repay.amount:
            assert not reaches(with_debt(position, number, whole - repay.amount + 1))
    for number, add in enumerate(found.add):
        there = its.held(position.collateral[number])
        if add.amount is None:
            assert position.collateral[number].threshold_bps == 0 or rules is V3_0
            continue
        assert reaches(with_collateral(position, number, there + add.amount))
        if add.amount:
            assert not reaches(with_collateral(position, number, there + add.amount - 1))


def test_cures_by_hand() -> None:
    """8,000 borne of 9,000 owed. To 1.25: 6,400 may be owed, or 11,250 must be borne, 3,250 / 0.8 USD more."""
    position = Position((held("ETH", 10, 1_000, 8_000),), (owed("USDC", 9_000, 1),))
    found = cures(position, RULES[V3_5], 125 * 10**16)
    assert [(each.asset, each.amount) for each in found.repay] == [("USDC", 2_600)]
    assert [(each.asset, each.amount) for each in found.add] == [("ETH", 5)]  # 4,062.50 USD


# Doubt


@pytest.mark.parametrize("rules", [V3_5, COMPOUND, MORPHO])
@given(st.data())
def test_the_truth_lies_in_the_interval(rules: RuleName, data: st.DataObject) -> None:
    position = data.draw(positions(rules))
    bands = data.draw(st.dictionaries(st.sampled_from(ASSETS), st.integers(0, WIDEST_BAND)))
    found = health_interval(position, RULES[rules], bands)
    truth = {asset: data.draw(st.integers(-width, width)) for asset, width in bands.items()}

    def true(leg: Leg) -> Quote:
        return leg.quote.times(10_000 + truth.get(leg.asset, 0), 4)

    assert found.low <= RULES[rules].measure(position.requoted(true)).health_factor <= found.high


def test_a_band_widens_with_every_allowed_age_and_leaves_a_price() -> None:
    widths = [band(50, Freshness(age, 3_600)) for age in (0, 3_600, 3_601, 7_200, 7_201)]
    assert widths == [50, 50, 100, 100, 150]
    assert band(50, Freshness(10**9, 1)) == WIDEST_BAND
    assert [Freshness(age, 3_600).stale for age in (3_600, 3_601)] == [False, True]


# The search


@given(st.integers(0, 10**40), st.integers(-(10**40), 10**40))
def test_a_border_is_found_from_any_guess(border: int, near: int) -> None:
    assert last_before_change(lambda n: n <= border, near, 0) == border
    assert first_that_holds(lambda n: n >= border, near) == border


@pytest.mark.parametrize("rules", RuleName)
def test_a_price_costs_few_measures(rules: RuleName) -> None:
    """The guess is the linear root, so that rounding alone is searched."""
    position = Position((held("ETH", 10, 2_000, 8_000),), (owed("USDC", 9_000, 1),))
    with effort() as one:
        RULES[rules].measure(position)
    with effort() as all_of_them:
        liquidation_prices(position, RULES[rules])
    assert all_of_them.calls <= 40 * one.calls


def test_balances_agree_with_the_fractions() -> None:
    leg = replace(owed("USDC", 3, 1), index=RAY + 1)
    assert balance(leg) == 3 + Fraction(3, RAY)
