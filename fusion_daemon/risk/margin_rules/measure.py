"""What a set of rules makes of a position."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Position
from fusion_daemon.risk.settings import BPS

NO_DEBT = 2**256 - 1
"""The health factor of who owes nothing."""


@dataclass(frozen=True, slots=True)
class Measure:
    collateral: int
    """USD x 1e8, as is the debt."""
    debt: int
    health_factor: int
    """Wad."""
    available_borrows: int
    """USD x 1e8 that may still be borrowed, never below 0."""
    average_threshold_bps: int
    average_ltv_bps: int
    """Weighted by value, rounded down; 0 without collateral."""

    @property
    def liquidatable(self) -> bool:
        return self.health_factor < WAD


@dataclass(frozen=True, slots=True)
class Rules:
    """Pure functions of what they are given."""

    measure: Callable[[Position], Measure]
    held: Callable[[CollateralLeg], int]
    """Base units of a leg."""
    owed: Callable[[DebtLeg], int]


@dataclass(frozen=True, slots=True)
class Sums:
    """Over the legs: values, and values weighted in basis points."""

    collateral: int
    by_threshold: int
    by_ltv: int

    @property
    def average_threshold_bps(self) -> int:
        return self.by_threshold // self.collateral if self.collateral else 0

    @property
    def average_ltv_bps(self) -> int:
        return self.by_ltv // self.collateral if self.collateral else 0


def sums_of(legs: Iterable[CollateralLeg], held: Callable[[CollateralLeg], int]) -> Sums:
    """Each leg's value is rounded down."""
    collateral = by_threshold = by_ltv = 0
    for leg in legs:
        value = leg.usd_down(held(leg))
        collateral += value
        by_threshold += value * leg.threshold_bps
        by_ltv += value * leg.ltv_bps
    return Sums(collateral, by_threshold, by_ltv)


def share_down(value: int, bps: int) -> int:
    return value * bps // BPS


def share_half_up(value: int, bps: int) -> int:
    return (value * bps + BPS // 2) // BPS
