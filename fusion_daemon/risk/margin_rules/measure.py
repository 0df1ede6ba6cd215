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
class Sums:
    """Over legs, each rounded on its own: so the sums of two parts of a position add up to those of the whole."""

    collateral: int
    by_threshold: int
    """Values x basis points, whole, as is `by_ltv`."""
    by_ltv: int
    borne: int
    """Values x threshold, rounded down leg by leg, as is `lendable` of the LTV."""
    lendable: int
    debt: int

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.collateral + other.collateral,
            self.by_threshold + other.by_threshold,
            self.by_ltv + other.by_ltv,
            self.borne + other.borne,
            self.lendable + other.lendable,
            self.debt + other.debt,
        )

    @property
    def average_threshold_bps(self) -> int:
        return self.by_threshold // self.collateral if self.collateral else 0

    @property
    def average_ltv_bps(self) -> int:
        return self.by_ltv // self.collateral if self.collateral else 0


@dataclass(frozen=True, slots=True)
class Steps:
    """A measure in two steps: of legs, and of their sums."""

    sums: Callable[[Position], Sums]
    judge: Callable[[Sums], Measure]


@dataclass(frozen=True, slots=True)
class Rules:
    """Pure functions of what they are given."""

    measure: Callable[[Position], Measure]
    held: Callable[[CollateralLeg], int]
    """Base units of a leg."""
    owed: Callable[[DebtLeg], int]
    steps: Steps | None
    """None where legs of both sides are compared with each other."""

    def beside(self, rest: Position) -> Callable[[Position], Measure]:
        """Measures what is added to `rest`, whose own legs are looked at once: for a search among many prices."""
        steps = self.steps
        if steps is None:
            return lambda part: self.measure(rest.joined(part))
        fixed = steps.sums(rest)
        return lambda part: steps.judge(fixed + steps.sums(part))


def in_steps(steps: Steps, held: Callable[[CollateralLeg], int], owed: Callable[[DebtLeg], int]) -> Rules:
    return Rules(lambda position: steps.judge(steps.sums(position)), held, owed, steps)


def sums_of(collateral: Iterable[CollateralLeg], held: Callable[[CollateralLeg], int], debt: int) -> Sums:
    """Each leg's value is rounded down."""
    total = by_threshold = by_ltv = borne = lendable = 0
    for leg in collateral:
        value = leg.usd_down(held(leg))
        total += value
        by_threshold += value * leg.threshold_bps
        by_ltv += value * leg.ltv_bps
        borne += share_down(value, leg.threshold_bps)
        lendable += share_down(value, leg.ltv_bps)
    return Sums(total, by_threshold, by_ltv, borne, lendable, debt)


def measure_of(sums: Sums, health_factor: int, available_borrows: int) -> Measure:
    """`available_borrows` is what is left for more, or below 0."""
    return Measure(
        collateral=sums.collateral,
        debt=sums.debt,
        health_factor=min(health_factor, NO_DEBT),
        available_borrows=max(available_borrows, 0),
        average_threshold_bps=sums.average_threshold_bps,
        average_ltv_bps=sums.average_ltv_bps,
    )


def share_down(value: int, bps: int) -> int:
    return value * bps // BPS


def share_half_up(value: int, bps: int) -> int:
    return (value * bps + BPS // 2) // BPS
