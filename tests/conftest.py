"""One real Postgres for the whole run, a fresh migrated database for every test that asks for one.

The server runs without fsync. A template database is migrated once; each test gets a clone of it and
drops it afterwards. Async tests run on trio, in real time unless they ask for a mock clock.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.aio import Aio, open_aio
from fusion_daemon.store import EmbeddedPostgres, Store, migrate, open_store, running_postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    # Not pytest's tmp_path: as root, Postgres runs under an account that cannot enter that one.
    state_dir = Path(tempfile.mkdtemp(prefix="fusion-prime-test-"))
    try:
        with running_postgres(state_dir, durable=False) as server:
            yield server
    finally:
        shutil.rmtree(state_dir)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    _administer(postgres_server, "CREATE DATABASE migrated")
    asyncio.run(migrate(_database(postgres_server, "migrated")))
    return "migrated"


@pytest.fixture
def empty_postgres_dsn(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database without any schema."""
    yield from _clone(postgres_server, "template1")


@pytest.fixture
def postgres_dsn(postgres_server: EmbeddedPostgres, postgres_template: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    yield from _clone(postgres_server, postgres_template)


@pytest.fixture
async def aio() -> AsyncIterator[Aio]:
    async with open_aio() as opened:
        yield opened


@pytest.fixture
async def store(aio: Aio, postgres_dsn: str) -> AsyncIterator[Store]:
    async with open_store(aio, postgres_dsn) as opened:
        yield opened


def _clone(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")
    try:
        yield _database(server, name)
    finally:
        _administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def _database(server: EmbeddedPostgres, name: str) -> str:
    return f"postgresql://fusion_prime@/{name}?host={server.cluster.sockets}"


def _administer(server: EmbeddedPostgres, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(_database(server, "postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())
