"""Connections lent to one coroutine at a time, and the patience that outlives a restart of Postgres.

INVARIANT: a connection goes back idle, or closed. Whatever happens to the work, its transaction has been
ended by us, or the session has been given up.
"""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop, sleep, timeout, timeout_at
from collections.abc import Awaitable, Callable
from random import Random
from typing import TYPE_CHECKING, TypeVar

import asyncpg

from fusion_daemon.store.commits import Superseded
from fusion_daemon.store.connect import (
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    PASSING,
    REFUSED,
    SessionLost,
    describe,
    disk_full,
    refused,
    settings,
    unavailable,
)
from fusion_daemon.store.trouble import Troubles

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Session = PoolConnectionProxy[asyncpg.Record]

T = TypeVar("T")

TERM_OVER = "FP001"
"""SQLSTATE of `hold_lease`."""
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

CLEAN_UP = 2.0
"""Seconds for a rollback and for giving a connection back, each; then the session is given up."""

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 1.0


class OutcomeUnknown(Exception):
    """COMMIT was sent and its answer is missing or bad. Never leaves this room."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Backoff:
    """Pauses with full jitter: uniform between nothing and a bound that doubles up to a second."""

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311  jitter, not a secret
        self._bound = FIRST_PAUSE

    async def pause(self) -> None:
        bound, self._bound = self._bound, min(self._bound * 2, LONGEST_PAUSE)
        await sleep(self._random.uniform(0, bound))


class Pool:
    """asyncio side. Built by `open_pool`."""

    def __init__(self, connections: asyncpg.Pool[asyncpg.Record]) -> None:
        self._connections = connections
        self.retries = 0
        self.last_error = ""
        self.troubles = Troubles()
        self.read_write = "BEGIN"
        """How a transaction that writes begins."""

    def carry(self, term: int) -> None:
        """From now on whatever writes is let in only while this term of the lease is the newest."""
        # Both in one message, so that the fence costs no round trip.
        self.read_write = f"BEGIN; SELECT hold_lease({term:d})"

    @property
    def size(self) -> int:
        return self._connections.get_size()

    @property
    def idle(self) -> int:
        return self._connections.get_idle_size()

    async def close(self) -> None:
        """Waits for the work under way, up to the clean-up time; then ends every session."""
        try:
            async with timeout(CLEAN_UP):
                await self._connections.close()
        except (TimeoutError, *PASSING):
            self._connections.terminate()

    async def use(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Lends `work` a connection, once. Raises what `work` raises, `SessionLost`, `StoreRefused`, or an
        error of `PASSING` when there is no connection to be had."""
        try:
            async with timeout(CONNECT_TIMEOUT):
                session = await self._connections.acquire()
        except REFUSED as error:
            raise refused(error) from error
        except asyncpg.InternalClientError as error:
            raise SessionLost(describe(error)) from error
        try:
            return await work(session)
        except asyncpg.InternalClientError as error:
            # The driver lost the thread of the protocol: it has read the server's farewell, for example,
            # and not yet the end of the stream.
            give_up(session)
            raise SessionLost(describe(error)) from error
        except asyncpg.InterfaceError as error:
            if closed(session):
                raise SessionLost(describe(error)) from error
            raise
        finally:
            await self._give_back(session)

    async def _give_back(self, session: Session) -> None:
        try:
            async with timeout(CLEAN_UP):
                await self._connections.release(session)
        except (TimeoutError, CancelledError) as error:
            # The server does not answer, not even to the request to cancel its work.
            give_up(session)
            if isinstance(error, CancelledError):
                raise

    async def transaction(self, begin: str, work: Callable[[Session], Awaitable[T]]) -> T:
        """One transaction, once. Raises as `use`, and `OutcomeUnknown`."""

        async def whole(session: Session) -> T:
            return await in_transaction(session, begin, work)

        result = await self.use(whole)
        self.troubles.answered()
        return result

    async def repeatable(self, begin: str, work: Callable[[Session], Awaitable[T]]) -> T:
        """As `transaction`, for work that does no harm when it is done twice: an unknown outcome is one
        more session lost."""
        try:
            return await self.transaction(begin, work)
        except OutcomeUnknown as unknown:
            raise SessionLost(describe(unknown.cause)) from unknown

    async def patiently(self, work: Callable[[], Awaitable[T]], patience: float) -> T:
        """Runs `work` until it returns or raises something that does not pass, for at most `patience`
        seconds; then raises `StoreUnavailable`. `work` must be safe to run again after an error of
        `PASSING`."""
        backoff = Backoff()
        last: BaseException | None = None
        try:
            async with timeout_at(get_running_loop().time() + patience):
                while True:
                    try:
                        return await work()
                    except PASSING as error:
                        last = error
                        self.retries += 1
                        self.last_error = describe(error)
                        self.troubles.failed(error)
                    await backoff.pause()
        except TimeoutError as error:
            if isinstance(last, asyncpg.DiskFullError):
                raise disk_full(last) from last
            why = "it is too slow" if last is None else describe(last)
            how = f"did not complete the work within {patience:g} s ({why})"
            raise unavailable(how) from (last or error)


async def open_pool(dsn: str, *, purpose: str, size: int, patience: float) -> Pool:
    """asyncio side. Up to `size` connections, opened as they are needed and kept. Waits up to `patience`
    seconds for the first one. Raises `StoreUnavailable`, `StoreRefused`."""
    try:
        connections = await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size,
            max_inactive_connection_lifetime=0,
            max_cached_statement_lifetime=0,
            reset=_nothing_to_reset,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            server_settings=settings(purpose),
        )
    except REFUSED as error:
        raise refused(error) from error
    pool = Pool(connections)
    try:
        await pool.patiently(lambda: pool.use(_probe), patience)
    except BaseException:
        await pool.close()
        raise
    return pool


async def in_transaction(session: Session, begin: str, work: Callable[[Session], Awaitable[T]]) -> T:
    """An error before COMMIT is sent means that nothing happened; one after it is `OutcomeUnknown`. Raises
    `Superseded` when the lease's term is over."""
    try:
        await _begin(session, begin)
        result = await work(session)
    except BaseException:
        await _roll_back(session)
        raise
    try:
        ended = await session.execute("COMMIT")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        give_up(session)
        raise OutcomeUnknown(error) from error
    if ended != "COMMIT":
        raise RuntimeError("a statement failed, its error was swallowed, and the transaction rolled back")
    return result


def closed(session: Session) -> bool:
    """Whether the session has ended; asyncpg takes the connection of an ended one away at once."""
    try:
        return session.is_closed()
    except asyncpg.InterfaceError:
        return True


def give_up(session: Session) -> None:
    if not closed(session):
        session.terminate()


async def _begin(session: Session, begin: str) -> None:
    try:
        await session.execute(begin)
    except asyncpg.PostgresError as error:
        if error.sqlstate != TERM_OVER:
            raise
        raise Superseded(
            "Another daemon has taken over this database.",
            "This one's term is over: its write was refused and nothing changed.",
            "Nothing, if a takeover was wanted; this daemon ends, and may be started again as the standby.",
        ) from error


async def _roll_back(session: Session) -> None:
    if closed(session):
        return
    try:
        async with timeout(CLEAN_UP):
            await session.execute("ROLLBACK")
    except CancelledError:
        give_up(session)
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        # The session is of no more use; the server rolls back when it ends. The first error goes on.
        give_up(session)


async def _probe(session: Session) -> None:
    await session.execute("SELECT 1")


async def _nothing_to_reset(_connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Work here leaves no session state (settings and locks are the transaction's), so asyncpg's reset
    would be a round trip for nothing."""
