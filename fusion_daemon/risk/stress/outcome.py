"""Where a position stands, in integers: before a scenario and under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fusion_daemon.risk.margin_rules.measure import Measure, Rules, sums_of
from fusion_daemon.risk.margin_rules.position import Position
from fusion_daemon.risk.settings import BPS


class State(StrEnum):
    HEALTHY = "healthy"
    LIQUIDATABLE = "liquidatable"
    INSOLVENT = "insolvent"
    """More is owed than held: selling everything does not pay the debt."""


@dataclass(frozen=True, slots=True)
class Outcome:
    measure: Measure
    margin_shortfall: int
    """USD x 1e8 of debt beyond what the collateral bears by its thresholds, rounded up; the state is decided by the
    rules' own health factor, whose roundings may differ from it by a unit a leg (by a basis point in aave_v3_0)."""

    @property
    def equity(self) -> int:
        """USD x 1e8, negative by the bad debt."""
        return self.measure.collateral - self.measure.debt

    @property
    def bad_debt(self) -> int:
        return max(-self.equity, 0)

    @property
    def state(self) -> State:
        if self.equity < 0:
            return State.INSOLVENT
        return State.LIQUIDATABLE if self.measure.liquidatable else State.HEALTHY


def outcome(position: Position, rules: Rules) -> Outcome:
    measure = rules.measure(position)
    weighted = sums_of(position.collateral, rules.held, 0).by_threshold
    return Outcome(measure, max(measure.debt - weighted // BPS, 0))


def worst(outcomes: Mapping[str, Outcome]) -> str:
    """The lowest health factor; among equal ones the least equity, then the first."""
    return min(outcomes, key=lambda name: (outcomes[name].measure.health_factor, outcomes[name].equity))
