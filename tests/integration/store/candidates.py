"""Daemons that want the lease of one database, as tests set them up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import Candidacy, Candidate, Lease, LeaseRole, LeaseStanding, open_candidacy

PATIENCE = 20.0
LONG = 600.0
"""Seconds of a lease that no test waits for."""
SHORT = 0.5
A = Candidate("a", "same", LONG)
B = Candidate("b", "same", LONG)


class Heard:
    """What a candidate has told of itself."""

    def __init__(self) -> None:
        self.last: LeaseStanding | None = None
        self._news = trio.Event()

    def __call__(self, now: LeaseStanding) -> None:
        self.last = now
        self._news.set()
        self._news = trio.Event()

    async def until(self, holds: Callable[[LeaseStanding], bool]) -> LeaseStanding:
        with trio.fail_after(PATIENCE):
            while self.last is None or not holds(self.last):
                await self._news.wait()
            return self.last

    async def stands_by(self, hindrance: str | None = None) -> LeaseStanding:
        """With that in its reason."""
        return await self.until(
            lambda now: now.role is LeaseRole.STANDBY
            and (now.hindrance is None if hindrance is None else hindrance in (now.hindrance or ""))
        )


@asynccontextmanager
async def holder(aio: Aio, dsn: str, mine: Candidate) -> AsyncIterator[tuple[Candidacy, Lease]]:
    async with open_candidacy(aio, dsn, mine, Heard()) as candidacy:
        with trio.fail_after(PATIENCE):
            lease = await candidacy.won()
        yield candidacy, lease


@asynccontextmanager
async def standby(
    aio: Aio, dsn: str, mine: Candidate, hindrance: str | None = None
) -> AsyncIterator[tuple[Candidacy, Heard]]:
    """One that stands by, with that in its reason, and goes on to wait for the lease."""
    heard = Heard()
    async with open_candidacy(aio, dsn, mine, heard) as candidacy, trio.open_nursery() as nursery:
        nursery.start_soon(candidacy.won)
        await heard.stands_by(hindrance)
        yield candidacy, heard
        nursery.cancel_scope.cancel()


def active(now: LeaseStanding) -> bool:
    return now.role is LeaseRole.ACTIVE


async def execute(aio: Aio, dsn: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            connection.terminate()

    await aio.call(run, timeout=PATIENCE)


END_HOLDER = """
SELECT pg_terminate_backend(backend_pid, 5000) FROM leases WHERE term = (SELECT max(term) FROM leases)"""
