"""How a server listens and who may use it. Plain values: the composition root fills them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fusion_daemon.http.route import Role


@dataclass(frozen=True, slots=True)
class PrincipalSettings:
    """A named operator: known on TCP by a bearer token, on the unix socket by a user id, or by both.

    `token_hash` is `sha256:<hex>`, see `hash_token`: the token itself stays in its credential file.
    """

    name: str
    role: Role
    token_hash: str | None = None
    uid: int | None = None


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where to listen (TCP, unix socket or both) and how much to take on at once."""

    host: str | None = "127.0.0.1"
    """A loopback address, `localhost`, or None for no TCP listener."""
    port: int = 0
    """0 picks a free one."""
    socket: Path | None = None
    """A unix socket, mode 0660."""
    network: bool = False
    """Listen beyond loopback. Only for servers whose every route is a read without a role (metrics)."""
    body_limit: int = 1 << 20
    """Bytes."""
    running: int = 8
    """Requests in their handlers at once; with it the load on the database is bounded."""
    rate: float = 250.0
    """Requests a second that enter their handlers for long …"""
    burst: int = 100
    """… and how many may do so at once after a quiet time. The others wait: an operator's port is not worth a
    late margin call."""
    waiting: int = 256
    """Requests that may queue for that; one more is answered 503 at once."""
    connections: int = 1024
    """Open connections; one more is closed at once."""
    deadline: float = 30.0
    """Seconds that a request may take from its first byte to its reply."""
    idle: float = 75.0
    """Seconds that a connection may be open between two requests."""
    stop: float = 5.0
    """Seconds that requests in flight get to end when the server stops."""
