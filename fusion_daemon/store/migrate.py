"""The schema's history: numbered SQL files, each applied once, in order, in a transaction of its own.

INVARIANT: what a database went through is exactly a prefix of this program's files, byte for byte. A
changed file, an unknown one, or one that would slip in below the newest applied is refused before
anything is touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import asyncpg

from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.connect import connect

LOCK = 0x66705F6D6967  # "fp_mig": one migration at a time per database
LOCK_PATIENCE = 60.0
"""Seconds to wait for another process that migrates this database."""

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


class MigrationRefused(Failure):
    """The database's history and this program's files do not agree."""


class MigrationLocked(Failure):
    """Another process has been migrating this database for too long."""


class MigrationFailed(Failure):
    """A migration's SQL failed; its transaction was rolled back."""


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    version: int
    name: str
    checksum: str


@dataclass(frozen=True, slots=True)
class SchemaState:
    applied: tuple[Applied, ...]
    pending: tuple[Migration, ...]


def shipped_migrations() -> list[Migration]:
    """The files of this program, in order of their numbers."""
    folder = files("fusion_daemon.store") / "migrations"
    return read_migrations([(entry.name, entry.read_text("utf-8")) for entry in folder.iterdir()])


@cache
def _shipped() -> Sequence[Migration]:
    """Read once: a standby compares them with the database's at every look."""
    return shipped_migrations()


def read_migrations(named: Sequence[tuple[str, str]]) -> list[Migration]:
    """`(file name, SQL)` pairs as migrations. Other names are refused, as is a number used twice."""
    found: dict[int, Migration] = {}
    for name, sql in sorted(named):
        matched = _NAME.fullmatch(name)
        version = int(matched[1]) if matched else 0
        if not matched or version in found:
            raise MigrationRefused(
                f"The file {name} is not a migration, or its number is taken.",
                "The order of the schema's history would be unclear.",
                "Name migrations NNNN_what_it_does.sql, each with a number of its own.",
            )
        found[version] = Migration(version, name, sql)
    return list(found.values())


def pending(applied: Sequence[Applied], shipped: Sequence[Migration]) -> list[Migration]:
    """What is still to be applied, in order. Raises `MigrationRefused`; see the module's invariant."""
    known = {one.version: one for one in shipped}
    for done in applied:
        ours = known.get(done.version)
        if ours is None:
            raise MigrationRefused(
                f"The database has migration {done.name}, which this program does not know.",
                "It was migrated by a newer version of the program.",
                "Install that version or a newer one.",
            )
        if ours.checksum != done.checksum:
            raise MigrationRefused(
                f"The migration {ours.name} has changed since it was applied.",
                "The database is not what this program's files describe.",
                "Restore the file as it was, and put the change into a new migration.",
            )
    newest = max((done.version for done in applied), default=0)
    done_versions = {done.version for done in applied}
    missing = [one for one in shipped if one.version not in done_versions]
    for one in missing:
        if one.version < newest:
            raise MigrationRefused(
                f"The migration {one.name} was never applied, but a newer one (number {newest}) was.",
                "It was written for an older schema.",
                "Give it a number above the newest one.",
            )
    return missing


async def migrate(dsn: str, shipped: Sequence[Migration] | None = None) -> list[Migration]:
    """asyncio side. Brings the database up to `shipped` (by default this program's files) and returns
    what was applied now. Raises the errors of this module, `StoreUnavailable`, `StoreRefused`. Cancelled,
    it leaves every migration either applied and recorded or not begun.
    """
    wanted = shipped_migrations() if shipped is None else shipped
    connection = await connect(dsn, purpose="migrate")
    try:
        await _lock(connection)
        await connection.execute(_LEDGER)
        missing = pending(await _applied(connection), wanted)
        for one in missing:
            await _apply(connection, one)
        return missing
    finally:
        # The session's end releases the lock; a lost session cannot be closed politely.
        connection.terminate()


async def schema_state(dsn: str) -> SchemaState:
    """asyncio side. What is applied and what is missing; changes nothing. Raises as `migrate`."""
    connection = await connect(dsn, purpose="schema state")
    try:
        return await schema_of(connection)
    finally:
        connection.terminate()


async def schema_of(connection: asyncpg.Connection[asyncpg.Record]) -> SchemaState:
    """asyncio side. As `schema_state`, on a connection that is there. Raises `MigrationRefused`."""
    known = await connection.fetchval("SELECT to_regclass('schema_migrations') IS NOT NULL")
    applied = await _applied(connection) if known else []
    return SchemaState(tuple(applied), tuple(pending(applied, _shipped())))


async def _lock(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    await connection.execute(f"SET lock_timeout = '{LOCK_PATIENCE:.0f}s'; SET statement_timeout = 0")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    except asyncpg.LockNotAvailableError as error:
        raise MigrationLocked(
            f"Another process has been migrating this database for more than {LOCK_PATIENCE:.0f} s.",
            "Two at once would destroy each other's work.",
            "Wait for it, or end it, and start again.",
        ) from error


async def _applied(connection: asyncpg.Connection[asyncpg.Record]) -> list[Applied]:
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
    return [Applied(int(row["version"]), str(row["name"]), str(row["checksum"])) for row in rows]


async def _apply(connection: asyncpg.Connection[asyncpg.Record], one: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(one.sql)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                one.version,
                one.name,
                one.checksum,
            )
    except asyncpg.PostgresError as error:
        raise MigrationFailed(
            f"The migration {one.name} failed: {error}.",
            "Its transaction was rolled back; earlier migrations stay applied.",
            "Correct the cause the database names and start again.",
        ) from error
