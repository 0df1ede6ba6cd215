"""The alerts over HTTP, as plain coroutine functions on the asyncio side."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from fusion_daemon.alerting.routes import routes
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Reply, Request
from tests.faults.receiver import BROKEN, Receiver
from tests.integration.alerting.desk import Desk, webhook
from tests.unit.alerting.margin_events import margin_event


async def get(desk: Desk, path: str, query: Mapping[str, str] | None = None, **parts: str) -> Reply:
    handlers = {route.path: route.handler for route in routes(desk.store)}
    request = Request("GET", parts, query or {}, {}, b"", None, "request-1")
    return await desk.aio.call(handlers[path], request, timeout=10.0)


async def test_an_alert_with_its_deliveries_and_attempts(desk: Desk, receiver: Receiver) -> None:
    receiver.first(BROKEN)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        [alert] = json.loads((await get(desk, "/v1/alerts")).body)["alerts"]
        waiting = json.loads((await get(desk, "/v1/alerts/{id}", id=alert["id"])).body)
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
    assert waiting["deliveries"][0]["due_at"] is not None
    shown = json.loads((await get(desk, "/v1/alerts/{id}", id=alert["id"])).body)
    assert (shown["severity"], shown["state"], shown["data"]["after"]) == (
        "critical",
        "routed",
        "MARGIN_CALL",
    )
    [delivery] = shown["deliveries"]
    assert (delivery["state"], delivery["due_at"], delivery["receiver"]) == ("delivered", None, "desk")
    assert delivery["id"] == receiver.arrivals()[0].webhook_id
    assert [(each["outcome"], each["code"]) for each in delivery["attempts"]] == [
        ("failed", 500),
        ("delivered", 204),
    ]


async def test_a_webhooks_path_is_not_shown(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    [alert] = json.loads((await get(desk, "/v1/alerts")).body)["alerts"]
    reply = await get(desk, "/v1/alerts/{id}", id=alert["id"])
    assert json.loads(reply.body)["deliveries"][0]["target"] == receiver.url.removesuffix("/alerts")


async def test_pages_show_every_alert_once_newest_first(desk: Desk) -> None:
    for episode in range(1, 6):  # two alerts of each instant: the id decides between them
        await desk.accept(margin_event(episode=episode), margin_event(account="acct-2", episode=episode))
        desk.clock.advance(1)
    seen: list[str] = []
    query: dict[str, str] = {"limit": "3"}
    while True:
        page = json.loads((await get(desk, "/v1/alerts", query)).body)
        seen += [each["id"] for each in page["alerts"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    rows = await desk.store.rows("SELECT id FROM alerts ORDER BY accepted_at DESC, id DESC")
    assert seen == [row.text("id") for row in rows]
    assert len(seen) == 10


async def test_of_one_account(desk: Desk) -> None:
    await desk.accept(margin_event(), margin_event(account="acct-2"))
    page = json.loads((await get(desk, "/v1/alerts", {"account": "acct-2"})).body)
    assert [each["account"] for each in page["alerts"]] == ["acct-2"]


async def test_no_such_alert(desk: Desk) -> None:
    with pytest.raises(Problem) as raised:
        await get(desk, "/v1/alerts/{id}", id="mrg_0_1_1")
    assert raised.value.status == 404


@pytest.mark.parametrize("cursor", ["!", "YQ", "MjAyNi0wMS0wMXxh", "MjAyNi0wMS0wMVQwMDowMDowMCswMDowMA"])
async def test_a_cursor_that_is_not_ours(desk: Desk, cursor: str) -> None:
    """Not base64; no date; a date without a zone; no id."""
    with pytest.raises(Problem) as raised:
        await get(desk, "/v1/alerts", {"cursor": cursor})
    assert raised.value.status == 400
