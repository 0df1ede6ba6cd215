"""What brings a health factor back to a target: so many base units of one debt repaid, or of one collateral added.

By the rules' own arithmetic: the amount is enough, and one base unit less is not. Balances are meant: a protocol that
turns a payment into scaled units rounds that once more, by a base unit at most. With collateral in the old Aave
generation there may be smaller amounts that are enough by a lucky average threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.crossing import first_that_holds
from fusion_daemon.risk.margin_rules.exposure import usd
from fusion_daemon.risk.margin_rules.measure import Rules
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Leg, Position
from fusion_daemon.risk.settings import BPS


@dataclass(frozen=True, slots=True)
class Cure:
    asset: str
    amount: int | None
    """Base units; None: no amount of this asset alone is enough."""


@dataclass(frozen=True, slots=True)
class Cures:
    """Each alone; the order is that of the legs."""

    repay: tuple[Cure, ...]
    add: tuple[Cure, ...]


def cures(position: Position, rules: Rules, target: int) -> Cures:
    """Up to a health factor of `target` (wad)."""
    missing = _missing(position, rules, target)
    return Cures(
        tuple(_repaid(position, rules, target, leg, missing) for leg in position.debt),
        tuple(_added(position, rules, target, leg, missing) for leg in position.collateral),
    )


def _missing(position: Position, rules: Rules, target: int) -> Fraction:
    """USD of weighted collateral, unrounded; below 0 when there is enough."""
    found = Fraction(0)
    for debt in position.debt:
        found += usd(debt, rules.owed(debt)) * Fraction(target, WAD)
    for leg in position.collateral:
        found -= usd(leg, rules.held(leg)) * Fraction(leg.threshold_bps, BPS)
    return found


def _repaid(position: Position, rules: Rules, target: int, leg: DebtLeg, missing: Fraction) -> Cure:
    owed = rules.owed(leg)
    measured = rules.beside(position.parted(lambda each: each is not leg)[0])

    def enough(amount: int) -> bool:
        left = (leg.owing(owed - amount),) if amount < owed else ()
        return measured(Position((), left)).health_factor >= target

    if not enough(owed):
        return Cure(leg.asset, None)
    return Cure(leg.asset, _least(enough, leg, missing * Fraction(WAD, target)))


def _added(position: Position, rules: Rules, target: int, leg: CollateralLeg, missing: Fraction) -> Cure:
    held = rules.held(leg)
    measured = rules.beside(position.parted(lambda each: each is not leg)[0])

    def enough(amount: int) -> bool:
        return measured(Position((leg.holding(held + amount),), ())).health_factor >= target

    if leg.threshold_bps == 0:
        return Cure(leg.asset, 0 if enough(0) else None)
    return Cure(leg.asset, _least(enough, leg, missing * Fraction(BPS, leg.threshold_bps)))


def _least(enough: Callable[[int], bool], leg: Leg, worth: Fraction) -> int | None:
    return first_that_holds(enough, ceil(worth / usd(leg, 1)))
