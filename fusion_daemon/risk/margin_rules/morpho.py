"""Morpho Blue: isolated markets of one collateral and one loan asset, compared in base units of the loan asset.

    borrowed       shares x (total borrowed assets + 1) / (total borrowed shares + 1e6), up
    oracle price   of a base unit of collateral in base units of the loan asset, x 1e36, down
    may borrow     (collateral x oracle price / 1e36, down) x LLTV / 1e18, down
    healthy        may borrow >= borrowed, and always without debt: then no price is read

The protocol knows no health factor: it is what may be borrowed x 1e18 / borrowed, rounded down, so that it is below
1e18 if and only if the position is unhealthy. USD amounts are for display and for what may still be borrowed.
The LTV is this daemon's own limit for borrowing; on chain it is the LLTV, so give the threshold twice.
"""

from __future__ import annotations

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.aave import balance_down, balance_up
from fusion_daemon.risk.margin_rules.measure import NO_DEBT, Measure, Rules, measure_of, share_down, sums_of
from fusion_daemon.risk.margin_rules.position import CollateralLeg, DebtLeg, Position

VIRTUAL_ASSETS = 1
VIRTUAL_SHARES = 10**6
_ORACLE_DECIMALS = 36
_ORACLE_UNIT = 10**36


def borrowed(leg: DebtLeg) -> int:
    if leg.pool is None:
        return balance_up(leg)
    assets = leg.pool.borrowed_assets + VIRTUAL_ASSETS
    return -(-leg.scaled * assets // (leg.pool.borrowed_shares + VIRTUAL_SHARES))


def measure(position: Position) -> Measure:
    """Takes one leg of each side at most."""
    if not position.debt:
        sums = sums_of(position.collateral, balance_down, 0)
        return measure_of(sums, NO_DEBT, sums.lendable)
    (loan,) = position.debt
    owed = borrowed(loan)
    bearable = sum(share_down(_in_loan(leg, loan), leg.threshold_bps) for leg in position.collateral)
    lendable = sum(share_down(_in_loan(leg, loan), leg.ltv_bps) for leg in position.collateral)
    sums = sums_of(position.collateral, balance_down, loan.usd_up(owed))
    return measure_of(sums, bearable * WAD // owed, loan.usd_down(max(lendable - owed, 0)))


def _in_loan(leg: CollateralLeg, loan: DebtLeg) -> int:
    scale: int = 10 ** (_ORACLE_DECIMALS + loan.decimals + loan.quote.decimals)
    unit: int = 10 ** (leg.decimals + leg.quote.decimals)
    price: int = leg.quote.price * scale // (loan.quote.price * unit)
    return balance_down(leg) * price // _ORACLE_UNIT


RULES = Rules(measure, balance_down, borrowed, steps=None)
