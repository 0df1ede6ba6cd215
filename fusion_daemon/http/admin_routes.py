"""The routes that every daemon has, whatever its rooms: health, readiness and the actors.

What they show and do is handed in; this module knows neither the runtime nor the audit's table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json


class UnknownActor(Failure):
    """There is no actor of that name. The composition root raises it from its ActorControl."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A loop's proof of life."""

    name: str
    age: float
    """Seconds since its last beat."""
    limit: float
    """Seconds after which it counts as stuck."""


@dataclass(frozen=True, slots=True)
class Component:
    """One thing that must be up for the daemon to do its work: an actor, the database, a chain."""

    name: str
    ready: bool
    """Whether it does its work."""
    state: str
    """One word: `running`, `starting`, `degraded`, `paused` …"""
    since: float
    """Unix seconds at which it came into this state."""
    reason: str | None
    """Why it is not ready, or not well, and what to do about it; None when it is."""
    restarts: int = 0
    healthy: bool = True
    """Whether its own check finds nothing amiss, and what it knows is young enough."""
    data_age: float | None = None
    """Seconds: how old what it knows is; None where that has no meaning, or is not known yet."""
    data_limit: float | None = None
    required: bool = True
    """The daemon is not ready while this is not."""
    ready_since: float | None = None
    """Unix seconds since when it has counted as ready, or as not ready; None where nobody counts."""
    healthy_since: float | None = None
    """Likewise."""
    branch: bool = False
    """A branch of the tree, of which nothing is told while it is well."""


Beats = Callable[[], Sequence[Beat]]
"""From any thread."""
Components = Callable[[], Sequence[Component]]
"""From any thread."""


class ActorControl(Protocol):
    """Commands to actors. asyncio side, crossing into trio by themselves; each ends when the actor
    has done as told. Raise UnknownActor."""

    async def pause(self, name: str) -> None: ...

    async def resume(self, name: str) -> None: ...

    async def restart(self, name: str) -> None: ...


class AuditTrail(Protocol):
    """Commits one audit row. asyncio side."""

    async def record(
        self, *, principal: str, action: str, target: str, outcome: str, detail: bytes, request_id: str
    ) -> None: ...


def health_routes(beats: Beats, components: Components) -> Routes:
    """Three truths. Live: both loops beat; if not, only a restart helps. Ready: whatever is required does its work.
    Healthy: every component's own check finds nothing amiss, and what it knows is young enough."""

    def alive() -> bool:
        return all(beat.age <= beat.limit for beat in beats())

    async def live(request: Request) -> Reply:
        return _verdict(alive(), {"live": alive(), "loops": beats()})

    async def ready(request: Request) -> Reply:
        parts = components()
        up = alive() and all(part.ready for part in parts if part.required)
        return _verdict(up, {"ready": up, "components": [_shown(part) for part in parts]})

    async def healthy(request: Request) -> Reply:
        parts = components()
        well = alive() and all(part.healthy for part in parts)
        return _verdict(well, {"healthy": well, "components": [_shown(part) for part in parts]})

    return (
        Route("GET", "/-/live", live, "Whether both loops of the daemon make progress."),
        Route("GET", "/-/ready", ready, "Whether all that is required does its work; if not, who, since when and why."),
        Route("GET", "/-/healthy", healthy, "Whether every component is as it should be, its data young enough."),
    )


def _verdict(good: bool, answer: Mapping[str, object]) -> Reply:
    return reply_json(answer, HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE)


def actor_routes(actors: Components, control: ActorControl, audit: AuditTrail) -> Routes:
    """The actors, and what an operator may do to one."""

    async def listed(request: Request) -> Reply:
        return reply_json({"actors": [_shown(actor) for actor in actors()]})

    def command(verb: str, act: Callable[[str], Awaitable[None]]) -> Route:
        audited = _AuditedCommand(verb, act, actors, audit)
        return Route(
            "POST",
            f"/v1/actors/{{name}}/{verb}",
            audited.handle,
            f"Make an actor {verb}.",
            Role.OPERATOR,
            {UnknownActor: HTTPStatus.NOT_FOUND},
        )

    return (
        Route("GET", "/v1/actors", listed, "Every actor with its state, since when and why."),
        command("pause", control.pause),
        command("resume", control.resume),
        command("restart", control.restart),
    )


@dataclass(frozen=True, slots=True)
class _AuditedCommand:
    """A command has its effect in memory, so no transaction can hold both it and its audit row.

    INVARIANT: it is recorded before it is done, and once more with its outcome under the same request
    id. A crash or a deadline in between leaves a `requested` without an outcome, never an effect
    without a row; a command that cannot be recorded is not done.
    """

    verb: str
    act: Callable[[str], Awaitable[None]]
    actors: Components
    audit: AuditTrail

    async def handle(self, request: Request) -> Reply:
        name = request.path["name"]
        if all(actor.name != name for actor in self.actors()):
            raise unknown_actor(name)
        await self._note(request, "requested")
        try:
            await self.act(name)
        except Exception as error:
            await self._note(request, f"failed: {type(error).__name__}")
            raise
        await self._note(request, "done")
        return reply_json({"actor": name, "done": self.verb})

    async def _note(self, request: Request, outcome: str) -> None:
        await self.audit.record(
            principal=request.caller().name,
            action=f"actor.{self.verb}",
            target=request.path["name"],
            outcome=outcome,
            detail=b"{}",
            request_id=request.request_id,
        )


def unknown_actor(name: str) -> UnknownActor:
    return UnknownActor(
        f"There is no actor called {name[:64]!r}.",
        "Nothing was done.",
        "GET /v1/actors lists their names.",
    )


def _shown(component: Component) -> dict[str, object]:
    return {
        "name": component.name,
        "ready": component.ready,
        "state": component.state,
        "since": _time(component.since),
        "reason": component.reason,
        "restarts": component.restarts,
        "healthy": component.healthy,
        "data_age": component.data_age,
        "data_limit": component.data_limit,
        "required": component.required,
        "ready_since": _time(component.ready_since),
        "healthy_since": _time(component.healthy_since),
    }


def _time(unix: float | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)
