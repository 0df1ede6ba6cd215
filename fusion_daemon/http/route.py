"""What a handler sees of HTTP: a parsed request, the route it stands on, and the reply it makes.

Nothing here knows aiohttp, so a room's routes are tested as plain coroutine functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from fusion_daemon.domain.failure import Failure

JSON = "application/json"
NO_HEADERS: Mapping[str, str] = {}
NO_FAILURES: Mapping[type[Failure], int] = {}


class Role(IntEnum):
    """Ordered: a greater role may do everything that a smaller one may."""

    VIEWER = 0
    OPERATOR = 1
    ADMIN = 2


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a configured operator, or `uid:<n>` of a process on this machine."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Request:
    """One request, its body read whole and within the limit.

    `path` holds the values of the route's `{placeholders}`, percent-decoded. `query` keeps the
    first value of a repeated key. `headers` is case-insensitive.
    """

    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    principal: Principal | None
    request_id: str

    def caller(self) -> Principal:
        """The principal of a route that has a role. The server never calls such a handler without one."""
        if self.principal is None:
            raise RuntimeError("a handler asked for the caller, but its route has no role")
        return self.principal


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON


def reply_json(value: object, status: int = 200, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
    """`value` (dicts, sequences, dataclasses, msgspec structs; datetimes as RFC 3339) as JSON."""
    return Reply(status, msgspec.json.encode(value), headers)


Handler = Callable[[Request], Awaitable[Reply]]
"""Runs on the asyncio side. It is cancelled at the server's deadline, never because a client went away."""


@dataclass(frozen=True, slots=True)
class Route:
    """One entry of the route table.

    `path` is made of literal segments and `{placeholder}` segments. A route with a `role` is
    answered only to a principal who has it. `failures` says which of the room's Failures is which
    status; its code is the class name in kebab-case. `query` names the parameters that it reads; a
    request with any other is refused, since a filter that is not understood would show everything.
    Paths under `/-/` are management: they are answered even while the server is overloaded, so their
    handlers must not wait.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    role: Role | None = None
    failures: Mapping[type[Failure], int] = field(default_factory=dict)
    query: tuple[str, ...] = ()

    @property
    def management(self) -> bool:
        return self.path.startswith("/-/")


Routes = Sequence[Route]
