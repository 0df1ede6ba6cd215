"""Who may ask at all: DNS rebinding, cross-site requests, tokens and roles. Pure.

A page in an operator's browser can send requests to loopback. What it cannot do is choose the Host
header (that is the name its own DNS was rebound from), hide its Origin, or know a token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fusion_daemon.http.principals import Principals
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Role

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Guard:
    """`hosts` are the lower-case Host values that a TCP client may use; None when any may (a network
    listener is reached under names that we cannot know, and serves only reads)."""

    principals: Principals
    hosts: frozenset[str] | None

    def check_host(self, headers: Mapping[str, str]) -> None:
        """TCP only. Raises Problem 403."""
        if self.hosts is None:
            return
        if headers.get("Host", "").lower() not in self.hosts:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "host-not-allowed",
                "The Host header does not name this machine's loopback interface.",
                remedy="Ask http://localhost or http://127.0.0.1 with the server's port.",
            )
        origin = headers.get("Origin")
        if origin is not None and origin.lower().removeprefix("http://") not in self.hosts:
            raise Problem(
                HTTPStatus.FORBIDDEN, "origin-not-allowed", "Pages of another origin may not ask this server."
            )

    def identify(self, headers: Mapping[str, str], peer_uid: int | None) -> Principal | None:
        """A bearer token where one is sent, else the user behind the unix socket, else nobody.

        Raises Problem 401 for a token that nobody has: also on reads, so that a typo shows early.
        """
        authorization = headers.get("Authorization")
        if authorization is None:
            return None if peer_uid is None else self.principals.by_uid(peer_uid)
        scheme, _, token = authorization.partition(" ")
        principal = self.principals.by_token(token.strip()) if scheme.lower() == "bearer" else None
        if principal is None:
            raise unauthorized("The token in the Authorization header belongs to no principal.", "invalid_token")
        return principal


def require(role: Role, principal: Principal | None) -> None:
    """Raises Problem 401 for nobody and 403 for somebody with a smaller role."""
    if principal is None:
        raise unauthorized("This needs a principal: a bearer token, or a known user on the unix socket.")
    if principal.role < role:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "role-insufficient",
            f"{principal.name} has the role {principal.role.name.lower()}; this needs {role.name.lower()}.",
        )


def unauthorized(detail: str, error: str | None = None) -> Problem:
    challenge = 'Bearer realm="fusion-prime"' + ("" if error is None else f', error="{error}"')
    remedy = "Send `Authorization: Bearer` and the token of a [[http.principals]] of the configuration."
    headers = {"WWW-Authenticate": challenge}
    return Problem(HTTPStatus.UNAUTHORIZED, "unauthorized", detail, remedy=remedy, headers=headers)


def loopback_hosts(port: int) -> frozenset[str]:
    """The Host values under which a loopback listener on `port` may be addressed."""
    hosts = {f"{name}:{port}" for name in LOOPBACK_NAMES}
    return frozenset(hosts | set(LOOPBACK_NAMES) if port == 80 else hosts)
