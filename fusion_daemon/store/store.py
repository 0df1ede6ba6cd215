"""The one way to the database: commits, snapshots, claims.

Actors (trio) and the HTTP side (asyncio) draw on separate connections, so a flood of requests cannot
keep an actor from committing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from secrets import randbits
from time import perf_counter
from typing import TYPE_CHECKING, Protocol, TypeVar

import trio
from typing_extensions import TypeVarTuple

from fusion_daemon.aio import Aio
from fusion_daemon.store.commits import Fenced, Superseded, WriteConflict, check, happened, perform
from fusion_daemon.store.connect import SessionLost, describe, refused_by_database, unavailable
from fusion_daemon.store.lease import Lease
from fusion_daemon.store.pool import SNAPSHOT, OutcomeUnknown, Pool, open_pool
from fusion_daemon.store.rows import Row
from fusion_daemon.store.trouble import Trouble
from fusion_daemon.store.writes import Commit, SqlValue

if TYPE_CHECKING:
    from fusion_daemon.store.pool import Session

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PATIENCE = 60.0
"""Seconds that a commit or a claim waits for the database to come back."""

POOLS_CLOSE = 8.0
"""Seconds that both pools together take at most to close."""

QUERY_TIMEOUT = 10.0
GLANCE_TIMEOUT = 1.0
"""Seconds for a query of the HTTP side."""

ACTOR_CONNECTIONS = 12
HTTP_CONNECTIONS = 6

MARGIN = 15.0
"""Seconds that the asyncio side has, after its own deadline, to roll back and answer."""


class Reader(Protocol):
    """asyncio side: what a repository's functions get. One transaction, one connection, no concurrency."""

    async def fetch(self, sql: str, *args: SqlValue) -> list[Row]: ...

    async def fetch_one(self, sql: str, *args: SqlValue) -> Row | None: ...


@dataclass(frozen=True, slots=True)
class Claim:
    """What an actor owns from its start on: the epoch its commits carry, and where everything stands."""

    owner: str
    epoch: int
    heads: Mapping[str, int]
    """Of the streams it produces."""
    positions: Mapping[str, int]
    """Of its cursors in the streams it consumes."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    size: int
    idle: int
    retries: int
    last_error: str


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    commits: int
    commit_seconds: float
    """The sum over all commits that returned, retries included."""
    unknown_outcomes: int
    """COMMITs whose answer was lost and whose witness had to be read."""
    fenced: int
    conflicts: int
    trouble: Trouble | None
    """Why actors cannot record anything at present; None when they can."""
    actors: PoolStatistics
    http: PoolStatistics


class _SessionReader:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def fetch(self, sql: str, *args: SqlValue) -> list[Row]:
        return [Row(record) for record in await self._session.fetch(sql, *args)]

    async def fetch_one(self, sql: str, *args: SqlValue) -> Row | None:
        record = await self._session.fetchrow(sql, *args)
        return None if record is None else Row(record)


class Store:
    """Built by `open_store`. Every method says which side it runs on."""

    def __init__(self, aio: Aio, actors: Pool, http: Pool, patience: float) -> None:
        self._aio = aio
        self._actors = actors
        self._http = http
        self._patience = patience
        self._lease: Lease | None = None
        self._claims: dict[str, Claim] = {}
        self._commits = 0
        self._commit_seconds = 0.0
        self._unknown = 0
        self._fenced = 0
        self._conflicts = 0

    def carry(self, lease: Lease) -> None:
        """trio side. From now on every transaction that writes is let in only under this lease's term; when one is
        refused, every method that writes raises `Superseded` (a `Fenced`) and `lease.lost` is set."""
        self._lease = lease
        self._actors.carry(lease.term)
        self._http.carry(lease.term)

    async def commit(self, commit: Commit) -> None:
        """trio side. All of `commit` in one transaction, exactly once, through restarts of the database.

        Raises `Fenced` and `WriteConflict` (nothing happened), `StoreUnavailable` after the store's
        patience (then it may have happened: start again from the store), and the database's own error
        for a statement that is wrong. Cancelled, it may have happened.
        """
        check(commit)
        await self._write(partial(self._commit, commit), self._patience)

    async def read(self, query: Callable[[Reader, *Ts], Awaitable[T]], *args: *Ts, timeout: float = 30.0) -> T:
        """trio side. `query` in one read-only snapshot (REPEATABLE READ); it is run again when the
        database went away, so it must do nothing but read. Raises `StoreUnavailable` after `timeout`
        seconds. Cancellation ends the statement on the server."""
        work = partial(_snapshot, self._actors, query, args, timeout)
        return await self._aio.call(work, timeout=timeout + MARGIN)

    async def transact(self, work: Callable[[Reader, *Ts], Awaitable[T]], *args: *Ts, timeout: float = 30.0) -> T:
        """trio side. A read-write transaction whose result is needed, such as a claim of queue rows.

        `work` is run again when the database went away before COMMIT was sent. When the answer to COMMIT
        is lost this raises `StoreUnavailable` at once: nobody could say what the result was. So what
        `work` claims must carry an epoch or a term, by which a restarted actor takes it back. Cancelled,
        it may have happened.
        """
        return await self._write(partial(_transact, self._actors, work, args, timeout), timeout)

    async def claim(self, owner: str, *, produces: Sequence[str] = (), consumes: Sequence[str] = ()) -> Claim:
        """trio side. Makes `owner` the only writer of `produces` and the only mover of its cursors in
        `consumes`, and says where they stand. Missing ones are created at 0. It waits for a commit of a
        predecessor that is on its way. Raises `StoreUnavailable`. Cancelled, it may have happened, which
        fences predecessors and harms no one else."""
        names = sorted(set(produces)), sorted(set(consumes))
        claim = await self._write(partial(_claim, self._actors, owner, *names, self._patience), self._patience)
        self._claims[owner] = claim
        return claim

    def claim_of(self, owner: str) -> Claim | None:
        """Any thread. The last claim that this process made for it."""
        return self._claims.get(owner)

    async def cursors_of(self, consumer: str) -> Mapping[str, int]:
        """asyncio side, for HTTP handlers. Its committed position in every stream that it consumes. Raises
        `StoreUnavailable` after a second."""
        return await _snapshot(self._http, _cursors, (consumer,), GLANCE_TIMEOUT)

    async def query(self, query: Callable[[Reader, *Ts], Awaitable[T]], *args: *Ts) -> T:
        """asyncio side, for HTTP handlers. As `read`, on connections of its own."""
        return await _snapshot(self._http, query, args, QUERY_TIMEOUT)

    def statistics(self) -> StoreStatistics:
        """Any thread."""
        return StoreStatistics(
            commits=self._commits,
            commit_seconds=self._commit_seconds,
            unknown_outcomes=self._unknown,
            fenced=self._fenced,
            conflicts=self._conflicts,
            trouble=self._actors.troubles.present,
            actors=_pool_statistics(self._actors),
            http=_pool_statistics(self._http),
        )

    async def _write(self, work: Callable[[], Awaitable[T]], patience: float) -> T:
        """Everything that writes passes here."""
        try:
            return await self._aio.call(work, timeout=patience + MARGIN)
        except Superseded:
            if self._lease is not None:
                self._lease.lost.set()
            raise

    async def _commit(self, commit: Commit) -> None:
        begun = perf_counter()
        attempts = _Attempts(self._actors, commit)
        try:
            await self._actors.patiently(attempts.next, self._patience)
        except Fenced:
            self._fenced += 1
            raise
        except WriteConflict:
            self._conflicts += 1
            raise
        finally:
            self._unknown += attempts.unknown_outcomes
        self._actors.troubles.written()
        self._commits += 1
        self._commit_seconds += perf_counter() - begun


class _Attempts:
    """asyncio side. The tries of one commit.

    INVARIANT: after a lost answer nothing is written before the witness has said that the commit did not
    happen.
    """

    def __init__(self, pool: Pool, commit: Commit) -> None:
        self._pool = pool
        self._commit = commit
        self._lock = randbits(63)
        self._lost: Exception | None = None
        self.unknown_outcomes = 0

    async def next(self) -> None:
        if self._lost is not None:
            if await self._pool.repeatable(self._pool.read_write, self._happened):
                return
            lost, self._lost = self._lost, None
            if refused_by_database(lost):
                raise lost  # at COMMIT: a deferred constraint, for example
        try:
            await self._pool.transaction(self._pool.read_write, self._perform)
        except OutcomeUnknown as unknown:
            self.unknown_outcomes += 1
            self._lost = unknown.cause
            raise SessionLost(f"the answer to COMMIT was lost ({describe(self._lost)})") from unknown

    async def _happened(self, session: Session) -> bool:
        return await happened(session, self._commit, self._lock)

    async def _perform(self, session: Session) -> None:
        await perform(session, self._commit, self._lock)


@asynccontextmanager
async def open_store(aio: Aio, dsn: str, *, patience: float = PATIENCE) -> AsyncIterator[Store]:
    """trio side. Waits up to `patience` seconds for the database. Raises `StoreUnavailable`,
    `StoreRefused`. Leaving it ends every connection, shielded from cancellation for a moment."""
    opened: list[Pool] = []
    try:
        for purpose, size in (("actors", ACTOR_CONNECTIONS), ("http", HTTP_CONNECTIONS)):
            opening = partial(open_pool, dsn, purpose=purpose, size=size, patience=patience)
            opened.append(await aio.call(opening, timeout=patience + MARGIN))
        yield Store(aio, opened[0], opened[1], patience)
    finally:
        with trio.CancelScope(shield=True):
            for pool in opened:
                await aio.call(pool.close, timeout=POOLS_CLOSE / 2)


async def _cursors(reader: Reader, consumer: str) -> Mapping[str, int]:
    rows = await reader.fetch("SELECT stream, position FROM cursors WHERE consumer = $1", consumer)
    return {row.text("stream"): row.integer("position") for row in rows}


async def _snapshot(pool: Pool, query: Callable[[Reader, *Ts], Awaitable[T]], args: tuple[*Ts], patience: float) -> T:
    async def look(session: Session) -> T:
        return await query(_SessionReader(session), *args)

    return await pool.patiently(lambda: pool.repeatable(SNAPSHOT, look), patience)


async def _transact(pool: Pool, work: Callable[[Reader, *Ts], Awaitable[T]], args: tuple[*Ts], patience: float) -> T:
    async def run(session: Session) -> T:
        return await work(_SessionReader(session), *args)

    async def once() -> T:
        try:
            return await pool.transaction(pool.read_write, run)
        except OutcomeUnknown as unknown:
            raise unavailable("did not say whether a transaction was committed") from unknown

    return await pool.patiently(once, patience)


async def _claim(pool: Pool, owner: str, produces: Sequence[str], consumes: Sequence[str], patience: float) -> Claim:
    async def take(session: Session) -> Claim:
        epoch = int(await session.fetchval("SELECT nextval('epochs')"))
        # In the order of the names: two claims of the same streams queue up instead of deadlocking.
        heads = await session.fetch(_CLAIM_STREAMS, produces, epoch)
        positions = await session.fetch(_CLAIM_CURSORS, owner, consumes, epoch)
        return Claim(
            owner,
            epoch,
            {str(row["name"]): int(row["head"]) for row in heads},
            {str(row["stream"]): int(row["position"]) for row in positions},
        )

    # A second claim after a lost answer is a newer epoch, nothing worse.
    claim = await pool.patiently(lambda: pool.repeatable(pool.read_write, take), patience)
    pool.troubles.written()
    return claim


_CLAIM_STREAMS = """
INSERT INTO streams (name, epoch)
SELECT name, $2 FROM unnest($1::text[]) AS wanted (name) ORDER BY name
ON CONFLICT (name) DO UPDATE SET epoch = EXCLUDED.epoch
RETURNING name, head"""

_CLAIM_CURSORS = """
INSERT INTO cursors (consumer, stream, epoch)
SELECT $1, stream, $3 FROM unnest($2::text[]) AS wanted (stream) ORDER BY stream
ON CONFLICT (consumer, stream) DO UPDATE SET epoch = EXCLUDED.epoch
RETURNING stream, position"""


def _pool_statistics(pool: Pool) -> PoolStatistics:
    return PoolStatistics(pool.size, pool.idle, pool.retries, pool.last_error)
