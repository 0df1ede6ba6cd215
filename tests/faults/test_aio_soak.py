"""Ten thousand randomly cancelled pool operations leave a pool as if nothing had happened.

The trap behind it: where a cancellation tears an operation apart between acquire and release, the
connection is lost and the pool starves without an error. Here an operation is one coroutine, and the
caller does not go on before it has ended.
"""

from __future__ import annotations

import asyncio
from random import Random

import asyncpg
import trio

from fusion_daemon.aio import Aio

OPERATIONS = 10_000
WORKERS = 20
POOL_SIZE = 8
LONGEST = 0.012
"""Seconds: deadlines are drawn from here, operations take up to a fifth of it."""


async def open_pool(dsn: str) -> asyncpg.Pool:
    pool = await asyncpg.create_pool(dsn, min_size=POOL_SIZE, max_size=POOL_SIZE)
    await pool.execute("CREATE TABLE soak (worker int, number int, half int)")
    return pool


async def operate(pool: asyncpg.Pool, worker: int, number: int, seconds: float) -> None:
    """Two rows or none."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO soak VALUES ($1, $2, 1)", worker, number)
        if seconds > 0:
            await connection.execute("SELECT pg_sleep($1)", seconds)
        await connection.execute("INSERT INTO soak VALUES ($1, $2, 2)", worker, number)


async def inspect(pool: asyncpg.Pool) -> tuple[list[str], int, int, int]:
    """States of the pool's other sessions, torn operations, finished operations, live asyncio tasks."""
    connections = [await pool.acquire(timeout=5.0) for _ in range(POOL_SIZE)]
    assert all(await asyncio.gather(*(each.fetchval("SELECT true") for each in connections)))
    torn = await connections[0].fetchval(
        "SELECT count(*) FROM (SELECT FROM soak GROUP BY worker, number HAVING count(*) <> 2) AS torn"
    )
    finished = await connections[0].fetchval("SELECT count(*) / 2 FROM soak")
    rows = await connections[0].fetch(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )
    for each in connections:
        await pool.release(each)
    return [row["state"] for row in rows], torn, finished, len(asyncio.all_tasks())


async def test_every_connection_is_idle_and_healthy_after_random_cancels(aio: Aio, postgres_dsn: str) -> None:
    pool = await aio.call(open_pool, postgres_dsn, timeout=30.0)
    done = [0]

    async def work(worker: int) -> None:
        random = Random(worker)
        for number in range(OPERATIONS // WORKERS):
            seconds = random.choice([0.0, random.uniform(0.0, LONGEST / 5)])
            with trio.move_on_after(random.uniform(0.0, LONGEST)):
                await aio.call(operate, pool, worker, number, seconds, timeout=30.0)
                done[0] += 1

    async with trio.open_nursery() as nursery:
        for worker in range(WORKERS):
            nursery.start_soon(work, worker)

    assert (pool.get_size(), pool.get_idle_size()) == (POOL_SIZE, POOL_SIZE)
    states, torn, finished, tasks = await aio.call(inspect, pool, timeout=30.0)
    assert states == ["idle"] * (POOL_SIZE - 1)
    assert torn == 0
    # A cancel that comes after the COMMIT was sent leaves the caller without an answer, not the table.
    assert done[0] <= finished <= done[0] + aio.statistics().calls.cancelled
    assert 0 < done[0] < OPERATIONS
    assert tasks == 1
    figures = aio.statistics()
    assert figures.calls.in_flight == 0
    assert figures.swallowed == {}
    assert figures.background_failures == 0
    await aio.call(pool.close, timeout=30.0)
