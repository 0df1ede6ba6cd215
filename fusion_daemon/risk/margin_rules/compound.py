"""Compound III: one base asset is borrowed, everything else is collateral.

    value of a leg    balance x price / scale, toward zero: of the debt too, which favours who owes
    borne by it       value x factor, down, leg by leg
    liquidity         what is borne - value of the debt; below 0: may be liquidated

The factors are liquidateCF (the threshold) and borrowCF (the LTV), which on chain are wads and here basis points; the
index on chain has 15 decimals and here 27. The protocol knows no health factor: it is what is borne by liquidateCF,
x 1e18 / debt, rounded down, so that it is below 1e18 if and only if the liquidity is below 0.
"""

from __future__ import annotations

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.aave import balance_down
from fusion_daemon.risk.margin_rules.measure import NO_DEBT, Measure, Steps, Sums, in_steps, measure_of, sums_of
from fusion_daemon.risk.margin_rules.position import Position


def _sums(position: Position) -> Sums:
    debt = sum(leg.usd_down(balance_down(leg)) for leg in position.debt)
    return sums_of(position.collateral, balance_down, debt)


def _judge(sums: Sums) -> Measure:
    health = sums.borne * WAD // sums.debt if sums.debt else NO_DEBT
    return measure_of(sums, health, sums.lendable - sums.debt)


RULES = in_steps(Steps(_sums, _judge), balance_down, balance_down)
