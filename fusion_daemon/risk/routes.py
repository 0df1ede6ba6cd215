"""HTTP: an account's margin as it stands, the events that led there, and the calls that need nothing but their body.
Handlers run on the asyncio side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import msgspec

from fusion_daemon.domain.decimals import WAD_DECIMALS, decimal_text
from fusion_daemon.domain.identifiers import AccountId, hex_of
from fusion_daemon.domain.margin import MarginEvent, MarginFigures
from fusion_daemon.domain.price import USD_DECIMALS, Price
from fusion_daemon.http import (
    PAGE_QUERY,
    Problem,
    Reply,
    Request,
    Route,
    Routes,
    bad_cursor,
    not_found,
    page_of,
    page_reply,
    reply_json,
)
from fusion_daemon.http.problem import TYPE_PREFIX
from fusion_daemon.risk.clients.calculators import CalculationOverdue
from fusion_daemon.risk.records import inputs_json
from fusion_daemon.risk.report import AccountMargin, LegReport
from fusion_daemon.risk.repository import RecordedEvent, events_of_account
from fusion_daemon.risk.stateless import STATELESS, StatelessCall
from fusion_daemon.store import Store

AskMargin = Callable[[AccountId], Awaitable[AccountMargin | None]]
"""asyncio side: crosses to the risk calculator's mailbox and back, with a deadline."""

AskCalculator = Callable[[str, bytes], Awaitable[bytes]]
"""A call's name and its request, to the answer or a problem object, as JSON."""

_NEWEST = 2**63 - 1
_PROBLEM = f'{{"type":"{TYPE_PREFIX}'.encode()


def routes(store: Store, ask: AskMargin) -> Routes:
    async def margin(request: Request) -> Reply:
        account = AccountId(request.path["id"])
        found = await ask(account)
        if found is None:
            raise not_found(f"account {account}")
        return reply_json(_margin(found))

    async def events(request: Request) -> Reply:
        account = AccountId(request.path["id"])
        page = page_of(request)
        before = _NEWEST if page.after is None else _number(page.after)
        found: Sequence[RecordedEvent] = await store.query(events_of_account, account, before, page.limit)
        last = str(found[-1].seq) if found else None
        path = f"/v1/accounts/{account}/margin/events"
        return page_reply(page, path, "events", [_recorded(each) for each in found], last)

    return (
        Route("GET", "/v1/accounts/{id}/margin", margin, "An account's margin now: state, figures, legs, inputs"),
        Route(
            "GET",
            "/v1/accounts/{id}/margin/events",
            events,
            "An account's margin events, newest first",
            query=PAGE_QUERY,
        ),
    )


def stateless_routes(ask: AskCalculator) -> Routes:
    """`POST /v1/risk/<path>` of every stateless call. They change nothing, so they need no role."""
    return tuple(_stateless(call, ask) for call in STATELESS)


def _stateless(call: StatelessCall, ask: AskCalculator) -> Route:
    async def answer(request: Request) -> Reply:
        if not request.body.strip():
            raise Problem(HTTPStatus.BAD_REQUEST, "not-json", "The body is empty; this request needs JSON.")
        told = await ask(call.name, request.body)
        if told.startswith(_PROBLEM):
            problem = msgspec.json.decode(told, type=_Told)
            raise Problem(problem.status, problem.code, problem.detail, remedy=problem.remedy)
        return Reply(HTTPStatus.OK, told.rstrip())

    return Route("POST", f"/v1/risk/{call.path}", answer, call.summary, failures={CalculationOverdue: 422})


class _Told(msgspec.Struct):
    """A problem as the command line tells it."""

    status: int
    code: str
    detail: str
    remedy: str | None = None


def _number(text: str) -> int:
    if not text.isdecimal() or int(text[:20]) > _NEWEST:
        raise bad_cursor()
    return int(text)


def _margin(margin: AccountMargin) -> dict[str, object]:
    return {
        "account": margin.account,
        "registered": margin.registered,
        "state": margin.state.name,
        "episode": margin.episode,
        "step": margin.step,
        "confirmed": margin.confirmed,
        "figures": _figures(margin.figures),
        "health_low": decimal_text(margin.health_low, WAD_DECIMALS),
        "health_high": decimal_text(margin.health_high, WAD_DECIMALS),
        "credit_usd": decimal_text(margin.credit_usd, USD_DECIMALS),
        "legs": [_leg(leg) for leg in margin.legs],
        "inputs": inputs_json(margin.inputs),
    }


def _leg(leg: LegReport) -> dict[str, object]:
    return {
        "chain": leg.chain,
        "vault": hex_of(leg.vault),
        "owner": hex_of(leg.owner),
        "token": hex_of(leg.token),
        "asset": leg.asset,
        "side": leg.side.value,
        "balance": str(leg.balance),
        "usd": decimal_text(leg.usd, USD_DECIMALS),
        "liquidation_threshold_bps": leg.threshold_bps,
        "price": _price(leg.price),
    }


def _price(price: Price | None) -> dict[str, object] | None:
    if price is None:
        return None
    return {
        "seq": price.seq,
        "usd": decimal_text(price.usd, USD_DECIMALS),
        "usd_low": decimal_text(price.usd_low, USD_DECIMALS),
        "usd_high": decimal_text(price.usd_high, USD_DECIMALS),
        "status": price.status.value,
        "published_at": price.published_at,
    }


def _recorded(recorded: RecordedEvent) -> dict[str, object]:
    event: MarginEvent = recorded.event
    return {
        "seq": recorded.seq,
        "episode": event.episode,
        "step": event.step,
        "kind": event.kind.value,
        "before": event.before.name,
        "after": event.after.name,
        "cause": event.cause.value,
        "confirmed": event.confirmed,
        "past": event.past,
        "figures": _figures(event.figures),
        "health_low": decimal_text(event.health_low, WAD_DECIMALS),
        "health_high": decimal_text(event.health_high, WAD_DECIMALS),
        "inputs": inputs_json(event.inputs),
    }


def _figures(figures: MarginFigures) -> dict[str, str | None]:
    return {
        "collateral_usd": decimal_text(figures.collateral_usd, USD_DECIMALS),
        "debt_usd": decimal_text(figures.debt_usd, USD_DECIMALS),
        "threshold_usd": decimal_text(figures.threshold_usd, USD_DECIMALS),
        "health_factor": decimal_text(figures.health_factor, WAD_DECIMALS),
        "score_percent": decimal_text(figures.score_bps, 2),
        "cure_repay_usd": decimal_text(figures.cure_repay_usd, USD_DECIMALS),
        "cure_deposit_usd": decimal_text(figures.cure_deposit_usd, USD_DECIMALS),
    }
