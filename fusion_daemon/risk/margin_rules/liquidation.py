"""How far prices are from a liquidation.

The liquidation price of an asset, all others standing still, is the first of its prices, coming from the safe side, at
which the account may be liquidated: there it may be, one unit (10^-price_decimals USD) towards safety it may not. So a
real root between two prices is rounded outward, towards the present price of a safe account: a watch set on it is
never late. It is found by the rules' own arithmetic, every rounding included.

    exposure  = collateral x threshold - debt in the asset, both sides together
    above 0   liquidation at or below the price
    below 0   liquidation at or above it (borrowed, or more borrowed than its collateral bears)
    0         none, and none either where no positive price changes anything: others decide

An asset on both sides rounds against itself, and the old Aave generation rounds the average threshold, so that there
safe and unsafe prices may alternate within the rounding: the price is then one such border, close to the real root.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from math import floor

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.crossing import last_before_change
from fusion_daemon.risk.margin_rules.exposure import exposures
from fusion_daemon.risk.margin_rules.measure import Rules
from fusion_daemon.risk.margin_rules.position import Position, Quote

_WAD_DECIMALS = 18
_LEAST = 1
"""A price of 0 is none."""


class Direction(Enum):
    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class LiquidationPrice:
    asset: str
    price: int | None
    """In the decimals of the asset's quote, at least 1; None with the direction."""
    direction: Direction | None


@dataclass(frozen=True, slots=True)
class JointMove:
    """All moving prices x (1 + move): the first common move at which the account may be liquidated."""

    move: int | None
    """Wad, above -1e18: there it may be liquidated, 1e-18 towards safety it may not. None with the direction."""
    direction: Direction | None


def liquidation_prices(position: Position, rules: Rules) -> tuple[LiquidationPrice, ...]:
    """Of every asset that is held or owed, in order of appearance."""
    by_asset = exposures(position, rules)
    surplus = sum(by_asset.values(), Fraction(0))
    quotes = {leg.asset: leg.quote for leg in position.legs}
    return tuple(
        LiquidationPrice(asset, *_border_of_price(position, rules, asset, quotes[asset], exposure, surplus))
        for asset, exposure in by_asset.items()
    )


def joint_move(position: Position, rules: Rules, stable: Collection[str]) -> JointMove:
    """Of all assets but the stable ones; none where they would have to lose everything. If everything moves, nothing
    happens: a ratio stays what it is."""
    by_asset = exposures(position, rules)
    surplus = sum(by_asset.values(), Fraction(0))
    moving = sum((each for asset, each in by_asset.items() if asset not in stable), Fraction(0))

    still, rest = position.parted(lambda leg: leg.asset in stable)
    measured = rules.beside(still)

    def liquidatable(factor: int) -> bool:
        return measured(rest.requoted(lambda leg: leg.quote.times(factor, _WAD_DECIMALS))).liquidatable

    if moving == 0 or surplus / moving >= 1:
        return JointMove(None, None)
    factor, direction = _border(liquidatable, moving, surplus, WAD)
    return JointMove(None if factor is None else factor - WAD, direction)


def _border_of_price(
    position: Position, rules: Rules, asset: str, quote: Quote, exposure: Fraction, surplus: Fraction
) -> tuple[int | None, Direction | None]:
    mine, others = position.parted(lambda leg: leg.asset == asset)
    measured = rules.beside(others)

    def liquidatable(price: int) -> bool:
        at = Quote(price, quote.decimals)
        return measured(mine.requoted(lambda _: at)).liquidatable

    return _border(liquidatable, exposure, surplus, quote.price)


def _border(
    liquidatable: Callable[[int], bool], exposure: Fraction, surplus: Fraction, present: int
) -> tuple[int | None, Direction | None]:
    """Of what stands at `present`, contributes `exposure` to the surplus and is at least 1.

    The linear root is present - surplus / (exposure / present).
    """
    if exposure == 0:
        return None, None
    near = floor(present - surplus / exposure * present)
    if exposure > 0:
        below = last_before_change(liquidatable, near, _LEAST)
        return (None, None) if below is None else (below, Direction.BELOW)
    safe = last_before_change(lambda each: not liquidatable(each), near, _LEAST)
    return (None, None) if safe is None else (safe + 1, Direction.ABOVE)
