"""What an actor says about itself, and what the tree says about an actor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class HealthLevel(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """A level, why (empty when ok), and since when (unix seconds)."""

    level: HealthLevel
    reason: str
    since: float


class ActorState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    ZOMBIE = "zombie"


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """One child of the tree at one moment. All times are unix seconds."""

    name: str
    supervisor: str
    """Name of the supervisor above it."""
    is_supervisor: bool
    state: ActorState
    since: float
    """When it entered this state."""
    restarts: int
    last_error: str
    """The last crash, `Type: text`; empty when there was none."""
    last_error_at: float | None
    health: Health
    last_beat: float | None
    beat_age: float | None
    """Seconds since the last beat; None before the first."""
    beat_limit: float | None
    """A critical actor's longest pause between two beats; None for one that is not watched."""
    data_age: float | None
    """Seconds; how old what it knows is. None before it has said so, in every life anew."""
    data_limit: float | None
    """The oldest that it may be; None for an actor without such data."""
    required: bool
    """The whole is not ready while this is not."""
    pause_requested: bool
    """The operator asked for a pause; `state` says whether the actor has reached its gate."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why something is not as it should be."""

    name: str
    reason: str
    since: float


def stale(status: ActorStatus) -> str | None:
    """Why an actor's data are too old, or None when they are not. Before it has said how old they are, they are:
    whoever starts knows nothing yet."""
    if status.data_limit is None:
        return None
    if status.data_age is None:
        return "it has not yet said how old what it knows is"
    if status.data_age <= status.data_limit:
        return None
    return f"what it knows is {status.data_age:.0f} s old, limit {status.data_limit:g} s"


def stalled(statuses: Iterable[ActorStatus]) -> tuple[Finding, ...]:
    """Critical actors that made no progress within their own limit.

    One that the operator paused or stopped, that is being restarted, or that has yet to start is
    somebody's decision or has a timeout of its own, and does not count here.
    """
    return tuple(
        Finding(
            status.name,
            f"no beat for {status.beat_age:.1f} s, limit {status.beat_limit:g} s",
            status.last_beat if status.last_beat is not None else status.since,
        )
        for status in statuses
        if status.state is ActorState.RUNNING
        and status.beat_limit is not None
        and status.beat_age is not None
        and status.beat_age > status.beat_limit
    )
