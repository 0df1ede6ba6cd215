"""Named operators, known by hashed tokens or by the user id behind a unix socket.

INVARIANT: no token is kept in memory or shown, only its SHA-256; and comparing takes the same time
whichever principal matches, or none. A plain hash is enough for secrets of 192 bits and more (they
cannot be guessed, salted or not), which is why short tokens are refused at start.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fusion_daemon.domain.failure import Failure
from fusion_daemon.http.route import Principal, Role
from fusion_daemon.http.settings import PrincipalSettings

TOKEN_LENGTH = 32
"""Least characters of a token: 32 of a 64-letter alphabet are 192 bits."""
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_TOKEN = re.compile(r"[!-~]+")


class TokenInvalid(Failure):
    """A token that cannot protect anything."""


class PrincipalsInvalid(Failure):
    """Two principals that could not be told apart, or one that nobody can be."""


def hash_token(token: str) -> str:
    """`sha256:<hex>` of a token. Raises TokenInvalid for one that is short or has odd characters."""
    if len(token) < TOKEN_LENGTH or not _TOKEN.fullmatch(token):
        raise TokenInvalid(
            f"A token has {len(token)} characters or some that are not printable ASCII.",
            f"Tokens have at least {TOKEN_LENGTH} printable characters, so that they cannot be guessed.",
            "Make one with `openssl rand -hex 32`.",
        )
    return "sha256:" + hashlib.sha256(token.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    principal: Principal


class Principals:
    """Immutable once made: safe to ask from any thread."""

    def __init__(self, settings: Sequence[PrincipalSettings], own_uid: int) -> None:
        """Raises TokenInvalid and PrincipalsInvalid.

        root and the daemon's own user are admins under the names `uid:0` and `uid:<own>` unless the
        settings name them: either could read the daemon's memory anyway.
        """
        _refuse_ambiguous(settings)
        self._tokens = tuple(
            _Entry(_checked(each.token_hash).encode("ascii"), Principal(each.name, each.role))
            for each in settings
            if each.token_hash is not None
        )
        if len({entry.digest for entry in self._tokens}) != len(self._tokens):
            raise PrincipalsInvalid(
                "Two principals have the same token.",
                "An audit row could not say which of them acted.",
                "Give each principal a token of its own.",
            )
        self._uids = {uid: Principal(f"uid:{uid}", Role.ADMIN) for uid in (0, own_uid)}
        self._uids |= {each.uid: Principal(each.name, each.role) for each in settings if each.uid is not None}

    def by_token(self, token: str) -> Principal | None:
        presented = ("sha256:" + hashlib.sha256(token.encode(errors="replace")).hexdigest()).encode("ascii")
        found: Principal | None = None
        for entry in self._tokens:
            if hmac.compare_digest(entry.digest, presented):
                found = entry.principal
        return found

    def by_uid(self, uid: int) -> Principal | None:
        return self._uids.get(uid)


def _refuse_ambiguous(settings: Sequence[PrincipalSettings]) -> None:
    names = [each.name for each in settings]
    uids = [each.uid for each in settings if each.uid is not None]
    if len(set(names)) != len(names) or len(set(uids)) != len(uids):
        raise PrincipalsInvalid(
            "Two principals have the same name or the same uid.",
            "An audit row could not say which of them acted.",
            "Make names and uids of http.principals unique.",
        )
    for each in settings:
        if each.name.startswith("uid:"):
            raise PrincipalsInvalid(
                f"A principal is called {each.name!r}.",
                "Such names are given to the users behind the unix socket.",
                "Choose another name in http.principals.",
            )
        if each.token_hash is None and each.uid is None:
            raise PrincipalsInvalid(
                f"Principal {each.name!r} has neither a token nor a uid.",
                "Nobody could ever act under that name.",
                "Give it a token or a uid, or remove it.",
            )


def _checked(digest: str) -> str:
    if not _HASH.fullmatch(digest):
        raise TokenInvalid(
            "A token hash is not `sha256:` and 64 lower-case hex digits.",
            "No token could ever match it.",
            "Hash the token with `printf %s TOKEN | sha256sum`.",
        )
    return digest
