"""What an account's legs are worth, exactly, and what is shown of it.

The rule of doubt: an account is judged, and shown, at the worst that its prices allow.

    price                  collateral     debt
    live                   usd            usd
    stale or suspect       usd_low        usd_high
    none                   nothing        left out: whatever it is, it only makes things worse

So doubt never silences: who is worse at the low end is told at once, unconfirmed. And it does not flap:
better takes the same low end, raised by the hysteresis, so the middle of an interval relieves nobody; a
price that is live again at the high end does. With a debt that has no price nobody gets better.

Confirmed is what rests on live prices alone, none of them older than its lifetime.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fusion_daemon.domain.identifiers import AccountId, hex_of
from fusion_daemon.domain.journal import Side
from fusion_daemon.domain.margin import MarginState
from fusion_daemon.domain.price import PriceStatus
from fusion_daemon.risk.episodes import Assessment
from fusion_daemon.risk.margin import (
    Rule,
    Totals,
    collateral_value,
    debt_balance,
    debt_value,
    decide,
    figures,
    health_factor,
)
from fusion_daemon.risk.portfolio import Leg, Portfolio
from fusion_daemon.risk.registers import Market
from fusion_daemon.risk.settings import RiskSettings


@dataclass(frozen=True, slots=True)
class Valuation:
    """An account at one moment."""

    sums: Totals
    unpriced: tuple[Leg, ...] = ()
    """Legs without a value: counted as nothing."""

    @property
    def owes_unpriced(self) -> bool:
        return any(leg.side is Side.DEBT for leg in self.unpriced)


def balance_at(leg: Leg, at: int) -> int:
    """Base units at unix second `at`, interest included."""
    return leg.amount if leg.side is Side.COLLATERAL else debt_balance(leg.amount, leg.market.index_at(at))


def value_at(portfolio: Portfolio, leg: Leg, at: int, *, best: bool = False) -> int | None:
    """USD x 1e8 of one leg at unix second `at`, at the worst or the best; None: it has no value yet.

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
        usd = price.usd_high if best else price.usd_low
        return collateral_value(leg.amount, usd, parameters.decimals)
    usd = price.usd_low if best else price.usd_high
    return debt_value(balance_at(leg, at), usd, parameters.decimals)


def valuation_of(portfolio: Portfolio, account: AccountId, at: int, *, best: bool = False) -> Valuation:
    """The account at unix second `at`."""
    collateral = weighted = debt = 0
    unpriced: tuple[Leg, ...] = ()
    for leg in portfolio.legs(account):
        usd = value_at(portfolio, leg, at, best=best)
        if usd is None:
            unpriced = (*unpriced, leg)
        elif leg.side is Side.DEBT:
            debt += usd
        elif usd:
            parameters = leg.market.parameters.last
            collateral += usd
            weighted += usd * (0 if parameters is None else parameters.liquidation_threshold_bps)
    return Valuation(Totals(collateral, weighted, debt), unpriced)


def judge(found: Valuation, before: MarginState, rule: Rule) -> MarginState:
    """The state after `before`."""
    state = decide(found.sums, before, rule)
    return max(state, before) if found.unpriced and found.owes_unpriced else state


def assess(
    portfolio: Portfolio,
    account: AccountId,
    found: Valuation,
    state: MarginState,
    at: int,
    rule: Rule,
    settings: RiskSettings,
) -> Assessment:
    """Everything shown of an account that `found` made `state`.

    The health interval reaches from the worst to the best that the prices allow; an end that a leg
    without a price leaves open is None.
    """
    shown = figures(found.sums, state, rule)
    if not found.unpriced and is_confirmed(portfolio, account, at, settings):
        return Assessment(state, shown, True, shown.health_factor, shown.health_factor)
    best = valuation_of(portfolio, account, at, best=True)
    holds_unpriced = any(leg.side is Side.COLLATERAL for leg in found.unpriced)
    return Assessment(
        state,
        shown,
        False,
        None if found.owes_unpriced else shown.health_factor,
        None if holds_unpriced else health_factor(best.sums),
    )


def is_confirmed(portfolio: Portfolio, account: AccountId, at: int, settings: RiskSettings) -> bool:
    """Every price that the account rests on is live and was published a lifetime before `at` or later."""
    for asset in {leg.market.asset for leg in portfolio.legs(account)}:
        price = None if asset is None else portfolio.prices.get(asset)
        if price is None or asset is None:
            continue
        if price.status is not PriceStatus.LIVE or at - price.published_at > settings.lifetime(asset):
            return False
    return True


def names(markets: Iterable[Market]) -> tuple[str, ...]:
    """What has no price, as an operator knows it: an asset, or a token that is none, on its chain."""
    return tuple(sorted({f"{each.asset or hex_of(each.token)} on chain {each.chain}" for each in markets}))
