"""The routes by which an operator looks into the living process, and tells its actors what to do.

What they show and do is handed in; this module knows neither the runtime nor the audit's table.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.admin_routes import AuditTrail
from fusion_daemon.http.problem import invalid
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json

LOOK_LIMIT = 500
"""Events or items in one answer."""
LOOK_QUERY = ("after", "limit")


class UnknownActor(Failure):
    """There is no actor of that name."""


class UnknownTopic(Failure):
    """There is no topic of that name."""


class Observer(Protocol):
    """What is shown, as values that JSON can hold. Every method answers at once, whatever the actors do. asyncio
    side."""

    def actors(self) -> object: ...

    def tree(self) -> object: ...

    async def actor(self, name: str) -> object:
        """Raises UnknownActor."""
        ...

    def mailboxes(self) -> object: ...

    def topics(self) -> object: ...

    def trace(self, name: str, after: int | None, limit: int) -> object:
        """Raises UnknownActor."""
        ...

    def tap(self, stream: str, after: int | None, limit: int) -> object:
        """Raises UnknownTopic."""
        ...


class ActorControl(Protocol):
    """Commands to actors. asyncio side, crossing into trio by themselves. Each ends when the actor has done as told,
    or after a time, and says which. Raise UnknownActor."""

    def knows(self, name: str) -> bool: ...

    async def pause(self, name: str) -> object: ...

    async def resume(self, name: str) -> object: ...

    async def restart(self, name: str) -> object: ...


def operation_routes(observer: Observer, control: ActorControl, audit: AuditTrail) -> Routes:
    """The actors, their supervisors, mailboxes and topics; and what an operator may do to an actor."""
    return (*_reads(observer), *_commands(control, audit))


def drain_routes(stop: Callable[[], float], audit: AuditTrail, instance: str) -> Routes:
    """`stop` begins the ordered stop of this daemon and says how many seconds that takes at most."""

    async def drain(request: Request) -> Reply:
        async def act() -> object:
            return {"instance": instance, "pid": os.getpid(), "seconds": stop()}

        stopping = await audited(audit, request, "daemon.drain", instance, act)
        return reply_json(stopping, HTTPStatus.ACCEPTED)

    return (Route("POST", "/v1/drain", drain, "Stop this daemon in order, as SIGTERM does.", Role.OPERATOR),)


async def audited(
    audit: AuditTrail, request: Request, action: str, target: str, act: Callable[[], Awaitable[object]]
) -> object:
    """A command has its effect in memory, so no transaction can hold both it and its audit row.

    INVARIANT: it is recorded before it is done, and once more with its outcome under the same request
    id. A crash or a deadline in between leaves a `requested` without an outcome, never an effect
    without a row; a command that cannot be recorded is not done.
    """

    async def note(outcome: str) -> None:
        await audit.record(
            principal=request.caller().name,
            action=action,
            target=target,
            outcome=outcome,
            detail=b"{}",
            request_id=request.request_id,
        )

    await note("requested")
    try:
        result = await act()
    except Exception as error:
        await note(f"failed: {type(error).__name__}")
        raise
    await note("done")
    return result


def unknown_actor(name: str) -> UnknownActor:
    return UnknownActor(
        f"There is no actor called {name[:64]!r}.",
        "Nothing was done.",
        "GET /v1/actors and `fusion-daemon ps` list their names.",
    )


def unknown_topic(stream: str) -> UnknownTopic:
    return UnknownTopic(
        f"There is no topic called {stream[:64]!r}.",
        "Nothing was done.",
        "GET /v1/topics and `fusion-daemon mailbox` list their names.",
    )


def _reads(observer: Observer) -> Routes:
    async def actors(request: Request) -> Reply:
        return reply_json(observer.actors())

    async def actor(request: Request) -> Reply:
        return reply_json(await observer.actor(request.path["name"]))

    async def tree(request: Request) -> Reply:
        return reply_json(observer.tree())

    async def mailboxes(request: Request) -> Reply:
        return reply_json(observer.mailboxes())

    async def topics(request: Request) -> Reply:
        return reply_json(observer.topics())

    async def trace(request: Request) -> Reply:
        after, limit = _look(request)
        return reply_json(observer.trace(request.path["name"], after, limit))

    async def tap(request: Request) -> Reply:
        after, limit = _look(request)
        return reply_json(observer.tap(request.path["stream"], after, limit))

    # Who traces and taps sees what passes: that is not for everybody.
    look = (Role.OPERATOR, _FAILURES, LOOK_QUERY)
    return (
        Route("GET", "/v1/actors", actors, "Every actor with its state, since when and why."),
        Route("GET", "/v1/actors/{name}", actor, "All that is known of one actor.", None, _FAILURES),
        Route("GET", "/v1/actors/{name}/trace", trace, "The next events of one actor's life.", *look),
        Route("GET", "/v1/tree", tree, "The supervisors, what they allow, and those below them."),
        Route("GET", "/v1/mailboxes", mailboxes, "Every mailbox: policy, depth, and what became of its messages."),
        Route("GET", "/v1/topics", topics, "Every topic, and how far its consumers lag."),
        Route("GET", "/v1/topics/{stream}/tap", tap, "The next items of a topic, as they are published.", *look),
    )


def _commands(control: ActorControl, audit: AuditTrail) -> Routes:
    def command(verb: str, act: Callable[[str], Awaitable[object]]) -> Route:
        obeyed = _Command(verb, act, control.knows, audit)
        return Route(
            "POST", f"/v1/actors/{{name}}/{verb}", obeyed.handle, f"Make an actor {verb}.", Role.OPERATOR, _FAILURES
        )

    return (
        command("pause", control.pause),
        command("resume", control.resume),
        command("restart", control.restart),
    )


@dataclass(frozen=True, slots=True)
class _Command:
    verb: str
    act: Callable[[str], Awaitable[object]]
    knows: Callable[[str], bool]
    audit: AuditTrail

    async def handle(self, request: Request) -> Reply:
        name = request.path["name"]
        if not self.knows(name):
            raise unknown_actor(name)
        return reply_json(await audited(self.audit, request, f"actor.{self.verb}", name, lambda: self.act(name)))


def _look(request: Request) -> tuple[int | None, int]:
    """`after` and `limit`. Raises Problem 422."""
    limit = _whole(request, "limit", 1, LOOK_LIMIT)
    return _whole(request, "after", 0, 2**63 - 1), LOOK_LIMIT if limit is None else limit


def _whole(request: Request, name: str, least: int, most: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise invalid(f"{name} is a whole number from {least} to {most}.")
    return int(text)


_FAILURES: dict[type[Failure], int] = {
    UnknownActor: HTTPStatus.NOT_FOUND,
    UnknownTopic: HTTPStatus.NOT_FOUND,
}
