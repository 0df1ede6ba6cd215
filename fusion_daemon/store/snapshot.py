"""One consistent look at a whole database, however long it takes. asyncio side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from fusion_daemon.store.connect import PASSING, connect, describe, unavailable
from fusion_daemon.store.rows import Row
from fusion_daemon.store.writes import SqlValue

_BEGIN = """
SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
"""

_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname
"""


class LongReader:
    """A `Reader` without time limits. Raises `StoreUnavailable` when the database went away."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *args: SqlValue) -> list[Row]:
        try:
            return [Row(record) for record in await self._connection.fetch(sql, *args)]
        except (*PASSING, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise unavailable(f"went away ({describe(error)})") from error

    async def fetch_one(self, sql: str, *args: SqlValue) -> Row | None:
        rows = await self.fetch(sql, *args)
        return rows[0] if rows else None


@asynccontextmanager
async def open_snapshot(dsn: str) -> AsyncIterator[LongReader]:
    """A read-only REPEATABLE READ transaction on a connection of its own. Raises `StoreUnavailable`,
    `StoreRefused`."""
    connection = await connect(dsn, purpose="snapshot")
    try:
        await connection.execute(_BEGIN)
        yield LongReader(connection)
    finally:
        connection.terminate()


@dataclass(frozen=True, slots=True)
class Facts:
    """What two databases with the same contents have in common."""

    heads: Mapping[str, int]
    """Of every stream."""
    rows: Mapping[str, int]
    """Of every table."""


async def read_facts(reader: LongReader) -> Facts:
    """Both empty for a database without a schema. Its cost grows with the database."""
    tables = [row.text("relname") for row in await reader.fetch(_TABLES)]
    counts: dict[str, int] = {}
    for table in tables:
        for row in await reader.fetch(f'SELECT count(*) AS count FROM "{table}"'):  # noqa: S608
            counts[table] = row.integer("count")
    heads = await reader.fetch("SELECT name, head FROM streams") if "streams" in tables else []
    return Facts({row.text("name"): row.integer("head") for row in heads}, counts)
