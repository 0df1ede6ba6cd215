"""Rule: on a really full disk a commit waits for room and happens once; the embedded server that dies of it is
started again when there is room, however often it would have died meanwhile.

Needs a small file system, which only root can mount; elsewhere tests/e2e/test_disk_full.py stands for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio

import fusion_daemon.store.embedded as embedded_module
from fusion_daemon.aio import Aio
from fusion_daemon.store import Append, Commit, EmbeddedPostgres, Reader, Store, StoreUnavailable, migrate, open_store
from fusion_daemon.store.cluster import Cluster
from fusion_daemon.store.embedded import embedded_postgres

PATIENCE = 30.0
PAD = "x" * 8_000


@pytest.fixture
def small_disk() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="fusion-prime-small-"))
    mounted = os.geteuid() == 0 and (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", directory], check=False, capture_output=True
        ).returncode
        == 0
    )
    try:
        if not mounted:
            pytest.skip("only root can mount a small file system, and some containers not even that")
        directory.chmod(0o711)
        yield directory
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", directory], check=True)
        shutil.rmtree(directory)


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110 - a disk and a server tell it to nobody
            await trio.sleep(0.05)


async def make_table(writer: Reader) -> None:
    await writer.fetch("CREATE TABLE pads (seq bigint PRIMARY KEY, pad text STORAGE EXTERNAL)")


async def sequence(reader: Reader) -> list[int]:
    return [row.integer("seq") for row in await reader.fetch("SELECT seq FROM pads ORDER BY seq")]


async def switch_log(writer: Reader) -> None:
    await writer.fetch("SELECT pg_logical_emit_message(false, 'test', 'not nothing'), pg_switch_wal()")


async def write_until_full(store: Store, epoch: int, acknowledged: list[int]) -> None:
    """Appends a page at a time, for ever; every acknowledged number is noted."""
    while True:
        head = len(acknowledged)
        await store.commit(Commit(appends=(Append("pads", epoch, head, "pads", ("pad",), [(PAD,)]),)))
        acknowledged.append(head + 1)


async def prepared(aio: Aio, server: EmbeddedPostgres, store: Store) -> int:
    await aio.call(migrate, server.dsn, timeout=60)
    await store.transact(make_table)
    return (await store.claim("writer", produces=["pads"])).epoch


async def test_a_full_disk_is_waited_out_and_nothing_is_lost(small_disk: Path, aio: Aio) -> None:
    # writes, no room: the commit waits and the store says why; room: it goes on, 1, 2, 3 … without a gap
    acknowledged: list[int] = []
    async with embedded_postgres(small_disk / "state", durable=False) as server:
        async with open_store(aio, server.dsn, patience=PATIENCE) as store, trio.open_nursery() as nursery:
            nursery.start_soon(write_until_full, store, await prepared(aio, server, store), acknowledged)
            await until(lambda: len(acknowledged) > 10)
            ballast = fill(small_disk)
            await until(lambda: store.statistics().trouble is not None)
            trouble = store.statistics().trouble
            assert trouble is not None
            assert (trouble.state, "Make room" in str(trouble.failure)) == ("disk full", True)
            stood = len(acknowledged)
            assert await store.read(sequence) == list(range(1, stood + 1)), "reading goes on"
            ballast.unlink()
            await until(lambda: len(acknowledged) > stood + 10)
            await until(lambda: store.statistics().trouble is None)
            nursery.cancel_scope.cancel()
        async with open_store(aio, server.dsn) as store:
            stored = await store.read(sequence)
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) <= len(acknowledged) + 1, "at most the one whose answer was not awaited"


async def test_a_server_that_dies_of_the_full_disk_comes_back_with_the_room(
    small_disk: Path, aio: Aio, monkeypatch: pytest.MonkeyPatch
) -> None:
    # no room for the write-ahead log: the server panics; it is not started in vain; room: it is back
    acknowledged: list[int] = []
    asked: list[bool] = []
    has_room = Cluster.has_room

    def noted(cluster: Cluster) -> bool:
        asked.append(has_room(cluster))
        return asked[-1]

    monkeypatch.setattr(Cluster, "has_room", noted)
    monkeypatch.setattr(embedded_module, "RESTARTS", 1)
    async with embedded_postgres(small_disk / "state", durable=False) as server:
        async with open_store(aio, server.dsn, patience=PATIENCE) as store:
            epoch = await prepared(aio, server, store)
            ballast = fill(small_disk)
            with trio.fail_after(PATIENCE):
                while not asked:  # the next segments do not exist yet, and cannot be made
                    with suppress(StoreUnavailable):  # of the server's death, or of an answer that was only late
                        await store.transact(switch_log, timeout=1.0)
            await until(lambda: len(asked) > 1)  # a start in vain would have come by now, and be the end
            trouble = store.statistics().trouble
            assert trouble is not None
            assert trouble.state == "disk full"
            ballast.unlink()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write_until_full, store, epoch, acknowledged)
                await until(lambda: len(acknowledged) > 10 and store.statistics().trouble is None)
                nursery.cancel_scope.cancel()
            assert server.restarts == 1
