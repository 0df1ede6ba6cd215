"""One daemon at a time on a database: a lock that lives as long as a session does.

The epochs of streams and cursors keep the data right even with two daemons; this lock keeps the second
one from starting at all, and tells the first one when another has taken its place.
"""

from __future__ import annotations

import secrets
from asyncio import get_running_loop, sleep, timeout, timeout_at
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.connect import PASSING, StoreUnavailable, connect, describe, unavailable

LOCK = 0x66705F6F6E65  # "fp_one"

START_PATIENCE = 5.0
"""Seconds that a start waits for the lock: the server needs a moment to notice a killed predecessor."""

BEAT = 2.0
"""Seconds between two looks at the session."""

ANSWER = 10.0
"""Seconds that one look, or one attempt to take the lock again, may take."""

_HOLDER = """
SELECT a.pid, a.application_name, a.backend_start
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = $1"""


class AlreadyRunning(Failure):
    """Another daemon holds this database."""


class InstanceLock:
    """`lost` is set when another daemon has taken the lock, never by an outage alone: while the database
    is away nobody can take it."""

    def __init__(self) -> None:
        self.lost = trio.Event()


class _LockSession:
    """asyncio side. The one session that holds the lock, and its renewal after an outage."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        # By this name a renewed session recognises its own predecessor, whose end the server missed.
        self._name = f"instance {secrets.token_hex(8)}"
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def take(self, patience: float) -> None:
        """Raises `AlreadyRunning` after `patience` seconds, `StoreUnavailable`, `StoreRefused`."""
        connection = await connect(self._dsn, purpose=self._name)
        try:
            async with timeout_at(get_running_loop().time() + patience + ANSWER):
                await self._wait_for_lock(connection, patience)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def still_held(self) -> bool:
        """False when another daemon holds the lock now. Raises `StoreUnavailable` while nobody knows."""
        if self._connection is not None:
            try:
                async with timeout(ANSWER / 2):
                    await self._connection.execute("SELECT 1")
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
                self.drop()
            else:
                return True
        try:
            await self.take(0)
        except AlreadyRunning:
            return False
        return True

    def drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        self.drop()

    async def _wait_for_lock(self, connection: asyncpg.Connection[asyncpg.Record], patience: float) -> None:
        give_up = get_running_loop().time() + patience
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                holder = await connection.fetchrow(_HOLDER, LOCK)
                if holder is None:
                    continue
                if holder["application_name"] == f"fusion-daemon {self._name}":
                    await connection.execute("SELECT pg_terminate_backend($1, 1000)", holder["pid"])
                elif get_running_loop().time() >= give_up:
                    raise _already(holder)
                else:
                    await sleep(0.05)
        except (*PASSING, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise unavailable(f"went away ({describe(error)})") from error


@asynccontextmanager
async def single_instance(aio: Aio, dsn: str) -> AsyncIterator[InstanceLock]:
    """trio side. Holds the database for this daemon alone. Raises `AlreadyRunning`, `StoreUnavailable`,
    `StoreRefused` before the body runs. After an outage the lock is taken again; when another daemon was
    faster, `lost` is set, and the daemon must end."""
    session = _LockSession(dsn)
    await aio.call(session.take, START_PATIENCE, timeout=START_PATIENCE + 2 * ANSWER)
    lock = InstanceLock()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, aio, session, lock)
            yield lock
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await aio.call(session.close, timeout=ANSWER)


async def _watch(aio: Aio, session: _LockSession, lock: InstanceLock) -> None:
    held = True
    while held:
        await trio.sleep(BEAT)
        try:
            held = await aio.call(session.still_held, timeout=2 * ANSWER)
        except StoreUnavailable:
            continue  # the next beat tries again; the pool reports the outage
    lock.lost.set()


def _already(holder: asyncpg.Record) -> AlreadyRunning:
    return AlreadyRunning(
        f"Another fusion-daemon works on this database since {holder['backend_start']:%Y-%m-%d %H:%M:%S} UTC"
        f" (server process {holder['pid']}).",
        "Two daemons would fence each other's actors in turn.",
        "Stop the other one, or give this one a database of its own.",
    )
