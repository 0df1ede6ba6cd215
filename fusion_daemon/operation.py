"""What the admin port shows of the supervision tree and does to it: runtime's words in HTTP's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import trio

from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.admin_routes import Component
from fusion_daemon.http.operation_routes import unknown_actor
from fusion_daemon.operation_views import ObeyedView
from fusion_daemon.runtime import (
    ActorBusy,
    ActorState,
    ActorStatus,
    HealthLevel,
    NameTaken,
    NotRunning,
    StartFailed,
    Supervisor,
    stale,
)
from fusion_daemon.runtime import UnknownActor as NotInTree
from fusion_daemon.store import Trouble

COMMAND_TIMEOUT = 10.0
SETTLE_SECONDS = 6.0
"""For an actor to obey before the answer says that it has not yet: longer than any of ours rests when idle."""
Done = Callable[[ActorStatus, ActorStatus], bool]
"""Of an actor's status before a command and now: whether it has obeyed."""
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
    return (door, _database(trouble, started), *(component_of(status) for status in tree.tree()))


def _database(trouble: Trouble | None, started: float) -> Component:
    if trouble is None:
        return Component("database", True, "running", started, None)
    return Component("database", False, trouble.state, trouble.since, str(trouble.failure), healthy=False)


class ActorOperations:
    """http's ActorControl. asyncio side."""

    def __init__(self, tree: Supervisor, aio: Aio) -> None:
        self._tree = tree
        self._aio = aio

    def knows(self, name: str) -> bool:
        """Whether an actor, not a supervisor, has that name."""
        return any(each.name == name and not each.is_supervisor for each in self._tree.tree())

    async def pause(self, name: str) -> ObeyedView:
        """Answered once it stands at its gate, which it may reach only with the work that it has in hand."""
        return await self._command("pause", self._tree.pause, name, _stands)

    async def resume(self, name: str) -> ObeyedView:
        return await self._command("resume", self._tree.resume, name, _goes_on)

    async def restart(self, name: str) -> ObeyedView:
        """Answered once the next life has started."""
        return await self._command("restart", self._tree.restart, name, _lives_again)

    async def _command(self, verb: str, command: Callable[[str], None], name: str, done: Done) -> ObeyedView:
        async def act() -> tuple[ActorStatus, ActorStatus]:
            before = self._tree.find(name)
            command(name)
            with trio.move_on_after(SETTLE_SECONDS):
                await self._tree.until(name, lambda now: done(before, now) or now.state in _NOBODY)
            return before, self._tree.find(name)

        try:
            before, now = await self._aio.to_trio(act, timeout=COMMAND_TIMEOUT)
        except NotInTree as error:
            raise unknown_actor(name) from error
        except (ActorBusy, NameTaken, NotRunning, StartFailed) as error:
            raise ActorNotReady(str(error), "Nothing was done.", "Ask again when it runs or has stopped.") from error
        return ObeyedView(name, verb, done(before, now), now.state.value, datetime.fromtimestamp(now.since, UTC))


_NOBODY = frozenset({ActorState.STOPPED, ActorState.ZOMBIE})
"""Nobody is there who could obey."""


def _stands(_: ActorStatus, now: ActorStatus) -> bool:
    return now.state is ActorState.PAUSED


def _goes_on(_: ActorStatus, now: ActorStatus) -> bool:
    return now.state is ActorState.RUNNING


def _lives_again(before: ActorStatus, now: ActorStatus) -> bool:
    return now.restarts > before.restarts and now.state in (ActorState.RUNNING, ActorState.PAUSED)


def component_of(status: ActorStatus) -> Component:
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
