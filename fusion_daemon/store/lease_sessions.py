"""The lease's sessions and statements. asyncio side.

A candidate has one session that looks and one that waits for the lock; the latter becomes the holder's.
"""

from __future__ import annotations

from asyncio import timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from fusion_daemon.store.connect import PASSING, connect, describe, unavailable
from fusion_daemon.store.lease import Backend, Candidate, LeaseHeld, LeaseNotEnded, Sight, Taken
from fusion_daemon.store.migrate import schema_of

LOCK = 0x66705F6F6E65  # "fp_one": held by the lease's holder, for as long as its session lives
TABLE = 2
"""Number of the migration that makes the lease's table."""
WRITERS = 0x66705F777269  # "fp_wri": shared by every transaction that writes; see hold_lease

ANSWER = 5.0
"""Seconds that one statement may take."""
WRITES_END = 0.5
"""Seconds that the last writes of the term before get to end by themselves."""

BROKEN = (*PASSING, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a session meets whose server or network went away."""

_HELD = """
EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) | objid::bigint = $1)"""

_LOOK = f"""
SELECT term, instance, configuration, lease_seconds,
       extract(epoch FROM since)::float8 AS since,
       extract(epoch FROM now() - greatest(renewed_at, pg_postmaster_start_time()))::float8 AS silence,
       pg_postmaster_start_time() > renewed_at AS server_restarted,
       released_at IS NOT NULL AS released,
       {_HELD} AS locked,
       backend_pid, backend_start::text AS backend_start
FROM leases ORDER BY term DESC LIMIT 1"""  # noqa: S608 - constants

_ME = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"

_BEGIN_TERM = f"""
INSERT INTO leases (term, instance, configuration, lease_seconds, taken, backend_pid, backend_start)
SELECT (SELECT coalesce(max(term), 0) + 1 FROM leases), $1, $2, $3, $4, me.pid, me.backend_start FROM ({_ME}) AS me
RETURNING term"""  # noqa: S608 - constants

_RENEW = f"""
UPDATE leases SET renewed_at = clock_timestamp(), configuration = $2,
    backend_pid = me.pid, backend_start = me.backend_start
FROM ({_ME}) AS me
WHERE term = $1 AND term = (SELECT max(term) FROM leases)
RETURNING term"""  # noqa: S608 - constants

_RELEASE = "UPDATE leases SET released_at = clock_timestamp() WHERE term = $1"

_END_BACKEND = """
SELECT backend_start IS NULL AS hidden,
       CASE WHEN backend_start = $2::text::timestamptz THEN pg_terminate_backend(pid, 2000) END
FROM pg_stat_activity WHERE pid = $1"""

_END_WRITERS = """
SELECT pg_terminate_backend(pid, 2000) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32) | objid::bigint = $1"""


class Lookout:
    """The candidate's session that looks."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def look(self) -> Sight | None:
        """The newest term; None before the first. Raises `MigrationRefused` when the schema is newer than this
        program, `StoreUnavailable`, `StoreRefused`."""
        async with self._session() as session:
            state = await schema_of(session)
            if TABLE not in {one.version for one in state.applied}:
                return None
            row = await session.fetchrow(_LOOK, LOCK)
            return None if row is None else sight_of(row)

    async def end(self, backend: Backend) -> None:
        """End that session, if it still lives. Raises `LeaseNotEnded`, `StoreUnavailable`."""
        async with self._session() as session:
            try:
                found = await session.fetchrow(_END_BACKEND, backend.pid, backend.start)
            except asyncpg.InsufficientPrivilegeError as error:
                raise _not_ended(f"server process {backend.pid}") from error
        if found is not None and found["hidden"]:
            raise _not_ended(f"server process {backend.pid}")

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        try:
            async with timeout(ANSWER):
                if self._connection is None:
                    self._connection = await connect(self._dsn, purpose="lease lookout")
                yield self._connection
        except BROKEN as error:
            await self.close()
            raise unavailable(f"went away ({describe(error)})") from error

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class LockSession:
    """The session that waits for the lock, and with it is the holder's."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def acquire(self) -> None:
        """Wait until the server gives the lock. Raises `StoreUnavailable`, `StoreRefused`. Cancelled, it has not
        been given, or is given back."""
        await self.close()
        connection = await connect(self._dsn, purpose="lease")
        try:
            await connection.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            await connection.execute("SELECT pg_advisory_lock($1)", LOCK, timeout=None)
            await connection.execute("RESET statement_timeout; RESET lock_timeout")
        except BROKEN as error:
            connection.terminate()
            raise unavailable(f"went away ({describe(error)})") from error
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def acquire_now(self) -> None:
        """Raises `LeaseHeld` when another session has the lock, `StoreUnavailable`, `StoreRefused`."""
        await self.close()
        connection = await connect(self._dsn, purpose="lease")
        self._connection = connection
        try:
            async with timeout(ANSWER):
                free = await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK)
        except BROKEN as error:
            await self.close()
            raise unavailable(f"went away ({describe(error)})") from error
        if not free:
            await self.close()
            raise LeaseHeld(
                "Another fusion-daemon works on this database.",
                "Whatever were put into it now would be mixed with that one's work.",
                "Stop it, and those that stand by, or name another database.",
            )

    async def begin_term(self, mine: Candidate, how: Taken) -> int:
        """With the lock held: the new term. No write of an older one takes effect after this. Raises
        `StoreUnavailable`; then the term may have begun, in vain."""
        connection = self._open()
        try:
            async with timeout(2 * ANSWER):
                while True:
                    try:
                        return await self._try_to_begin(connection, mine, how)
                    except asyncpg.LockNotAvailableError:
                        await connection.execute(_END_WRITERS, WRITERS)
        except asyncpg.InsufficientPrivilegeError as error:
            await self.close()
            raise _not_ended("its last writes") from error
        except BROKEN as error:
            await self.close()
            raise unavailable(f"went away ({describe(error)})") from error

    async def renew(self, term: int, configuration: str) -> bool:
        """Also says by which configuration the holder decides now. False once a newer term has begun. Raises
        `StoreUnavailable` while nobody knows. A session that was lost is replaced, together with its lock."""
        try:
            async with timeout(ANSWER):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._lock_again(term)
                return await self._connection.fetchval(_RENEW, term, configuration) is not None
        except BROKEN as error:
            await self.close()
            raise unavailable(f"went away ({describe(error)})") from error

    async def release(self, term: int) -> None:
        """Give the lease back, if there is a session left to say so with."""
        try:
            if self._connection is not None:
                async with timeout(ANSWER):
                    await self._connection.execute(_RELEASE, term)
        except BROKEN:
            pass  # its session's end frees it as well
        finally:
            await self.close()

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _open(self) -> asyncpg.Connection[asyncpg.Record]:
        if self._connection is None:
            raise unavailable("went away")
        return self._connection

    async def _try_to_begin(self, connection: asyncpg.Connection[asyncpg.Record], mine: Candidate, how: Taken) -> int:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{WRITES_END * 1000:.0f}ms'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITERS)
            arguments = (mine.instance, mine.configuration, mine.seconds, how.value)
            return int(await connection.fetchval(_BEGIN_TERM, *arguments))

    async def _lock_again(self, term: int) -> asyncpg.Connection[asyncpg.Record]:
        """A new session, with the lock if `term` is still in force."""
        connection = await connect(self._dsn, purpose="lease")
        try:
            row = await connection.fetchrow(_LOOK, LOCK)
            if row is not None and row["term"] == term:
                await _lock_now(connection, sight_of(row).backend)
        except BaseException:
            connection.terminate()
            raise
        return connection


async def _lock_now(connection: asyncpg.Connection[asyncpg.Record], old: Backend) -> None:
    """Take the lock, or raise `StoreUnavailable`: then it is this holder's own `old` session that has it, whose end
    the server has missed, or a candidate at work. The next renewal will tell which."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
        await connection.fetchrow(_END_BACKEND, old.pid, old.start)
        raise unavailable("has not yet ended this daemon's old session")


def _not_ended(what: str) -> LeaseNotEnded:
    return LeaseNotEnded(
        f"This daemon's role may not end what the lease's old holder has left at the database ({what}).",
        "The holder is silent, and nobody can take over while that lasts.",
        "Give both daemons the same role, or grant pg_signal_backend and pg_read_all_stats to this one's;"
        " or end that server process as a superuser, with pg_terminate_backend.",
    )


def sight_of(row: asyncpg.Record) -> Sight:
    return Sight(
        term=int(row["term"]),
        instance=str(row["instance"]),
        configuration=str(row["configuration"]),
        since=float(row["since"]),
        seconds=float(row["lease_seconds"]),
        silence=float(row["silence"]),
        released=bool(row["released"]),
        server_restarted=bool(row["server_restarted"]),
        locked=bool(row["locked"]),
        backend=Backend(int(row["backend_pid"]), str(row["backend_start"])),
    )
