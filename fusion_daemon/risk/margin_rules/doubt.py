"""How far the true price may lie from the one that is known, and what that makes of a health factor.

A source publishes when its price has moved by its deviation, or when its heartbeat is over. So within the allowed age
the truth lies within the deviation; after n such ages it may have moved by n of them, and the band is n times as wide.
A price that is too old is stale: its collateral lends nothing any more, but keeps its liquidation threshold at the
wider band. So doubt takes borrowing power first, and liquidates nobody by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusion_daemon.risk.margin_rules.measure import Rules
from fusion_daemon.risk.margin_rules.position import CollateralLeg, Leg, Position, Quote
from fusion_daemon.risk.settings import BPS

WIDEST_BAND = BPS - 1
"""A price stays above 0."""
_BPS_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Freshness:
    """Seconds."""

    age: int
    allowed: int
    """> 0."""

    @property
    def stale(self) -> bool:
        return self.age > self.allowed

    @property
    def allowances(self) -> int:
        """How many allowed ages the price has seen, the one that has begun included; 1 when fresh."""
        return max(-(-self.age // self.allowed), 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """Wad, both ends included."""

    low: int
    high: int


def band(deviation_bps: int, freshness: Freshness) -> int:
    """Basis points to each side of the price."""
    return min(deviation_bps * freshness.allowances, WIDEST_BAND)


def health_interval(position: Position, rules: Rules, bands: Mapping[str, int]) -> Interval:
    """The health factor at the worst and the best prices within these bands (bps by asset, 0 where none is named).

    INVARIANT: the health factor at any prices within the bands lies in it. An asset on both sides is taken at
    different ends for each, so that it may be wider than the truth; the old Aave generation's average threshold may
    make it narrower, by a basis point of the collateral.
    """

    def at(collateral: int, debt: int) -> int:
        def moved(leg: Leg) -> Quote:
            side = collateral if isinstance(leg, CollateralLeg) else debt
            return leg.quote.times(BPS + side * bands.get(leg.asset, 0), _BPS_DECIMALS)

        return rules.measure(position.requoted(moved)).health_factor

    return Interval(at(-1, 1), at(1, -1))
