"""The surplus of a position as a linear function of its prices, unrounded: a guess near which the exact answer lies.

Surplus H = sum of q p LT over collateral - sum of q p over debt, in USD; the exposure of an asset is its share of it.
"""

from __future__ import annotations

from fractions import Fraction

from fusion_daemon.risk.margin_rules.measure import Rules
from fusion_daemon.risk.margin_rules.position import Leg, Position
from fusion_daemon.risk.settings import BPS


def exposures(position: Position, rules: Rules) -> dict[str, Fraction]:
    """USD by asset, in order of appearance; negative where an asset is rather owed."""
    found = {leg.asset: Fraction(0) for leg in position.legs}
    for leg in position.collateral:
        found[leg.asset] += usd(leg, rules.held(leg)) * Fraction(leg.threshold_bps, BPS)
    for debt in position.debt:
        found[debt.asset] -= usd(debt, rules.owed(debt))
    return found


def usd(leg: Leg, balance: int) -> Fraction:
    return Fraction(balance * leg.quote.price, 10 ** (leg.decimals + leg.quote.decimals))
