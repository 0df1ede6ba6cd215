"""How much of a debt one liquidation may repay.

Aave since v3.3 (`aave_v3_5`): while the health factor is above 0.95 and both legs are worth 2,000 USD or more, at most
half of the account's total debt, half up, and never more than the leg; else the whole leg. At 0.95 exactly it is the
whole. What is left of either leg must be nothing or worth 1,000 USD or more.
Aave before v3.3 (`aave_v3_0`): while the health factor is above 0.95 half of the leg, half up; else the whole.
Compound III absorbs the whole account, Morpho Blue sets no bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.price import USD_SCALE
from fusion_daemon.risk.margin_rules.measure import Measure, share_half_up
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Position
from fusion_daemon.risk.margin_rules.rule_names import RULES, RuleName
from fusion_daemon.risk.settings import BPS

HALF = 5_000
HALF_ABOVE = 95 * 10**16
"""Wad."""
SMALL_LEG = 2_000 * USD_SCALE
LEAST_LEFT = 1_000 * USD_SCALE


@dataclass(frozen=True, slots=True)
class Closable:
    """Of a debt against a collateral, once the account may be liquidated at the present health factor."""

    collateral_asset: str
    debt_asset: str
    bps: int
    most: int
    """Base units of the debt."""


def closable(position: Position, name: RuleName, found: Measure) -> tuple[Closable, ...]:
    """Of each pair of legs."""
    return tuple(
        _of_pair(collateral, debt, name, found) for collateral in position.collateral for debt in position.debt
    )


def close_factor_bps(position: Position, name: RuleName, found: Measure) -> int:
    """Of the pair of the dearest legs, whom a liquidator takes first; 0 without a debt or a collateral."""
    if not position.collateral or not position.debt:
        return 0
    collateral = max(position.collateral, key=lambda leg: _collateral_usd(leg, name))
    debt = max(position.debt, key=lambda leg: _debt_usd(leg, name))
    return _factor(collateral, debt, name, found)


def _factor(collateral: CollateralLeg, debt: DebtLeg, name: RuleName, found: Measure) -> int:
    if name is RuleName.AAVE_V3_0:
        return HALF if found.health_factor > HALF_ABOVE else BPS
    if name is not RuleName.AAVE_V3_5:
        return BPS
    small = min(_collateral_usd(collateral, name), _debt_usd(debt, name)) < SMALL_LEG
    return BPS if small or found.health_factor <= HALF_ABOVE else HALF


def _of_pair(collateral: CollateralLeg, debt: DebtLeg, name: RuleName, found: Measure) -> Closable:
    bps = _factor(collateral, debt, name, found)
    most = RULES[name].owed(debt)
    if bps == HALF:
        most = share_half_up(most, HALF) if name is RuleName.AAVE_V3_0 else min(most, _half_of_all(debt, found))
    return Closable(collateral.asset, debt.asset, bps, most)


def _half_of_all(debt: DebtLeg, found: Measure) -> int:
    """Half of the total debt in base units of this one, rounded down."""
    return debt.units_down(share_half_up(found.debt, HALF))


def _collateral_usd(leg: CollateralLeg, name: RuleName) -> int:
    return leg.usd_down(RULES[name].held(leg))


def _debt_usd(leg: DebtLeg, name: RuleName) -> int:
    return leg.usd_up(RULES[name].owed(leg))
