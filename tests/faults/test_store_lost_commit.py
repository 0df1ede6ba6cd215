"""The answer to COMMIT is lost: every commit still happens exactly once.

Between the store and a real Postgres stands a thief that reads the wire protocol and, at a COMMIT, does
one of these:

    before   the client loses the connection, the server never sees the COMMIT
    after    the server commits, the client loses the connection instead of hearing of it
    late     the client loses the connection while the COMMIT is still on its way to the server
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import (
    Advance,
    Append,
    Claim,
    Commit,
    Execute,
    Fenced,
    Reader,
    Store,
    StoreUnavailable,
    open_store,
)

Deed = Literal["pass", "before", "after", "late"]
TERMINATE = b"X\0\0\0\4"
DEEDS: tuple[Deed, ...] = ("pass", "pass", "pass", "pass", "before", "after")


class Thief:
    """Serves `directory`/.s.PGSQL.5432 and hands every connection on to `upstream`."""

    def __init__(self, directory: Path, upstream: Path) -> None:
        self.directory = directory
        self._upstream = upstream
        self._deeds: Iterator[Deed] = iter(())
        self.stolen = trio.Event()
        self.let_go = trio.Event()
        self.forward_late = True
        self._mute = False
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """Done between what the server does with the next stolen COMMIT and the client's loss."""

    def plan(self, deeds: Iterable[Deed]) -> None:
        """What to do at the next COMMITs; afterwards all pass."""
        self._deeds = iter(deeds)

    async def serve(self, task_status: trio.TaskStatus[list[trio.SocketListener]]) -> None:
        listener = trio.socket.socket(trio.socket.AF_UNIX)
        await listener.bind(str(self.directory / ".s.PGSQL.5432"))
        listener.listen()
        await trio.serve_listeners(self._connection, [trio.SocketListener(listener)], task_status=task_status)

    async def _connection(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_unix_socket(self._upstream) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._answers, server, client, nursery.cancel_scope)
                # One side is gone, and so will be the other.
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._requests(client, server)
                nursery.cancel_scope.cancel()

    async def _answers(self, server: trio.SocketStream, client: trio.SocketStream, scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for chunk in server:
                if not self._mute:
                    await client.send_all(chunk)
        scope.cancel()

    async def _requests(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        buffer = bytearray()
        header = 0  # the first message has no type byte
        async for chunk in client:
            buffer += chunk
            while len(buffer) >= header + 4:
                size = header + int.from_bytes(buffer[header : header + 4], "big")
                if len(buffer) < size:
                    break
                message, buffer = bytes(buffer[:size]), buffer[size:]
                header = 1
                deed: Deed = "pass"
                if message[:1] == b"Q" and message[5:-1] == b"COMMIT":
                    deed = next(self._deeds, "pass")
                if deed == "pass":
                    await server.send_all(message)
                    continue
                await self._steal(deed, message, client, server)
                return

    async def _steal(self, deed: Deed, message: bytes, client: trio.SocketStream, server: trio.SocketStream) -> None:
        if self.meanwhile is not None:
            self._mute = True
            await server.send_all(message + TERMINATE if deed == "after" else TERMINATE)
            with trio.CancelScope(shield=True):  # the client still waits, the connection is ending
                await self.meanwhile()
            self._mute, self.meanwhile = False, None
            return
        if deed == "after":
            client.socket.shutdown(trio.socket.SHUT_WR)  # the answer has nowhere to go
            await server.send_all(message + TERMINATE)  # the stream ends once COMMIT is done
            await trio.sleep_forever()  # until _answers meets that end, or the closed client
        await client.aclose()
        self.stolen.set()
        if deed == "late":
            await self.let_go.wait()
            if self.forward_late:
                await server.send_all(message + TERMINATE)
                await trio.sleep_forever()  # until _answers meets the server's end of the stream


@pytest.fixture
async def thief(postgres_dsn: str) -> AsyncIterator[Thief]:
    directory = Path(tempfile.mkdtemp(prefix="fusion-prime-thief-"))
    found = Thief(directory, Path(postgres_dsn.split("host=")[1]) / ".s.PGSQL.5432")
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(found.serve)
            yield found
            nursery.cancel_scope.cancel()
    finally:
        shutil.rmtree(directory)


@pytest.fixture
async def robbed(thief: Thief, aio: Aio, postgres_dsn: str, store: Store) -> AsyncIterator[Store]:
    """A store whose way to the database leads past the thief; `store` goes straight."""
    await store.transact(make_tables)
    dsn = postgres_dsn.split("host=", maxsplit=1)[0] + f"host={thief.directory}"
    async with open_store(aio, dsn, patience=20) as opened:
        yield opened


async def make_tables(reader: Reader) -> None:
    await reader.fetch("CREATE TABLE entries (seq bigint PRIMARY KEY, value bigint)")
    await reader.fetch("CREATE TABLE effects (id bigint, value bigint)")


async def entries(reader: Reader) -> list[tuple[int, int]]:
    rows = await reader.fetch("SELECT seq, value FROM entries ORDER BY seq")
    return [(row.integer("seq"), row.integer("value")) for row in rows]


async def effects(reader: Reader) -> list[int]:
    return [row.integer("value") for row in await reader.fetch("SELECT value FROM effects ORDER BY value")]


async def waiting_for_a_lock(reader: Reader) -> int:
    row = await reader.fetch_one(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    assert row is not None
    return row.integer("n")


EFFECT = Execute("INSERT INTO effects (id, value) VALUES (1, 7)")


def appending(claim: Claim) -> Commit:
    return Commit((EFFECT,), appends=(Append("s", claim.epoch, 0, "entries", ("value",), [(7,)]),))


def advancing(claim: Claim) -> Commit:
    return Commit((EFFECT,), advances=(Advance("w", "p", claim.epoch, 0, 1),))


def proving(_claim: Claim) -> Commit:
    return Commit((EFFECT,), proof=Execute("SELECT EXISTS (SELECT FROM effects WHERE id = $1)", (1,)))


kinds = pytest.mark.parametrize("build", [appending, advancing, proving])
Build = Callable[[Claim], Commit]


@kinds
@pytest.mark.parametrize("deeds", [["before"], ["after"], ["before", "before", "after"]])
async def test_a_commit_whose_answer_is_lost_happens_once(
    thief: Thief, robbed: Store, store: Store, build: Build, deeds: list[Deed]
) -> None:
    claim = await robbed.claim("w", produces=["s"], consumes=["p"])
    # `before` is followed by the witness's own COMMIT, which passes
    thief.plan(deed for lost in deeds for deed in (lost, "pass"))
    await robbed.commit(build(claim))
    assert await store.read(effects) == [7]
    assert robbed.statistics().unknown_outcomes == len(deeds)
    assert robbed.statistics().commits == 1


@kinds
async def test_the_witnesss_own_answer_may_be_lost_too(thief: Thief, robbed: Store, store: Store, build: Build) -> None:
    claim = await robbed.claim("w", produces=["s"], consumes=["p"])
    thief.plan(["after", "before", "after"])
    await robbed.commit(build(claim))
    assert await store.read(effects) == [7]


@kinds
@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_still_on_its_way_is_waited_for(
    thief: Thief, robbed: Store, store: Store, build: Build, arrives: bool
) -> None:
    # The witness is asked for while the first COMMIT may still take effect: the question waits for it.
    claim = await robbed.claim("w", produces=["s"], consumes=["p"])
    thief.plan(["late"])
    thief.forward_late = arrives
    async with trio.open_nursery() as nursery:
        nursery.start_soon(robbed.commit, build(claim))
        await thief.stolen.wait()
        with trio.fail_after(10):
            while await store.read(waiting_for_a_lock) == 0:
                pass
        thief.let_go.set()
    assert await store.read(effects) == [7]
    assert robbed.statistics().unknown_outcomes == 1


@pytest.mark.parametrize("deed", ["before", "after"])
async def test_who_was_replaced_meanwhile_is_fenced_whatever_became_of_the_commit(
    thief: Thief, robbed: Store, store: Store, deed: Deed
) -> None:
    # claim(old) - COMMIT lost - claim(new) - old asks for its witness: Fenced
    claim = await robbed.claim("w", produces=["s"])

    async def replace() -> None:
        await store.claim("w", produces=["s"])

    thief.meanwhile = replace
    thief.plan([deed])
    with pytest.raises(Fenced, match="stream s has epoch"):
        await robbed.commit(appending(claim))


async def test_a_result_that_nobody_can_know_is_not_invented(thief: Thief, robbed: Store) -> None:
    async def take(reader: Reader) -> int:
        row = await reader.fetch_one("INSERT INTO effects (value) VALUES (1) RETURNING value")
        assert row is not None
        return row.integer("value")

    thief.plan(["after"])
    with pytest.raises(StoreUnavailable, match="did not say whether"):
        await robbed.transact(take)
    assert await robbed.transact(take) == 1


async def test_a_claim_whose_answer_is_lost_is_made_again(thief: Thief, robbed: Store) -> None:
    thief.plan(["after", "before"])
    claim = await robbed.claim("w", produces=["s"])
    await robbed.commit(Commit(appends=(Append("s", claim.epoch, 0, "entries", ("value",), [(1,)]),)))


@pytest.mark.parametrize("seed", range(3))
async def test_under_random_thefts_every_acknowledged_commit_is_there_once_and_in_order(
    thief: Thief, robbed: Store, store: Store, seed: int
) -> None:
    chance = random.Random(seed)
    claim = await robbed.claim("w", produces=["s"], consumes=["p"])

    def deeds() -> Iterator[Deed]:
        while True:
            yield from chance.choices(DEEDS)

    thief.plan(deeds())
    for value in range(25):
        await robbed.commit(
            Commit(
                appends=(Append("s", claim.epoch, value, "entries", ("value",), [(value,)]),),
                advances=(Advance("w", "p", claim.epoch, value, value + 1),),
            )
        )
    thief.plan(())
    assert await store.read(entries) == [(value + 1, value) for value in range(25)]
    assert robbed.statistics().unknown_outcomes > 0
    assert robbed.statistics().actors.idle == robbed.statistics().actors.size
