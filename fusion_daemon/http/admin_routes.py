"""The routes that every daemon has, whatever its rooms and its role: is it live, ready and healthy?

What they show is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol

from fusion_daemon.http.route import Reply, Request, Route, Routes, reply_json


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
