"""Rule: every command is an operator's, recorded before it is done and with its outcome; what shows data is an
operator's too; and a look asks for what it may."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from fusion_daemon.http import Principal, Reply, Request, Role, Route, Routes
from fusion_daemon.http.operation_routes import (
    LOOK_LIMIT,
    UnknownActor,
    drain_routes,
    operation_routes,
    unknown_actor,
    unknown_topic,
)
from fusion_daemon.http.problem import Problem, problem_of


@dataclass
class World:
    """An audit trail, an actor control and an observer that note what happens, in order; each can fail."""

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

    def knows(self, name: str) -> bool:
        return name == "oracle_poller"

    async def pause(self, name: str) -> object:
        return self._do("pause", name)

    async def resume(self, name: str) -> object:
        return self._do("resume", name)

    async def restart(self, name: str) -> object:
        return self._do("restart", name)

    def stop(self) -> float:
        self.notes.append(("stopping",))
        return 12.5

    def _do(self, verb: str, name: str) -> object:
        if self.stuck:
            raise TimeoutError
        self.notes.append(("done", verb, name))
        return {"actor": name, "settled": True}

    def actors(self) -> object:
        return "actors"

    def tree(self) -> object:
        return "tree"

    async def actor(self, name: str) -> object:
        return f"actor {name}"

    def mailboxes(self) -> object:
        return "mailboxes"

    def topics(self) -> object:
        return "topics"

    def trace(self, name: str, after: int | None, limit: int) -> object:
        if name != "oracle_poller":
            raise unknown_actor(name)
        return ["trace", name, after, limit]

    def tap(self, stream: str, after: int | None, limit: int) -> object:
        if stream != "prices":
            raise unknown_topic(stream)
        return ["tap", stream, after, limit]


def request(path: Mapping[str, str] | None = None, **query: str) -> Request:
    return Request("POST", path or {}, query, {}, b"", Principal("alice", Role.OPERATOR), "req-1")


def routes(world: World) -> Routes:
    return operation_routes(world, world, world)


def one(world: World, path: str) -> Route:
    return next(route for route in routes(world) if route.path == path)


async def told(path: str, values: Mapping[str, str] | None = None, **query: str) -> object:
    reply = await one(World(), path).handler(request(values, **query))
    assert reply.status == 200
    return json.loads(reply.body)


def test_every_command_and_all_that_shows_data_needs_an_operator() -> None:
    guarded = {route.path for route in routes(World()) if route.role is not None}
    assert guarded == {
        *(f"/v1/actors/{{name}}/{verb}" for verb in ("pause", "resume", "restart", "trace")),
        "/v1/topics/{stream}/tap",
    }
    assert {route.role for route in routes(World())} == {None, Role.OPERATOR}
    assert all(route.role is Role.OPERATOR for route in routes(World()) if route.method == "POST")


async def test_what_is_free_to_read() -> None:
    for path in ("actors", "tree", "mailboxes", "topics"):
        assert await told(f"/v1/{path}") == path
    assert await told("/v1/actors/{name}", {"name": "a"}) == "actor a"


@pytest.mark.parametrize(
    ("path", "values"),
    [("/v1/actors/{name}/trace", {"name": "oracle_poller"}), ("/v1/topics/{stream}/tap", {"stream": "prices"})],
)
async def test_a_look_begins_at_the_present_and_goes_on_where_it_ended(path: str, values: dict[str, str]) -> None:
    what = path.rpartition("/")[2]
    assert await told(path, values) == [what, *values.values(), None, LOOK_LIMIT]
    assert await told(path, values, after="0", limit="7") == [what, *values.values(), 0, 7]
    handler = one(World(), path).handler
    for bad in ({"limit": "0"}, {"limit": "501"}, {"after": "-1"}, {"after": "٣"}, {"after": "9" * 5_000}):
        with pytest.raises(Problem, match="422"):
            await handler(request(values, **bad))


@pytest.mark.parametrize(
    ("path", "values", "code"),
    [
        ("/v1/actors/{name}/trace", {"name": "x"}, "unknown-actor"),
        ("/v1/topics/{stream}/tap", {"stream": "x"}, "unknown-topic"),
    ],
)
async def test_what_is_not_there_is_404(path: str, values: dict[str, str], code: str) -> None:
    route = one(World(), path)
    with pytest.raises(Exception, match="There is no") as caught:
        await route.handler(request(values))
    problem = problem_of(caught.value, route.failures)  # type: ignore[arg-type]
    assert (problem.status, problem.code) == (404, code)


@pytest.mark.parametrize("verb", ["pause", "resume", "restart"])
async def test_a_command_is_recorded_before_and_after_it_is_done(verb: str) -> None:
    world = World()
    reply = await one(world, f"/v1/actors/{{name}}/{verb}").handler(request({"name": "oracle_poller"}))
    assert reply.status == 200
    assert json.loads(reply.body) == {"actor": "oracle_poller", "settled": True}
    assert world.notes == [
        ("audit", "alice", f"actor.{verb}", "oracle_poller", "requested", "req-1"),
        ("done", verb, "oracle_poller"),
        ("audit", "alice", f"actor.{verb}", "oracle_poller", "done", "req-1"),
    ]


async def test_a_command_that_cannot_be_recorded_is_not_done() -> None:
    world = World(audit_down=True)
    with pytest.raises(OSError, match="away"):
        await pause(world)("oracle_poller")
    with pytest.raises(OSError, match="away"):
        await drain(world)
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


async def test_a_drain_is_recorded_and_says_whose_end_to_wait_for() -> None:
    world = World()
    reply = await drain(world)
    assert reply.status == 202
    answer = json.loads(reply.body)
    assert (answer["instance"], answer["seconds"]) == ("first", 12.5)
    assert answer["pid"] > 0
    assert [note[-2:] for note in world.notes] == [("requested", "req-1"), ("stopping",), ("done", "req-1")]


def pause(world: World) -> Callable[[str], Awaitable[Reply]]:
    handler = one(world, "/v1/actors/{name}/pause").handler
    return lambda name: handler(request({"name": name}))


async def drain(world: World) -> Reply:
    (route,) = drain_routes(world.stop, world, "first")
    assert route.role is Role.OPERATOR
    return await route.handler(request())
