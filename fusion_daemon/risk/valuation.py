"""What an account's legs are worth, exactly, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable

from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.journal import Side
from fusion_daemon.domain.margin import MarginState
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.risk.episodes import Assessment
from fusion_daemon.risk.margin import (
    Rule,
    Totals,
    collateral_value,
    debt_balance,
    debt_value,
    figures,
    health_factor,
)
from fusion_daemon.risk.portfolio import Leg, Portfolio

Pick = Callable[[Price], int]


def middle(price: Price) -> int:
    return price.usd


def low(price: Price) -> int:
    return price.usd_low


def high(price: Price) -> int:
    return price.usd_high


def balance_at(leg: Leg, at: int) -> int:
    """Base units at unix second `at`, interest included."""
    return leg.amount if leg.side is Side.COLLATERAL else debt_balance(leg.amount, leg.market.index_at(at))


def value_at(portfolio: Portfolio, leg: Leg, at: int, pick: Pick = middle) -> int | None:
    """USD x 1e8 of one leg at unix second `at`; None: it has no value yet.

    Collateral in a token that the configuration does not name is worth 0: what the desk cannot
    price it lends nothing on. Every other leg without a price or parameters has no value.
    """
    market = leg.market
    if market.asset is None:
        return 0 if leg.side is Side.COLLATERAL else None
    price = portfolio.prices.get(market.asset)
    parameters = market.parameters.last
    if price is None or parameters is None:
        return None
    if leg.side is Side.COLLATERAL:
        return collateral_value(leg.amount, pick(price), parameters.decimals)
    return debt_value(balance_at(leg, at), pick(price), parameters.decimals)


def totals(
    portfolio: Portfolio, account: AccountId, at: int, collateral_at: Pick = middle, debt_at: Pick = middle
) -> Totals | None:
    """Sums at unix second `at`; None when a leg has no value yet, so that nothing can be decided."""
    collateral = weighted = debt = 0
    for leg in portfolio.legs(account):
        held = leg.side is Side.COLLATERAL
        usd = value_at(portfolio, leg, at, collateral_at if held else debt_at)
        if usd is None:
            return None
        if not held:
            debt += usd
        elif usd:
            parameters = leg.market.parameters.last
            collateral += usd
            weighted += usd * (0 if parameters is None else parameters.liquidation_threshold_bps)
    return Totals(collateral, weighted, debt)


def assess(
    portfolio: Portfolio, account: AccountId, sums: Totals, state: MarginState, at: int, rule: Rule
) -> Assessment:
    """Everything shown of an account whose `sums` made it `state`.

    With a stale or suspect price it is unconfirmed, and the health interval is what the sources
    allow: collateral at the low and debt at the high prices, and the other way round.
    """
    shown = figures(sums, state, rule)
    if is_confirmed(portfolio, account):
        return Assessment(state, shown, True, shown.health_factor, shown.health_factor)
    worst = totals(portfolio, account, at, low, high)
    best = totals(portfolio, account, at, high, low)
    return Assessment(
        state,
        shown,
        False,
        None if worst is None else health_factor(worst),
        None if best is None else health_factor(best),
    )


def is_confirmed(portfolio: Portfolio, account: AccountId) -> bool:
    """Every price that the account rests on is live."""
    assets = {leg.market.asset for leg in portfolio.legs(account)}
    prices = (portfolio.prices.get(asset) for asset in assets if asset is not None)
    return all(price is None or price.status is PriceStatus.LIVE for price in prices)
