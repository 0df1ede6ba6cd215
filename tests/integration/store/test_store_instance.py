"""One daemon at a time on a database."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import AlreadyRunning, Reader, open_store, single_instance
from fusion_daemon.store import instance as module


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.02)
    monkeypatch.setattr(module, "START_PATIENCE", 0.3)


END_SESSIONS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE '%instance%'"""


async def end_sessions(dsn: str) -> None:
    """asyncio side."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(END_SESSIONS)
    connection.terminate()


async def holders(reader: Reader) -> int:
    row = await reader.fetch_one("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND granted")
    assert row is not None
    return row.integer("n")


async def queueing(reader: Reader) -> bool:
    rows = await reader.fetch("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    return bool(rows)


async def test_a_second_daemon_is_told_who_is_there(aio: Aio, postgres_dsn: str) -> None:
    async with single_instance(aio, postgres_dsn) as first:
        with pytest.raises(AlreadyRunning, match="Another fusion-daemon works on this database since"):
            async with single_instance(aio, postgres_dsn):
                raise AssertionError("must not run")
        assert not first.lost.is_set()
    async with single_instance(aio, postgres_dsn):
        pass


async def test_a_start_waits_for_a_predecessor_that_is_ending(aio: Aio, postgres_dsn: str) -> None:
    @asynccontextmanager
    async def ending(entered: trio.Event) -> AsyncIterator[None]:
        async with single_instance(aio, postgres_dsn):
            entered.set()
            yield
            await trio.sleep(0.1)

    async def predecessor(entered: trio.Event) -> None:
        async with ending(entered):
            pass

    entered = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(predecessor, entered)
        await entered.wait()
        async with single_instance(aio, postgres_dsn):
            pass


async def test_a_lost_session_is_renewed(aio: Aio, postgres_dsn: str) -> None:
    async with open_store(aio, postgres_dsn) as store, single_instance(aio, postgres_dsn) as lock:
        for _ in range(3):
            await aio.call(end_sessions, postgres_dsn, timeout=10)
            with trio.fail_after(10):
                while await store.read(holders) == 0:
                    assert not lock.lost.is_set()
        assert not lock.lost.is_set()


async def test_a_daemon_learns_that_another_has_taken_its_place(aio: Aio, postgres_dsn: str) -> None:
    # The other one queues up for the lock, so it has it the moment the daemon's session ends.
    async def open_usurper() -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(postgres_dsn)

    async with single_instance(aio, postgres_dsn) as lock:
        usurper = await aio.call(open_usurper, timeout=10)

        async def usurp() -> None:
            await usurper.execute("SELECT pg_advisory_lock($1)", module.LOCK)

        async def leave() -> None:
            usurper.terminate()

        async with open_store(aio, postgres_dsn) as store, trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(aio.call, usurp, timeout=20))
            with trio.fail_after(20):
                while not await store.read(queueing):
                    pass
                await aio.call(end_sessions, postgres_dsn, timeout=10)
                await lock.lost.wait()
        await aio.call(leave, timeout=5)


async def test_a_session_whose_end_the_server_missed_does_not_count_as_another_daemon(
    aio: Aio, postgres_dsn: str
) -> None:
    # The client gave the session up, the server still holds it open with the lock: it is ended and
    # replaced, for it carries this daemon's own name.
    session = module._LockSession(postgres_dsn)
    await aio.call(session.take, 0.0, timeout=10)
    forgotten, session._connection = session._connection, None
    assert forgotten is not None
    assert await aio.call(session.still_held, timeout=10)
    await aio.call(session.close, timeout=10)

    async def gone() -> bool:
        forgotten.terminate()
        return forgotten.is_closed()

    assert await aio.call(gone, timeout=5)
