"""HTTP: an account's margin as it stands, and the events that led there. Handlers run on the asyncio side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fusion_daemon.domain.identifiers import AccountId, hex_of
from fusion_daemon.domain.margin import MarginEvent, MarginFigures
from fusion_daemon.domain.price import Price
from fusion_daemon.http import (
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
from fusion_daemon.risk.records import figures_json, inputs_json
from fusion_daemon.risk.report import AccountMargin, LegReport
from fusion_daemon.risk.repository import RecordedEvent, events_of_account
from fusion_daemon.store import Store

AskMargin = Callable[[AccountId], Awaitable[AccountMargin | None]]
"""asyncio side: crosses to the risk calculator's mailbox and back, with a deadline."""

_NEWEST = 2**63 - 1


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
        Route(
            "GET", "/v1/accounts/{id}/margin", margin, "An account's margin now: state, figures, legs, inputs"
        ),
        Route("GET", "/v1/accounts/{id}/margin/events", events, "An account's margin events, newest first"),
    )


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
        "health_low": _text(margin.health_low),
        "health_high": _text(margin.health_high),
        "credit_usd": str(margin.credit_usd),
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
        "usd": _text(leg.usd),
        "liquidation_threshold_bps": leg.threshold_bps,
        "price": _price(leg.price),
    }


def _price(price: Price | None) -> dict[str, object] | None:
    if price is None:
        return None
    return {
        "seq": price.seq,
        "usd": str(price.usd),
        "usd_low": str(price.usd_low),
        "usd_high": str(price.usd_high),
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
        "health_low": _text(event.health_low),
        "health_high": _text(event.health_high),
        "inputs": inputs_json(event.inputs),
    }


def _figures(figures: MarginFigures | None) -> dict[str, str | None] | None:
    return None if figures is None else figures_json(figures)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
