"""The audit trail: who did what to which object, with which outcome. Append-only in the database.

Every room's mutations write here, in the transaction that has the effect, so that there is neither an
effect without a row nor a row without an effect: `audit_writes` goes into a commit, the repository's
`write_audit` into a `Store.transact`. A command whose effect is not in the database uses `record`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from fusion_daemon.store.writes import Commit, Copy, Execute

_COLUMNS = ("principal", "action", "object", "outcome", "detail", "request_id")
_INSERT = (
    "INSERT INTO audit (principal, action, object, outcome, detail, request_id, mark) "
    "VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7)"
)


@dataclass(frozen=True, slots=True)
class By:
    """On whose behalf: a principal's name and the request in which they asked."""

    principal: str
    request_id: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    by: By
    action: str
    """Dotted: `account.register`, `chain.start_block` …"""
    target: str
    """The object: an account's id, an actor's name, a chain's id."""
    outcome: str
    """`done`; or for a command without a database effect `requested`, then `done` or `failed: …`."""
    detail: bytes = b"{}"
    """A JSON object without secrets."""


def detail_of(members: object) -> bytes:
    return msgspec.json.encode(members)


def audit_writes(entries: Sequence[AuditEntry]) -> Copy:
    return Copy("audit", _COLUMNS, [audit_row(entry) for entry in entries])


class Committer(Protocol):
    """The part of the store that a lone audit row needs."""

    async def commit(self, commit: Commit) -> None: ...


async def record(store: Committer, entry: AuditEntry) -> None:
    """trio side: commit one row by itself, for a command whose effect is not in the database.

    Raises what `Store.commit` raises; cancelled, the row may or may not have been written.
    """
    mark = secrets.token_hex(16)
    await store.commit(
        Commit(
            writes=(Execute(_INSERT, (*audit_row(entry), mark), expect=1),),
            proof=Execute("SELECT EXISTS (SELECT FROM audit WHERE mark = $1)", (mark,)),
        )
    )


def audit_row(entry: AuditEntry) -> tuple[str, str, str, str, str, str]:
    return (
        entry.by.principal,
        entry.action,
        entry.target,
        entry.outcome,
        entry.detail.decode(),
        entry.by.request_id,
    )
