"""Rule: one daemon at a time writes in a database; its death or its silence frees the lease, and it never wins back
what another has taken.

    first   ═══ holds ═══╳ dies, falls silent, or gives it back
    second  ─ stands by ─────╔═══ holds ═══
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import (
    Candidacy,
    Candidate,
    Lease,
    LeaseStanding,
    Reader,
    Store,
    open_candidacy,
)
from fusion_daemon.store import candidacy as module

LONG = 600.0
SHORT = 0.5
A = Candidate("a", "same", LONG)
B = Candidate("b", "same", LONG)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_PATIENCE", 0.2)


def unheard(_: LeaseStanding) -> None:
    pass


@asynccontextmanager
async def candidate(aio: Aio, dsn: str, mine: Candidate) -> AsyncIterator[Candidacy]:
    async with open_candidacy(aio, dsn, mine, unheard) as opened:
        yield opened


@asynccontextmanager
async def holder(aio: Aio, dsn: str, mine: Candidate) -> AsyncIterator[tuple[Candidacy, Lease]]:
    async with candidate(aio, dsn, mine) as opened:
        with trio.fail_after(20):
            lease = await opened.won()
        yield opened, lease


async def end_session_of(reader: Reader, term: int) -> None:
    await reader.fetch("SELECT pg_terminate_backend(backend_pid, 5000) FROM leases WHERE term = $1", term)


async def terms(reader: Reader) -> list[tuple[str, str]]:
    rows = await reader.fetch("SELECT instance, taken FROM leases ORDER BY term")
    return [(row.text("instance"), row.text("taken")) for row in rows]




async def forget(opened: Candidacy, lease: Lease) -> None:
    """As a process that stands still: nothing is renewed, nothing is closed."""
    opened._nursery.cancel_scope.cancel()
    lease.lost.set()  # so that leaving the block gives nothing back


async def test_the_second_stands_by_and_takes_over_when_the_first_gives_it_back(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    async with candidate(aio, postgres_dsn, B) as second, trio.open_nursery() as nursery:
        async with holder(aio, postgres_dsn, A) as (_, first):
            nursery.start_soon(second.won)
            await stands_by(second)
            assert (second.standing.holder, second.standing.term) == ("a", first.term)
            assert second.standing.hindrance is None
        with trio.fail_after(20):
            assert await second.take_over() == first.term + 1
    assert await store.read(terms) == [("a", "free"), ("b", "free")]
