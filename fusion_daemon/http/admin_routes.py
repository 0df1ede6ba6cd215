"""The routes that every daemon has, whatever its rooms: health, readiness and the actors.

What they show and do is handed in; this module knows neither the runtime nor the audit's table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
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
    state: str
    """One word: `running`, `starting`, `degraded`, `paused` …"""
    since: float
    """Unix seconds at which it came into this state."""
    reason: str | None
    """Why it is not ready, or not well, and what to do about it; None when it is."""
    restarts: int = 0


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
    """Healthy fails only when a loop is stuck; ready says for each component since when and why."""

    async def healthy(request: Request) -> Reply:
        loops = beats()
        alive = all(beat.age <= beat.limit for beat in loops)
        return reply_json(
            {"healthy": alive, "loops": loops},
            HTTPStatus.OK if alive else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    async def ready(request: Request) -> Reply:
        parts = components()
        up = all(part.ready for part in parts)
        return reply_json(
            {"ready": up, "components": [_shown(part) for part in parts]},
            HTTPStatus.OK if up else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    return (
        Route("GET", "/-/healthy", healthy, "Whether both loops of the daemon make progress."),
        Route("GET", "/-/ready", ready, "Whether every component is up; if not, which, since when and why."),
    )


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
        "since": datetime.fromtimestamp(component.since, UTC),
        "reason": component.reason,
        "restarts": component.restarts,
    }
