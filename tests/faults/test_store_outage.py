"""Postgres goes away under load and comes back: what was acknowledged is there, once, in order."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import (
    Advance,
    Append,
    Commit,
    EmbeddedPostgres,
    Reader,
    Store,
    StoreUnavailable,
    migrate,
    open_store,
    running_postgres,
)

WRITERS = 4

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of these tests' own, durable: they are about what survives. Each leaves it running."""
    state_dir = Path(tempfile.mkdtemp(prefix="fusion-prime-test-"))
    try:
        with running_postgres(state_dir) as running:
            yield running
    finally:
        shutil.rmtree(state_dir)


@pytest.fixture
async def dsn(server: EmbeddedPostgres, aio: Aio) -> str:
    """A migrated database of this test's own on that server."""
    name = f"test_{next(_numbers)}"

    async def create() -> None:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    await aio.call(create, timeout=30)
    created = server.dsn.replace("/fusion_prime?", f"/{name}?")
    await aio.call(migrate, created, timeout=30)
    return created


async def start(server: EmbeddedPostgres) -> None:
    server.spawn()
    while not server.ready():  # noqa: ASYNC110  another process is waited for
        await trio.sleep(0.01)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(pid, number)


async def make_tables(reader: Reader) -> None:
    for writer in range(WRITERS):
        await reader.fetch(f"CREATE TABLE entries_{writer} (seq bigint PRIMARY KEY, value bigint)")


async def entries(reader: Reader, writer: int) -> list[tuple[int, int]]:
    rows = await reader.fetch(f"SELECT seq, value FROM entries_{writer} ORDER BY seq")
    return [(row.integer("seq"), row.integer("value")) for row in rows]


class Load:
    """Writers that commit until told to stop; `acknowledged` counts what each was promised."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.acknowledged = [0] * WRITERS
        self._ending = False
        self._waiters: list[tuple[int, trio.Event]] = []

    async def more(self, commits: int) -> None:
        """Until so many more commits have been acknowledged."""
        reached = trio.Event()
        self._waiters.append((sum(self.acknowledged) + commits, reached))
        await reached.wait()

    def end(self) -> None:
        self._ending = True

    async def write(self, writer: int) -> None:
        claim = await self._store.claim(f"w{writer}", produces=[f"s{writer}"], consumes=["p"])
        while not self._ending:
            at = self.acknowledged[writer]
            await self._store.commit(
                Commit(
                    appends=(Append(f"s{writer}", claim.epoch, at, f"entries_{writer}", ("value",), [(at,)]),),
                    advances=(Advance(f"w{writer}", "p", claim.epoch, at, at + 1),),
                )
            )
            self.acknowledged[writer] += 1
            for target, reached in self._waiters:
                if sum(self.acknowledged) >= target:
                    reached.set()


async def play(store: Store, faults: Callable[[Load], Awaitable[None]]) -> None:
    """Runs the load while `faults` happen, then compares the store with what was acknowledged."""
    await store.transact(make_tables)
    load = Load(store)
    async with trio.open_nursery() as nursery:
        for writer in range(WRITERS):
            nursery.start_soon(load.write, writer)
        await load.more(50)
        await faults(load)
        await load.more(50)
        load.end()
    for writer, count in enumerate(load.acknowledged):
        assert await store.read(entries, writer) == [(seq, seq - 1) for seq in range(1, count + 1)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
async def test_a_restart_under_load_loses_nothing(aio: Aio, server: EmbeddedPostgres, dsn: str, how: int) -> None:
    down = float(os.environ.get("FUSION_PRIME_TEST_OUTAGE", "0.5"))
    async with open_store(aio, dsn) as store:

        async def restart(load: Load) -> None:
            server.send(how)
            await trio.lowlevel.wait_readable(server.pidfd)
            assert server.reaped(5)
            await trio.sleep(down)
            await start(server)

        await play(store, restart)
        assert store.statistics().actors.retries > 0


async def test_sessions_ended_at_any_moment_lose_nothing(aio: Aio, postgres_dsn: str, store: Store) -> None:
    async def end_all(reader: Reader) -> None:
        await reader.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'fusion-daemon actors' AND pid <> pg_backend_pid()"
            " AND datname = current_database()"
        )

    async with open_store(aio, postgres_dsn) as killer:

        async def kill(load: Load) -> None:
            for _ in range(30):
                await killer.transact(end_all)
                await load.more(3)

        await play(store, kill)


async def test_a_store_that_stays_away_is_reported_and_taken_up_again(
    aio: Aio, server: EmbeddedPostgres, dsn: str
) -> None:
    async with open_store(aio, dsn, patience=0.5) as store:
        await store.transact(make_tables)
        claim = await store.claim("w", produces=["s"])
        commit = Commit(appends=(Append("s", claim.epoch, 0, "entries_0", ("value",), [(0,)]),))
        server.stop()
        with pytest.raises(StoreUnavailable, match=r"within 0\.5 s"):
            await store.commit(commit)
        with pytest.raises(StoreUnavailable):
            await store.read(entries, 0, timeout=0.2)
        await start(server)
        await store.commit(commit)
        assert await store.read(entries, 0) == [(1, 0)]


async def test_a_store_is_waited_for_when_it_opens(aio: Aio, server: EmbeddedPostgres, dsn: str) -> None:
    server.stop()
    with pytest.raises(StoreUnavailable, match=r"FileNotFoundError|ConnectionRefusedError"):
        async with open_store(aio, dsn, patience=0.3):
            raise AssertionError("must not open")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start, server)
        async with open_store(aio, dsn) as store:
            assert store.statistics().actors.size == 1


async def test_a_frozen_server_does_not_freeze_the_daemon(aio: Aio, server: EmbeddedPostgres, dsn: str) -> None:
    # SIGSTOP: connections stay open and nobody answers, as when a machine or a disk hangs.
    async with open_store(aio, dsn, patience=1) as store:
        claim = await store.claim("w", consumes=["p"])
        os.kill(server.pid, signal.SIGSTOP)  # from here on it starts nobody; a worker that is at its end may still go
        pids = [server.pid, *children(server.pid)]
        signal_all(pids, signal.SIGSTOP)
        try:
            with trio.fail_after(20), pytest.raises(StoreUnavailable, match=r"too slow|TimeoutError"):
                await store.commit(Commit(advances=(Advance("w", "p", claim.epoch, 0, 1),)))
        finally:
            signal_all(pids, signal.SIGCONT)
        assert (await store.claim("w", consumes=["p"])).positions["p"] in (0, 1)
