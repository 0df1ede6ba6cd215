"""Aave v3, in its two generations of rounding.

                                v3.0 to v3.4                       v3.5 and later
    balance of collateral       scaled x index / 1e27, half up     the same, down
    balance of debt             half up                            up
    value of collateral, debt   down, down                         down, up
    averages (bps)              down                               down, for display only
    health factor               W x 1e18 / debt, half up, with     (S x 1e18 / debt, half up) / 1e4, down,
                                W = collateral x average / 1e4     with S = sum of value x threshold
                                half up
    available                   collateral x average LTV / 1e4     the same, down, - debt
                                half up, - debt

In the old generation a debt of less than one base unit is worth nothing, so its health factor is the largest; and the
average threshold loses up to a basis point, so more collateral of a low threshold may lower the health factor.
In the new one neither is so: there a debt counts as one unit, and a health factor only grows with collateral.
Its half up makes a health factor of 1 - 1e-22 a 1 only above 2e18 base units of debt, 20 billion USD.
"""

from __future__ import annotations

from fusion_daemon.risk.margin import RAY, WAD, Totals, debt_balance, health_factor
from fusion_daemon.risk.margin_rules.measure import (
    NO_DEBT,
    Measure,
    Steps,
    Sums,
    in_steps,
    measure_of,
    share_down,
    share_half_up,
    sums_of,
)
from fusion_daemon.risk.margin_rules.position import DebtLeg, Leg, Position


def balance_down(leg: Leg) -> int:
    return leg.scaled * leg.index // RAY


def balance_up(leg: DebtLeg) -> int:
    return debt_balance(leg.scaled, leg.index)


def _balance_half_up(leg: Leg) -> int:
    return (leg.scaled * leg.index + RAY // 2) // RAY


def _sums_v3_5(position: Position) -> Sums:
    debt = sum(leg.usd_up(balance_up(leg)) for leg in position.debt)
    return sums_of(position.collateral, balance_down, debt)


def _judge_v3_5(sums: Sums) -> Measure:
    health = health_factor(Totals(sums.collateral, sums.by_threshold, sums.debt))
    available = share_down(sums.collateral, sums.average_ltv_bps) - sums.debt
    return measure_of(sums, NO_DEBT if health is None else health, available)


def _sums_v3_0(position: Position) -> Sums:
    debt = sum(leg.usd_down(_balance_half_up(leg)) for leg in position.debt)
    return sums_of(position.collateral, _balance_half_up, debt)


def _judge_v3_0(sums: Sums) -> Measure:
    weighted = share_half_up(sums.collateral, sums.average_threshold_bps)
    health = (weighted * WAD + sums.debt // 2) // sums.debt if sums.debt else NO_DEBT
    return measure_of(sums, health, share_half_up(sums.collateral, sums.average_ltv_bps) - sums.debt)


V3_5 = in_steps(Steps(_sums_v3_5, _judge_v3_5), balance_down, balance_up)
V3_0 = in_steps(Steps(_sums_v3_0, _judge_v3_0), _balance_half_up, _balance_half_up)
