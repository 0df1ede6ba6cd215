"""Compound III: one base asset is borrowed, everything else is collateral.

    value of a leg    balance x price / scale, toward zero: of the debt too, which favours who owes
    borne by it       value x factor, down, leg by leg
    liquidity         what is borne - value of the debt; below 0: may be liquidated

The factors are liquidateCF (the threshold) and borrowCF (the LTV), which on chain are wads and here basis points; the
index on chain has 15 decimals and here 27. The protocol knows no health factor: it is what is borne by liquidateCF,
x 1e18 / debt, rounded down, so that it is below 1e18 if and only if the liquidity is below 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.aave import balance_down
from fusion_daemon.risk.margin_rules.measure import NO_DEBT, Measure, Rules, share_down, sums_of
from fusion_daemon.risk.margin_rules.position import Position


def measure(position: Position) -> Measure:
    sums = sums_of(position.collateral, balance_down)
    debt = sum(leg.usd_down(balance_down(leg)) for leg in position.debt)
    borne = sum(share_down(value, threshold) for value, threshold, _ in _values(position))
    lendable = sum(share_down(value, ltv) for value, _, ltv in _values(position))
    return Measure(
        collateral=sums.collateral,
        debt=debt,
        health_factor=min(borne * WAD // debt, NO_DEBT) if debt else NO_DEBT,
        available_borrows=max(lendable - debt, 0),
        average_threshold_bps=sums.average_threshold_bps,
        average_ltv_bps=sums.average_ltv_bps,
    )


def _values(position: Position) -> Iterator[tuple[int, int, int]]:
    for leg in position.collateral:
        yield leg.usd_down(balance_down(leg)), leg.threshold_bps, leg.ltv_bps


RULES = Rules(measure, balance_down, balance_down)
