"""The alerts over HTTP. Handlers run on the asyncio side, each reading in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from fusion_daemon.domain.alert import Severity
from fusion_daemon.http.pages import PAGE_QUERY, Page, bad_cursor, page_of, page_reply
from fusion_daemon.http.problem import not_found
from fusion_daemon.http.route import Reply, Request, Route, reply_json
from fusion_daemon.store import Reader, Row, Store

_ALERT_COLUMNS = "id, type, severity, account, occurred_at, accepted_at, summary, state"

_LIST = f"""
SELECT {_ALERT_COLUMNS} FROM alerts
WHERE ($1::text IS NULL OR account = $1)
  AND ($2::timestamptz IS NULL OR (accepted_at, id) < ($2, $3))
ORDER BY accepted_at DESC, id DESC LIMIT $4
"""  # noqa: S608 - a constant of this module

_ONE = f"SELECT {_ALERT_COLUMNS}, data FROM alerts WHERE id = $1"  # noqa: S608 - a constant of this module

_DELIVERIES = """
SELECT id, receiver, channel, target, state, attempts, created_at, due_at FROM deliveries
WHERE alert_id = $1 ORDER BY receiver, id
"""

_ATTEMPTS = """
SELECT delivery_id, attempt, started_at, finished_at, outcome, code, latency_ms, detail, next_due_at
FROM delivery_attempts WHERE delivery_id = ANY ($1::text[]) ORDER BY delivery_id, attempt
"""

_WAITING = ("pending", "retrying")


def routes(store: Store) -> Sequence[Route]:
    async def alerts(request: Request) -> Reply:
        page = page_of(request)
        rows = await store.query(read_alerts, request.query.get("account"), page)
        last = f"{rows[-1].moment('accepted_at').isoformat()}|{rows[-1].text('id')}" if rows else None
        return page_reply(page, "/v1/alerts", "alerts", [_alert(row) for row in rows], last)

    async def alert(request: Request) -> Reply:
        found = await store.query(read_alert, request.path["id"])
        if found is None:
            raise not_found("alert of that id")
        return reply_json(found)

    return (
        Route(
            "GET",
            "/v1/alerts",
            alerts,
            "Alerts, newest first; of one account with ?account=.",
            query=("account", *PAGE_QUERY),
        ),
        Route("GET", "/v1/alerts/{id}", alert, "One alert with its deliveries and every attempt at them."),
    )


async def read_alerts(reader: Reader, account: str | None, page: Page) -> list[Row]:
    """One page, newest first. Raises Problem for a cursor that is not ours."""
    before, last = (None, None) if page.after is None else _position(page.after)
    return await reader.fetch(_LIST, account, before, last, page.limit)


async def read_alert(reader: Reader, alert: str) -> Mapping[str, object] | None:
    """An alert with its body, its deliveries and their attempts; None if there is none of that id."""
    row = await reader.fetch_one(_ONE, alert)
    if row is None:
        return None
    deliveries = await reader.fetch(_DELIVERIES, alert)
    attempts: dict[str, list[object]] = {each.text("id"): [] for each in deliveries}
    for each in await reader.fetch(_ATTEMPTS, [*attempts]):
        attempts[each.text("delivery_id")].append(_attempt(each))
    return {
        **_alert(row),
        "data": msgspec.Raw(row.json("data")),
        "deliveries": [_delivery(each, attempts[each.text("id")]) for each in deliveries],
    }


def _position(key: str) -> tuple[datetime, str]:
    at, separator, alert = key.partition("|")
    try:
        accepted_at = datetime.fromisoformat(at)
    except ValueError as error:
        raise bad_cursor() from error
    if not separator or accepted_at.tzinfo is None:
        raise bad_cursor()
    return accepted_at, alert


def _alert(row: Row) -> dict[str, object]:
    return {
        "id": row.text("id"),
        "type": row.text("type"),
        "severity": Severity(row.integer("severity")).name.lower(),
        "account": row.optional_text("account"),
        "occurred_at": row.moment("occurred_at"),
        "accepted_at": row.moment("accepted_at"),
        "summary": row.text("summary"),
        "state": row.text("state"),
    }


def _delivery(row: Row, attempts: list[object]) -> dict[str, object]:
    state = row.text("state")
    return {
        "id": row.text("id"),
        "receiver": row.text("receiver"),
        "channel": row.text("channel"),
        "target": _public(row.text("target")),
        "state": state,
        "created_at": row.moment("created_at"),
        "due_at": row.moment("due_at") if state in _WAITING else None,
        "attempts": attempts,
    }


def _attempt(row: Row) -> dict[str, object]:
    return {
        "attempt": row.integer("attempt"),
        "started_at": row.moment("started_at"),
        "finished_at": row.moment("finished_at"),
        "outcome": row.text("outcome"),
        "code": row.optional_integer("code"),
        "latency_ms": None if row.text("outcome") == "interrupted" else row.number("latency_ms"),
        "detail": row.text("detail"),
        "next_due_at": row.optional_moment("next_due_at"),
    }


def _public(target: str) -> str:
    """A webhook's path and query may be its secret: its origin has to do. A mail address is shown."""
    if "://" not in target:
        return target
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")
