"""The requests by which operators order something about a chain's history, each with its audit row."""

from __future__ import annotations

import json

import msgspec
import pytest

from fusion_daemon.accounts.repository import list_audit
from fusion_daemon.chain.order_views import OrdersView, OrderView, SkippedView
from fusion_daemon.chain.orders import OrderRefused, SkipRefused, Tally
from fusion_daemon.chain.routes import routes
from fusion_daemon.chain.routes_orders import order_routes
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Reply, Request, Role
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import CHAIN, Listening

NAMES = {CHAIN: "test", ChainId(1): "mainnet"}
ORDERS, SKIPS = "/v1/chains/{id}/orders", "/v1/chains/{id}/skips"


async def ask(listening: Listening, method: str, path: str, body: object = None, **places: str) -> Reply:
    served = (*order_routes(listening.aio, listening.store, NAMES), *routes(listening.aio, listening.store, NAMES))
    [route] = [each for each in served if (each.method, each.path) == (method, path)]
    assert route.role is (Role.OPERATOR if method == "POST" else None)
    places = {"id": str(int(CHAIN)), **places}
    sent = msgspec.json.encode(body)
    request = Request(method, places, {}, {}, sent, Principal("ops", Role.OPERATOR), "asked-by-a-test")
    return await listening.aio.call(route.handler, request, timeout=10)


@pytest.fixture
async def read(listening: Listening, node: FakeNode) -> Listening:
    """``0 <- … <- 5, final <- … <- 9``"""
    node.final_number = 5
    for _ in range(9):
        node.mine()
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
    return listening


async def test_an_order_is_shown_until_it_has_ended(read: Listening, node: FakeNode) -> None:
    reply = await ask(read, "POST", ORDERS, {"kind": "replay", "first": 1, "last": 4, "dry_run": True})
    assert reply.status == 202
    made = msgspec.json.decode(reply.body, type=OrderView)
    assert (made.kind, made.first, made.last, made.dry_run, made.state, made.next, made.asked_by) == (
        *("replay", 1, 4, True, "waiting", 1),
        "ops",
    )
    later = msgspec.json.decode((await ask(read, "POST", ORDERS, {"kind": "redecode"})).body, type=OrderView)
    assert (later.first, later.last) == (0, 5)
    async with read.live(node.url):
        while not (view := await shown(read, later.id)).ended:
            pass
    assert (view.state, view.next, view.result) == ("done", 6, Tally(blocks=6))
    assert (await shown(read, made.id)).result == Tally(blocks=4), "the older one was obeyed before"
    listed = msgspec.json.decode((await ask(read, "GET", ORDERS)).body, type=OrdersView)
    assert [each.id for each in listed.orders] == [later.id, made.id]
    audit = await read.store.read(list_audit, None, 10)
    assert [(row.principal, row.action, row.object, row.request_id) for row in audit] == [
        ("ops", "chain.redecode", "31337", "asked-by-a-test"),
        ("ops", "chain.replay", "31337", "asked-by-a-test"),
    ]


async def shown(listening: Listening, number: int) -> OrderView:
    reply = await ask(listening, "GET", ORDERS + "/{order}", order=str(number))
    return msgspec.json.decode(reply.body, type=OrderView)


async def test_a_skip_is_told_with_the_coverage(read: Listening) -> None:
    reply = await ask(read, "POST", SKIPS, {"first": 10, "last": 11, "reason": "nobody gives it"})
    [skip] = msgspec.json.decode(reply.body, type=SkippedView).skips
    assert (skip.first, skip.last, skip.reason, skip.asked_by, skip.in_force_at) == (
        *(10, 11, "nobody gives it", "ops"),
        None,
    )
    view = json.loads((await ask(read, "GET", "/v1/chains/{id}/coverage")).body)
    assert [(each["first"], each["reason"], each["made_good_at"]) for each in view["skips"]] == [
        (10, "nobody gives it", None)
    ]
    [row] = await read.store.read(list_audit, None, 10)
    assert row.action == "chain.skip"
    assert msgspec.json.decode(row.detail) == {"first": 10, "last": 11, "reason": "nobody gives it"}


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        (ORDERS, {"kind": "replay", "first": 3, "last": 6}, OrderRefused),
        (ORDERS, {"kind": "redecode", "last": 9}, OrderRefused),
        (ORDERS, {"kind": "redecode", "first": 6}, OrderRefused),
        (ORDERS, {"kind": "redecode", "first": 50, "last": 60}, OrderRefused),
        (SKIPS, {"first": 2, "last": 2, "reason": "x"}, SkipRefused),
        (SKIPS, {"first": 11, "last": 11, "reason": "x"}, SkipRefused),
    ],
)
async def test_what_is_refused_leaves_nothing(
    read: Listening, path: str, body: object, refusal: type[Failure]
) -> None:
    with pytest.raises(refusal):
        await ask(read, "POST", path, body)
    assert await read.rows("SELECT 1 FROM chain_orders UNION ALL SELECT 1 FROM chain_skips") == []
    assert await read.store.read(list_audit, None, 10) == ()


@pytest.mark.parametrize(
    ("path", "chain", "body", "status"),
    [
        (ORDERS, "31337", {"kind": "replay", "first": 3}, 422),
        (ORDERS, "31337", {"kind": "replay", "first": 3, "last": 2}, 422),
        (ORDERS, "31337", {"kind": "forget", "first": 1, "last": 2}, 422),
        (ORDERS, "31337", {"kind": "redecode", "first": -1}, 422),
        (ORDERS, "31337", {"kind": "redecode", "last": 2**63}, 422),
        (ORDERS, "5", {"kind": "redecode"}, 404),
        (SKIPS, "31337", {"first": 10, "last": 10, "reason": " "}, 422),
        (SKIPS, "31337", {"first": 10, "last": 9, "reason": "x"}, 422),
        (SKIPS, "31337", {"first": 10, "last": 10}, 422),
        (SKIPS, "x", {"first": 10, "last": 10, "reason": "x"}, 404),
    ],
)
async def test_bad_requests(listening: Listening, path: str, chain: str, body: object, status: int) -> None:
    with pytest.raises(Problem) as caught:
        await ask(listening, "POST", path, body, id=chain)
    assert caught.value.status == status


async def test_an_order_that_is_not_there(listening: Listening) -> None:
    for number in ("7", "x", str(2**70)):
        with pytest.raises(Problem) as caught:
            await ask(listening, "GET", ORDERS + "/{order}", order=number)
        assert caught.value.status == 404
    with pytest.raises(OrderRefused, match="Nothing of chain 1"):
        await ask(listening, "POST", ORDERS, {"kind": "redecode"}, id="1")
