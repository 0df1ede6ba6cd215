"""What the admin port shows of the supervision tree and does to it: runtime's words in HTTP's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.admin_routes import Component, unknown_actor
from fusion_daemon.runtime import ActorBusy, ActorState, ActorStatus, HealthLevel, Supervisor, stale
from fusion_daemon.runtime import UnknownActor as NotInTree
from fusion_daemon.store import Trouble

COMMAND_TIMEOUT = 10.0
FOUNDATION = frozenset({"aio", "database", "lease"})
"""Components without which nothing works."""


class ActorNotReady(Failure):
    """The actor is in a state in which it cannot take that command."""


def components_of(tree: Supervisor, aio: Aio, trouble: Trouble | None, started: float) -> Sequence[Component]:
    """The asyncio thread, the database, every branch and every actor: until a branch runs, its actors are not there to
    say that they are not ready. From any thread: the tree's rosters are made to be read so."""
    dead = aio.statistics().dead
    state, reason = ("dead", "restart the daemon") if dead else ("running", None)
    door = Component("aio", not dead, state, started, reason, healthy=not dead)
    return (door, _database(trouble, started), *(_component(status) for status in tree.tree()))


def _database(trouble: Trouble | None, started: float) -> Component:
    if trouble is None:
        return Component("database", True, "running", started, None)
    return Component("database", False, trouble.state, trouble.since, str(trouble.failure), healthy=False)


class ActorOperations:
    """http's ActorControl. asyncio side."""

    def __init__(self, tree: Supervisor, aio: Aio) -> None:
        self._tree = tree
        self._aio = aio

    def actors(self) -> Sequence[Component]:
        return [_component(status) for status in self._tree.tree() if not status.is_supervisor]

    async def pause(self, name: str) -> None:
        await self._command(self._tree.pause, name)

    async def resume(self, name: str) -> None:
        await self._command(self._tree.resume, name)

    async def restart(self, name: str) -> None:
        await self._command(self._tree.restart, name)

    async def _command(self, command: Callable[[str], None], name: str) -> None:
        async def act() -> None:
            command(name)

        try:
            await self._aio.to_trio(act, timeout=COMMAND_TIMEOUT)
        except NotInTree as error:
            raise unknown_actor(name) from error
        except ActorBusy as error:
            raise ActorNotReady(str(error), "Nothing was done.", "Ask again when it runs or has stopped.") from error


def _component(status: ActorStatus) -> Component:
    up = status.state in (ActorState.RUNNING, ActorState.PAUSED, ActorState.STOPPED)
    ready = up and status.health.level is not HealthLevel.UNHEALTHY
    troubled = status.health.level is not HealthLevel.OK
    state = status.health.level.value if troubled and up else status.state.value
    since = status.health.since if troubled and up else status.since
    old = stale(status)
    return Component(
        status.name,
        ready,
        state,
        since,
        "; ".join(filter(None, (_reason(status), old))) or None,
        status.restarts,
        healthy=status.state is ActorState.RUNNING and not troubled and old is None,
        data_age=status.data_age,
        data_limit=status.data_limit,
        required=status.required,
        branch=status.is_supervisor,
    )


def _reason(status: ActorStatus) -> str | None:
    if status.health.reason:
        return status.health.reason
    if status.state in (ActorState.RESTARTING, ActorState.ZOMBIE):
        return status.last_error
    if status.state in (ActorState.PAUSED, ActorState.STOPPED):
        return f"{status.state.value} by an operator"
    return None
