"""Liveness, readiness and health, as plain functions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fusion_daemon.http import Principal, Request, Role, Route, Routes
from fusion_daemon.http.admin_routes import Beat, Component, health_routes

LISTENER = Component("chain_listener:1", ready=True, state="running", since=1_700_000_000.0, reason=None)
POLLER = Component(
    "oracle_poller",
    ready=False,
    state="degraded",
    since=1_700_000_060.5,
    reason="ETH is stale: check the feed",
)

TRUTHS = ("live", "ready", "healthy")


def request() -> Request:
    return Request("GET", {}, {}, {}, b"", Principal("alice", Role.OPERATOR), "req-1")


def one(routes: Routes, path: str) -> Route:
    return next(route for route in routes if route.path == path)


@pytest.mark.parametrize(("age", "status"), [(0.5, 200), (5.0, 200), (5.1, 503)])
async def test_nothing_is_true_of_a_daemon_whose_loop_does_not_beat(age: float, status: int) -> None:
    routes = health_routes(lambda: [Beat("trio", 0.1, 5.0), Beat("asyncio", age, 5.0)], list)
    live, ready, healthy = [await one(routes, f"/-/{truth}").handler(request()) for truth in TRUTHS]
    assert (live.status, ready.status, healthy.status) == (status, status, status)
    assert json.loads(live.body)["live"] == (status == 200)


async def test_ready_says_who_is_not_since_when_and_why() -> None:
    routes = health_routes(list, lambda: [LISTENER, POLLER])
    reply = await one(routes, "/-/ready").handler(request())
    assert reply.status == 503
    body = json.loads(reply.body)
    assert body["ready"] is False
    assert body["components"][1] == {
        "name": "oracle_poller",
        "ready": False,
        "state": "degraded",
        "since": "2023-11-14T22:14:20.500000Z",
        "reason": "ETH is stale: check the feed",
        "restarts": 0,
        "healthy": True,
        "data_age": None,
        "data_limit": None,
        "required": True,
        "ready_since": None,
        "healthy_since": None,
    }
    up = await one(health_routes(list, lambda: [LISTENER]), "/-/ready").handler(request())
    assert (up.status, json.loads(up.body)["ready"]) == (200, True)


async def test_who_is_not_required_makes_nobody_unready() -> None:
    keeper = replace(POLLER, healthy=False, required=False, ready_since=1_700_000_060.0)
    routes = health_routes(list, lambda: [LISTENER, keeper])
    reply = await one(routes, "/-/ready").handler(request())
    assert reply.status == 200
    told = json.loads(reply.body)["components"][1]
    assert (told["ready"], told["ready_since"]) == (False, "2023-11-14T22:14:20Z")
    assert (await one(routes, "/-/healthy").handler(request())).status == 503


async def test_healthy_says_whose_data_are_too_old_although_all_are_ready() -> None:
    old = replace(LISTENER, healthy=False, data_age=130.5, data_limit=120.0, reason="too old")
    routes = health_routes(list, lambda: [LISTENER, old])
    assert (await one(routes, "/-/ready").handler(request())).status == 200
    reply = await one(routes, "/-/healthy").handler(request())
    assert reply.status == 503
    body = json.loads(reply.body)
    assert body["healthy"] is False
    shown = body["components"][1]
    assert (shown["data_age"], shown["data_limit"], shown["reason"]) == (130.5, 120.0, "too old")
    assert (await one(health_routes(list, lambda: [LISTENER]), "/-/healthy").handler(request())).status == 200
