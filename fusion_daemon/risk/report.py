"""What the API shows of one account's margin: figures, legs and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.identifiers import AccountId, Address, AssetId, ChainId
from fusion_daemon.domain.journal import Side
from fusion_daemon.domain.margin import MarginFigures, MarginInputs, MarginState
from fusion_daemon.domain.price import Price
from fusion_daemon.risk.episodes import UNKNOWN
from fusion_daemon.risk.monitor import MarginMonitor
from fusion_daemon.risk.valuation import assess, balance_at, valuation_of, value_at


@dataclass(frozen=True, slots=True)
class LegReport:
    chain: ChainId
    vault: Address
    owner: Address
    token: Address
    asset: AssetId | None
    side: Side
    balance: int
    """Base units, interest included."""
    usd: int | None
    """USD x 1e8 at the worst that its price allows; None: no price or no parameters yet."""
    threshold_bps: int | None
    price: Price | None


@dataclass(frozen=True, slots=True)
class AccountMargin:
    account: AccountId
    registered: bool
    state: MarginState
    """As last decided: hysteresis included."""
    episode: int
    step: int
    confirmed: bool
    figures: MarginFigures
    """At `inputs.as_of`, at the worst that the prices allow."""
    health_low: int | None
    health_high: int | None
    credit_usd: int
    legs: tuple[LegReport, ...]
    inputs: MarginInputs


def report(monitor: MarginMonitor, account: AccountId, now: int) -> AccountMargin | None:
    """The account at unix second `now`; None when nobody registered it and no journal names it."""
    portfolio = monitor.portfolio
    registered = account in portfolio.records
    if not registered and not portfolio.knows(account):
        return None
    standing = monitor.standings.get(account, UNKNOWN)
    found = valuation_of(portfolio, account, now)
    shown = assess(portfolio, account, found, standing.state, now, monitor.rule, monitor.settings)
    return AccountMargin(
        account=account,
        registered=registered,
        state=standing.state,
        episode=standing.episode,
        step=standing.step,
        confirmed=shown.confirmed,
        figures=shown.figures,
        health_low=shown.health_low,
        health_high=shown.health_high,
        credit_usd=portfolio.credit(account),
        legs=_legs(monitor, account, now),
        inputs=monitor.inputs(now, [leg.market for leg in found.unpriced]),
    )


def _legs(monitor: MarginMonitor, account: AccountId, now: int) -> tuple[LegReport, ...]:
    reports = []
    for leg in monitor.portfolio.legs(account):
        market = leg.market
        parameters = market.parameters.last
        reports.append(
            LegReport(
                chain=market.chain,
                vault=market.vault,
                owner=leg.owner[1],
                token=market.token,
                asset=market.asset,
                side=leg.side,
                balance=balance_at(leg, now),
                usd=value_at(monitor.portfolio, leg, now),
                threshold_bps=None if parameters is None else parameters.liquidation_threshold_bps,
                price=None if market.asset is None else monitor.portfolio.prices.get(market.asset),
            )
        )
    return tuple(reports)
