"""Health, readiness and the actors' commands, as plain functions."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from fusion_daemon.http import Principal, Reply, Request, Role, Route, Routes
from fusion_daemon.http.admin_routes import (
    Beat,
    Component,
    UnknownActor,
    actor_routes,
    health_routes,
)

LISTENER = Component("chain_listener:1", ready=True, state="running", since=1_700_000_000.0, reason=None)
POLLER = Component(
    "oracle_poller",
    ready=False,
    state="degraded",
    since=1_700_000_060.5,
    reason="ETH is stale: check the feed",
)

TRUTHS = ("live", "ready", "healthy")


@dataclass
class World:
    """An audit trail and an actor control that note what happens, in order; each can fail."""

    notes: list[tuple[str, ...]] = field(default_factory=list)
    audit_down: bool = False
    stuck: bool = False

    async def record(
        self, *, principal: str, action: str, target: str, outcome: str, detail: bytes, request_id: str
    ) -> None:
        if self.audit_down:
            raise OSError("the database is away")
        json.loads(detail)
        self.notes.append(("audit", principal, action, target, outcome, request_id))

    async def pause(self, name: str) -> None:
        self._do("pause", name)

    async def resume(self, name: str) -> None:
        self._do("resume", name)

    async def restart(self, name: str) -> None:
        self._do("restart", name)

    def _do(self, verb: str, name: str) -> None:
        if self.stuck:
            raise TimeoutError
        self.notes.append(("done", verb, name))


def request(path: Mapping[str, str] | None = None) -> Request:
    return Request("POST", path or {}, {}, {}, b"", Principal("alice", Role.OPERATOR), "req-1")


def one(routes: Routes, path: str) -> Route:
    return next(route for route in routes if route.path == path)


def actors(world: World) -> Routes:
    return actor_routes(lambda: [LISTENER, POLLER], world, world)


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


async def test_every_command_needs_an_operator() -> None:
    commands = [route for route in actors(World()) if route.method != "GET"]
    assert [route.path for route in commands] == [
        f"/v1/actors/{{name}}/{verb}" for verb in ("pause", "resume", "restart")
    ]
    assert {route.role for route in commands} == {Role.OPERATOR}


@pytest.mark.parametrize("verb", ["pause", "resume", "restart"])
async def test_a_command_is_recorded_before_and_after_it_is_done(verb: str) -> None:
    world = World()
    reply = await one(actors(world), f"/v1/actors/{{name}}/{verb}").handler(
        request({"name": "oracle_poller"})
    )
    assert reply.status == 200
    assert world.notes == [
        ("audit", "alice", f"actor.{verb}", "oracle_poller", "requested", "req-1"),
        ("done", verb, "oracle_poller"),
        ("audit", "alice", f"actor.{verb}", "oracle_poller", "done", "req-1"),
    ]


async def test_a_command_that_cannot_be_recorded_is_not_done() -> None:
    world = World(audit_down=True)
    with pytest.raises(OSError, match="away"):
        await pause(world)("oracle_poller")
    assert world.notes == []


async def test_a_command_that_fails_is_recorded_as_failed() -> None:
    world = World(stuck=True)
    with pytest.raises(TimeoutError):
        await pause(world)("oracle_poller")
    assert [note[4] for note in world.notes] == ["requested", "failed: TimeoutError"]


async def test_an_unknown_actor_is_named_and_nothing_is_recorded() -> None:
    world = World()
    with pytest.raises(UnknownActor):
        await pause(world)("oracle")
    assert world.notes == []


def pause(world: World) -> Callable[[str], Awaitable[Reply]]:
    handler = one(actors(world), "/v1/actors/{name}/pause").handler
    return lambda name: handler(request({"name": name}))
