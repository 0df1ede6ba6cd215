"""Exact margin arithmetic: integers end to end, no clock, no I/O.

Rounding is Aave's since v3.5: every leg is rounded on its own before summing, against the borrower.
A collateral leg's value is rounded down, a debt leg's balance and value up, so a debt of less than
one base unit still counts as one. A state is decided by cross-multiplication, never by a rounded ratio.

USD amounts are integers x 1e8. "Weighted" amounts are USD x 1e8 x basis points, kept whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.margin import MarginFigures, MarginState
from fusion_daemon.risk.settings import BPS, RiskSettings

RAY = 10**27
WAD = 10**18
_SQUARE = BPS * BPS
_RISING = (MarginState.HEALTHY, MarginState.WARNING, MarginState.MARGIN_CALL)


@dataclass(frozen=True, slots=True)
class Totals:
    """An account's sums over all chains."""

    collateral: int
    """USD x 1e8."""
    weighted: int
    """Sum of value x liquidation threshold, the numerator S of the health factor: USD x 1e8 x bps.

    Without credit lines: the desk grants one on a chain against collateral on another, which is in here
    already and must not count twice.
    """
    debt: int
    """USD x 1e8."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one level asks of an account, cross-multiplied: collateral x 1e8 >= `score` x debt and
    weighted x 1e4 >= `health` x debt."""

    score: int
    health: int

    def met(self, totals: Totals) -> bool:
        return (
            totals.collateral * _SQUARE >= self.score * totals.debt
            and totals.weighted * BPS >= self.health * totals.debt
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """The limits of both measures, ready to decide with."""

    bounds: tuple[Need, Need, Need]
    """Of HEALTHY, WARNING and MARGIN_CALL."""
    cleared: tuple[Need, Need, Need]
    """The same raised by the hysteresis: what it takes to get better into that level."""
    assumed_threshold_bps: int


def rule_of(settings: RiskSettings) -> Rule:
    def needs(margin: int) -> tuple[Need, Need, Need]:
        healthy, warning, margin_call = (
            Need(_SQUARE + score * (BPS + margin), health * (BPS + margin))
            for score, health in zip(settings.score.falling(), settings.health.falling(), strict=True)
        )
        return healthy, warning, margin_call

    return Rule(needs(0), needs(settings.hysteresis_bps), settings.assumed_threshold_bps)


def collateral_value(balance: int, usd: int, decimals: int) -> int:
    """`balance` base units at `usd` (x 1e8) a whole unit, rounded down."""
    unit: int = 10**decimals
    return balance * usd // unit


def debt_value(balance: int, usd: int, decimals: int) -> int:
    """The same, rounded up."""
    unit: int = 10**decimals
    return -(-balance * usd // unit)


def borrow_index(index: int, rate: int, elapsed: int) -> int:
    """The index (ray) `elapsed` seconds after its update at `rate` (ray per second), simple, rounded down.

    A time before the update (another chain's clock is behind) accrues nothing.
    """
    return index * (RAY + rate * max(elapsed, 0)) // RAY


def debt_balance(scaled: int, index: int) -> int:
    """Base units owed for `scaled` principal at `index` (ray), rounded up."""
    return -(-scaled * index // RAY)


def health_factor(totals: Totals) -> int | None:
    """Wad; None without debt. (S x 1e18 / debt, half up) / 10,000, rounded down: for display only."""
    if totals.debt == 0:
        return None
    return (totals.weighted * WAD + totals.debt // 2) // totals.debt // BPS


def score_bps(totals: Totals) -> int | None:
    """(collateral - debt) / debt in basis points, rounded down; None without debt: for display only."""
    if totals.debt == 0:
        return None
    return (totals.collateral - totals.debt) * BPS // totals.debt


def level(totals: Totals, needs: tuple[Need, Need, Need]) -> MarginState:
    """The worse of the two measures: the first level whose need both of them meet."""
    for state, need in zip(_RISING, needs, strict=True):
        if need.met(totals):
            return state
    return MarginState.LIQUIDATION


def decide(totals: Totals, before: MarginState, rule: Rule) -> MarginState:
    """The state after `before`.

    INVARIANT: worse at once; better only into a level whose bound, raised by the hysteresis, both
    measures reach. So the result lies between the bare level and `before`.
    """
    if totals.debt == 0:
        return MarginState.HEALTHY
    bare = level(totals, rule.bounds)
    if bare >= before:
        return bare
    return max(bare, min(before, level(totals, rule.cleared)))


def figures(totals: Totals, state: MarginState, rule: Rule) -> MarginFigures:
    """What is shown of an account in `state`."""
    repay, deposit = (0, 0) if state is MarginState.HEALTHY else cure(totals, rule)
    return MarginFigures(
        collateral_usd=totals.collateral,
        debt_usd=totals.debt,
        threshold_usd=totals.weighted // BPS,
        health_factor=health_factor(totals),
        score_bps=score_bps(totals),
        cure_repay_usd=repay,
        cure_deposit_usd=deposit,
    )


def cure(totals: Totals, rule: Rule) -> tuple[int, int]:
    """USD x 1e8 to repay, or to deposit, either of which makes the account HEALTHY at these prices.

    INVARIANT: applying one of them meets `cleared` HEALTHY by both measures, hence the hysteresis
    too. Repaid or deposited amounts in base units must be rounded up from these. The deposit is
    quoted at the account's average liquidation threshold, rounded down to whole basis points as
    Aave shows it, else at the assumed one.
    """
    need = rule.cleared[0]
    bearable = min(totals.collateral * _SQUARE // need.score, totals.weighted * BPS // need.health)
    average = totals.weighted // totals.collateral if totals.collateral else 0
    by_score = _up(need.score * totals.debt, _SQUARE) - totals.collateral
    by_health = _up(need.health * totals.debt - totals.weighted * BPS, BPS * (average or rule.assumed_threshold_bps))
    return max(totals.debt - bearable, 0), max(by_score, by_health, 0)


def _up(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
