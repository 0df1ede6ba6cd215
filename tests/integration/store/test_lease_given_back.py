"""Rule: a daemon that leaves gives its lease back, also in the middle of a renewal, and renews no more.

    renewal  ─ waits for the row ─╳ cancelled
    leaving                       └ waits for the row ─┬ given back
    row      ═══════════ another transaction's ════════╛
"""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import Reader, Store
from fusion_daemon.store import candidacy as module
from fusion_daemon.store.lease_sessions import LOCK
from tests.integration.store.candidates import PATIENCE, A, holder


async def renewal_waits(reader: Reader) -> bool:
    return bool(
        await reader.fetch(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%UPDATE leases SET renewed_at%' AND pid <> pg_backend_pid()"
        )
    )


async def given_back(reader: Reader) -> list[bool]:
    rows = await reader.fetch("SELECT released_at IS NOT NULL AS given_back FROM leases")
    return [row.boolean("given_back") for row in rows]


async def lock_is_free(reader: Reader) -> bool:
    """The server may take a moment to notice that a session has ended."""
    row = await reader.fetch_one("SELECT pg_try_advisory_xact_lock($1) AS free", LOCK)
    assert row is not None
    return row.boolean("free")


async def test_a_lease_is_given_back_in_the_middle_of_a_renewal(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold_the_row() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            await connection.execute("BEGIN; SELECT FROM leases FOR UPDATE")
            await asyncio.Event().wait()
        finally:
            connection.terminate()

    async def keep_the_row() -> None:
        with row_held:
            await aio.call(hold_the_row, timeout=2 * PATIENCE)

    async def let_the_row_go() -> None:
        while await store.read(renewal_waits):
            pass
        row_held.cancel()

    monkeypatch.setattr(module, "RENEWALS", A.seconds / 0.02)
    row_held = trio.CancelScope()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            async with holder(aio, postgres_dsn, A) as (candidacy, _):
                nursery.start_soon(keep_the_row)
                while not await store.read(renewal_waits):
                    pass
                nursery.start_soon(let_the_row_go)
        while not await store.read(lock_is_free):
            pass
    assert await store.read(given_back) == [True]
    assert candidacy._session._connection is None
