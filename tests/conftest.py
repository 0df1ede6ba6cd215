"""One real Postgres for the whole run, a fresh migrated database for every test that asks for one.

The server runs without fsync. A template database is migrated once; each test gets a clone of it and
drops it afterwards. Async tests run on trio, in real time unless they ask for a mock clock.

What is temporary lies in memory where there is room: a clone is 500 files, and a disk's file system takes longer to
find inodes for them than most tests to run.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from fusion_daemon.aio import Aio, open_aio
from fusion_daemon.store import EmbeddedPostgres, Store, migrate, open_store, running_postgres

MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes that must be free there; a run takes less than one of them."""

_numbers = itertools.count(1)


def pytest_configure() -> None:
    # How long an example takes says how busy the machine is, and is no property of the code.
    settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("untimed")
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        tempfile.tempdir = os.environ["TMPDIR"] = str(MEMORY)  # for the processes that tests start as well


def _has_room(place: Path) -> bool:
    """As root, the server's programs are copied to beside its data, so they must be allowed to run there."""
    if not os.access(place, os.W_OK):
        return False
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC


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
    # A copy needs a checkpoint, which costs nothing in memory and more than the log on a disk.
    strategy = "FILE_COPY" if server.cluster.data.is_relative_to(MEMORY) else "WAL_LOG"
    _administer(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY {strategy}")
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
