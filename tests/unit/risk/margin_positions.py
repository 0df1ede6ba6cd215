"""Positions to draw, and what each set of rules makes of them by formulas of exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from hypothesis import strategies as st

from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Pool, Position, Quote
from fusion_daemon.risk.margin_rules.rule_names import RuleName

RAY = 10**27
NO_DEBT = 2**256 - 1
ASSETS = ("ETH", "WBTC", "USDC", "stETH", "GUSD")
ADDITIVE = (RuleName.AAVE_V3_5, RuleName.AAVE_V3_0, RuleName.COMPOUND_V3)

INDEX = st.one_of(st.just(RAY), st.integers(RAY, 3 * RAY))
PRICE = st.one_of(st.integers(1, 10**4), st.integers(10**6, 10**14))
SCALED = st.one_of(st.integers(1, 10**4), st.integers(1, 10**24))


DECIMALS_AND_QUOTE = st.tuples(
    st.sampled_from((2, 6, 8, 18)), st.builds(Quote, PRICE, st.sampled_from((8, 8, 8, 0, 18)))
)


@st.composite
def positions(draw: st.DrawFn, rules: RuleName = RuleName.AAVE_V3_5) -> Position:
    """Debts are drawn so that they lie around what the collateral bears, where roundings decide."""
    alone = rules is RuleName.MORPHO_BLUE
    shuffled = draw(st.permutations(ASSETS))
    held = shuffled[: draw(st.integers(0, 1 if alone else 3))]
    both = rules in (RuleName.AAVE_V3_0, RuleName.AAVE_V3_5) and draw(st.booleans())
    first = 0 if both else len(held)
    owed = shuffled[first : first + draw(st.integers(0, 2 if both else 1))]
    known = {asset: draw(DECIMALS_AND_QUOTE) for asset in dict.fromkeys([*held, *owed])}
    collateral = tuple(draw(_collateral(asset, *known[asset])) for asset in held)
    bearable = sum((usd(leg, balance(leg)) * Fraction(leg.threshold_bps, 10_000) for leg in collateral), Fraction(0))
    debt = tuple(draw(_debt(asset, *known[asset], bearable / len(owed), rules)) for asset in owed)
    return Position(collateral, debt)


@st.composite
def _collateral(draw: st.DrawFn, asset: str, decimals: int, quote: Quote) -> CollateralLeg:
    threshold = draw(st.integers(0, 10_000))
    ltv = draw(st.integers(0, threshold))
    return CollateralLeg(asset, draw(SCALED), draw(INDEX), decimals, quote, threshold, ltv)


@st.composite
def _debt(draw: st.DrawFn, asset: str, decimals: int, quote: Quote, near: Fraction, rules: RuleName) -> DebtLeg:
    worth = Fraction(quote.price, 10 ** (decimals + quote.decimals))
    index = draw(INDEX)
    scaled = max(int(near / worth * RAY / index) + draw(st.integers(-3, 3)), 1)
    scaled = draw(st.one_of(st.just(scaled), SCALED))
    pool = None
    if rules is RuleName.MORPHO_BLUE and draw(st.booleans()):
        pool = Pool(draw(SCALED), scaled + draw(SCALED))
    return DebtLeg(asset, scaled, index, decimals, quote, pool)


def with_collateral(position: Position, number: int, units: int) -> Position:
    leg = position.collateral[number].holding(units)
    return Position((*position.collateral[:number], leg, *position.collateral[number + 1 :]), position.debt)


def with_debt(position: Position, number: int, units: int) -> Position:
    left = (position.debt[number].owing(units),) if units else ()
    return Position(position.collateral, (*position.debt[:number], *left, *position.debt[number + 1 :]))


def balance(leg: CollateralLeg | DebtLeg) -> Fraction:
    return Fraction(leg.scaled * leg.index, RAY)


def usd(leg: CollateralLeg | DebtLeg, units: Fraction | int) -> Fraction:
    scale: int = 10 ** (leg.decimals + leg.quote.decimals)
    return Fraction(units) * leg.quote.price / scale


def half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


@dataclass(frozen=True)
class Expected:
    collateral: int
    debt: int
    health_factor: int
    available_borrows: int


def _averages(values: list[int], weights: list[int]) -> int:
    return floor(Fraction(sum(v * w for v, w in zip(values, weights, strict=True)), sum(values))) if sum(values) else 0


def expect_aave(position: Position, *, old: bool) -> Expected:
    to_held: Callable[[Fraction], int] = half_up if old else floor
    to_owed: Callable[[Fraction], int] = half_up if old else ceil
    to_debt: Callable[[Fraction], int] = floor if old else ceil
    values = [floor(usd(leg, to_held(balance(leg))) * 10**8) for leg in position.collateral]
    debt = sum(to_debt(usd(leg, to_owed(balance(leg))) * 10**8) for leg in position.debt)
    thresholds = [leg.threshold_bps for leg in position.collateral]
    average_ltv = _averages(values, [leg.ltv_bps for leg in position.collateral])
    lent = Fraction(sum(values) * average_ltv, 10_000)
    available = max((half_up(lent) if old else floor(lent)) - debt, 0)
    if debt == 0:
        health = NO_DEBT
    elif old:
        weighted = half_up(Fraction(sum(values) * _averages(values, thresholds), 10_000))
        health = half_up(Fraction(weighted * 10**18, debt))
    else:
        weighted = sum(value * each for value, each in zip(values, thresholds, strict=True))
        health = floor(Fraction(half_up(Fraction(weighted * 10**18, debt)), 10_000))
    return Expected(sum(values), debt, health, available)


def expect_compound(position: Position) -> Expected:
    values = [floor(usd(leg, floor(balance(leg))) * 10**8) for leg in position.collateral]
    debt = sum(floor(usd(leg, floor(balance(leg))) * 10**8) for leg in position.debt)

    def borne(factors: list[int]) -> int:
        wads = (each * 10**14 for each in factors)
        return sum(floor(Fraction(value * wad, 10**18)) for value, wad in zip(values, wads, strict=True))

    bearable = borne([leg.threshold_bps for leg in position.collateral])
    health = floor(Fraction(bearable * 10**18, debt)) if debt else NO_DEBT
    return Expected(sum(values), debt, health, max(borne([leg.ltv_bps for leg in position.collateral]) - debt, 0))


def expect_morpho(position: Position) -> Expected:
    collateral = sum(floor(usd(leg, floor(balance(leg))) * 10**8) for leg in position.collateral)
    if not position.debt:
        ltv = sum(leg.ltv_bps for leg in position.collateral)
        return Expected(collateral, 0, NO_DEBT, floor(Fraction(collateral * ltv, 10_000)))
    (loan,) = position.debt
    if loan.pool is None:
        owed = ceil(balance(loan))
    else:
        owed = ceil(Fraction(loan.scaled * (loan.pool.borrowed_assets + 1), loan.pool.borrowed_shares + 10**6))
    in_loan = bearable = lendable = 0
    for leg in position.collateral:
        oracle = floor(usd(leg, 1) / usd(loan, 1) * 10**36)
        in_loan = floor(Fraction(floor(balance(leg)) * oracle, 10**36))
        bearable = floor(Fraction(in_loan * leg.threshold_bps, 10_000))
        lendable = floor(Fraction(in_loan * leg.ltv_bps, 10_000))
    return Expected(
        collateral,
        ceil(usd(loan, owed) * 10**8),
        floor(Fraction(bearable * 10**18, owed)),
        floor(usd(loan, max(lendable - owed, 0)) * 10**8),
    )


def expected(position: Position, rules: RuleName) -> Expected:
    if rules is RuleName.COMPOUND_V3:
        return expect_compound(position)
    if rules is RuleName.MORPHO_BLUE:
        return expect_morpho(position)
    return expect_aave(position, old=rules is RuleName.AAVE_V3_0)


def liquidatable(position: Position, rules: RuleName) -> bool:
    """As the protocol decides, not by its health factor where it knows none."""
    if rules is RuleName.COMPOUND_V3:
        values = [
            floor(Fraction(floor(usd(leg, floor(balance(leg))) * 10**8) * leg.threshold_bps, 10_000))
            for leg in position.collateral
        ]
        return sum(values) - expect_compound(position).debt < 0
    return expected(position, rules).health_factor < 10**18
