"""A new, empty database for every run, and what may be asked about it while it is filled."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import asyncpg

from fusion_daemon.store import EmbeddedPostgres, migrate

T = TypeVar("T")

_NUMBERS = itertools.count(1)


@contextmanager
def new_database(server: EmbeddedPostgres) -> Iterator[str]:
    """Its DSN. It holds the daemon's own
    tables."""
    name = f"bench_{next(_NUMBERS)}"
    asyncio.run(execute(_dsn(server, "postgres"), f"CREATE DATABASE {name}"))
    try:
        asyncio.run(migrate(_dsn(server, name)))
        yield _dsn(server, name)
    finally:
        asyncio.run(execute(_dsn(server, "postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(dsn: str, statement: str) -> None:
    async with connected(dsn) as connection:
        await connection.execute(statement)


async def ask(connection: asyncpg.Connection, query: str) -> object:
    """The first value of the first row; None also while a contender has not made its table yet."""
    try:
        return await connection.fetchval(query)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return None


def _dsn(server: EmbeddedPostgres, name: str) -> str:
    return f"postgresql://fusion_prime@/{name}?host={server.cluster.sockets}"
