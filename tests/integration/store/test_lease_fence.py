"""Rule: once a term is over, nothing that its daemon still writes takes effect, whichever way it goes.

    first   ═ term 1 ═ … frozen … ──▶ every write: Superseded
    second             ═ term 2 ═
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

import pytest
import trio

from fusion_daemon.accounts.audit import AuditEntry, By, record
from fusion_daemon.accounts.decisions import NewAccount
from fusion_daemon.accounts.registry import PostgresRegistryStore, Registry, RegistryTakenOver
from fusion_daemon.aio import Aio
from fusion_daemon.alerting.repository import claim_due, route_accepted, take_up_interrupted
from fusion_daemon.chain.repository import latch, propose_start_block, set_start_block
from fusion_daemon.domain.account import ACCOUNT_STREAM
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.runtime import Topic
from fusion_daemon.store import (
    Advance,
    Append,
    Candidate,
    Claim,
    Commit,
    Lease,
    Reader,
    Row,
    Store,
    StoreUnavailable,
    Superseded,
    open_candidacy,
    open_store,
)

PATIENCE = 20.0
CHAIN = ChainId(1)
FIRST = Candidate("first", "same", 600.0)
SECOND = Candidate("second", "same", 600.0)

Write = Callable[[Store, Claim], Awaitable[object]]


async def append(store: Store, claim: Claim) -> None:
    row = ("acct", "{}")
    appends = (Append(ACCOUNT_STREAM, claim.epoch, 0, "account_changes", ("account", "record"), [row]),)
    await store.commit(Commit(appends=appends))


async def advance(store: Store, claim: Claim) -> None:
    await store.commit(Commit(advances=(Advance("late", "journal:1", claim.epoch, 0, 1),)))


async def proof_only(store: Store, claim: Claim) -> None:
    await record(store, AuditEntry(By("ops", "1"), "late", "x", "done"))


async def claim_again(store: Store, claim: Claim) -> None:
    """What an actor of the late daemon would do when it is restarted: draw a newer epoch than its successor's."""
    await store.claim("late", produces=(ACCOUNT_STREAM,), consumes=("journal:1",))


async def claim_deliveries(store: Store, claim: Claim) -> None:
    await store.transact(claim_due, claim.epoch, time.time(), [], 8, 8)


async def take_up_deliveries(store: Store, claim: Claim) -> None:
    await store.transact(take_up_interrupted, claim.epoch, time.time())


async def route_alerts(store: Store, claim: Claim) -> None:
    await store.transact(route_accepted, [], time.time(), 8)


async def choose_start_block(store: Store, claim: Claim) -> None:
    await store.transact(set_start_block, CHAIN, 7)


async def propose_block(store: Store, claim: Claim) -> None:
    await store.transact(propose_start_block, CHAIN, 7)


async def latch_chain(store: Store, claim: Claim) -> None:
    await store.commit(latch(CHAIN, claim.epoch, "late"))


WRITES: tuple[Write, ...] = (
    append,
    advance,
    proof_only,
    claim_again,
    claim_deliveries,
    take_up_deliveries,
    route_alerts,
    choose_start_block,
    propose_block,
    latch_chain,
)

EVERYTHING = """
SELECT (SELECT count(*) FROM account_changes) + (SELECT count(*) FROM audit) + (SELECT count(*) FROM chain_state)
     + (SELECT count(*) FROM delivery_attempts) + (SELECT count(*) FROM deliveries WHERE claim_epoch > 0) AS rows,
       (SELECT max(epoch) FROM streams) AS epoch, (SELECT sum(position)::bigint FROM cursors) AS position,
       (SELECT string_agg(state, ',') FROM alerts) AS alerts"""


async def everything(reader: Reader) -> tuple[int, int, int, str]:
    row = await reader.fetch_one(EVERYTHING)
    assert row is not None
    return row.integer("rows"), row.integer("epoch"), row.integer("position"), row.text("alerts")


async def plant(reader: Reader) -> list[Row]:
    """An alert to route, and a delivery that is due."""
    await reader.fetch(
        "INSERT INTO alerts (id, type, severity, occurred_at, accepted_at, summary, data, state)"
        " SELECT id, 't', severity, now(), now(), 's', '{}', state"
        " FROM (VALUES ('w', 1, 'accepted'), ('c', 2, 'routed')) AS given (id, severity, state)"
    )
    return await reader.fetch(
        "INSERT INTO deliveries (id, alert_id, alert_number, receiver, channel, target, destination, severity, state,"
        " created_at, due_at)"
        " SELECT 'd', id, number, 'desk', 'webhook', 'http://x', 'x', 2, 'pending', now(), now()"
        " FROM alerts WHERE id = 'c'"
    )


@asynccontextmanager
async def holding(aio: Aio, dsn: str, mine: Candidate) -> AsyncIterator[Lease]:
    async with open_candidacy(aio, dsn, mine, lambda _: None) as candidacy:
        with trio.fail_after(PATIENCE):
            yield await candidacy.won()


@asynccontextmanager
async def late(aio: Aio, dsn: str) -> AsyncIterator[tuple[Store, Lease, Claim]]:
    """A store under a term that is over; it has not been told."""
    async with open_store(aio, dsn) as old:
        async with holding(aio, dsn, FIRST) as lease:
            old.carry(lease)
            claim = await old.claim("late", produces=(ACCOUNT_STREAM,), consumes=("journal:1",))
            await old.transact(plant)
        async with holding(aio, dsn, SECOND):
            yield old, lease, claim


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
async def test_no_late_write_takes_effect(aio: Aio, postgres_dsn: str, store: Store, write: Write) -> None:
    async with late(aio, postgres_dsn) as (old, lease, claim):
        before = await store.read(everything)
        with pytest.raises(Superseded, match="has taken over"):
            await write(old, claim)
        assert lease.lost.is_set(), "the first refused write ends the daemon"
        assert await store.read(everything) == before


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.__name__)
async def test_the_same_writes_take_effect_in_their_term(aio: Aio, postgres_dsn: str, write: Write) -> None:
    async with open_store(aio, postgres_dsn) as mine, holding(aio, postgres_dsn, FIRST) as lease:
        mine.carry(lease)
        await mine.transact(plant)
        claim = await mine.claim("late", produces=(ACCOUNT_STREAM, "journal:1"), consumes=("journal:1",))
        if write is latch_chain:
            await propose_block(mine, claim)
        await write(mine, claim)
        assert not lease.lost.is_set()


async def test_the_late_registry_does_not_take_the_stream_back(aio: Aio, postgres_dsn: str, store: Store) -> None:
    # By epochs alone its next command would claim the stream anew, and its successor's registry would give up.
    async with late(aio, postgres_dsn) as (old, _, _):
        registry = Registry(PostgresRegistryStore(old), Topic(ACCOUNT_STREAM, 16))
        before = await store.read(everything)
        for _ in range(2):
            with pytest.raises((Superseded, RegistryTakenOver)):
                await registry.register(NewAccount(AccountId("late"), "c", "n", ()), By("ops", "1"))
        assert await store.read(everything) == before


async def test_a_transaction_that_was_let_in_before_is_ended_before_the_next_term_begins(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    # It stands still with its effect done and COMMIT unsent, as in a frozen process.
    inside = trio.Event()
    token = trio.lowlevel.current_trio_token()
    waking: list[asyncio.Event] = []

    async def stuck(reader: Reader) -> None:
        await reader.fetch("INSERT INTO streams (name, epoch) VALUES ('half done', 1)")
        if not waking:
            waking.append(asyncio.Event())
            token.run_sync_soon(inside.set)
            await waking[0].wait()

    async def wake() -> None:
        waking[0].set()

    async with open_store(aio, postgres_dsn) as old, trio.open_nursery() as nursery:
        ended = trio.Event()

        async def write() -> None:
            with pytest.raises(StoreUnavailable, match="did not say whether"):
                await old.transact(stuck)
            with pytest.raises(Superseded):
                await old.transact(stuck)
            ended.set()

        async with holding(aio, postgres_dsn, FIRST) as lease:
            old.carry(lease)
            nursery.start_soon(write)
            await inside.wait()
        async with holding(aio, postgres_dsn, SECOND) as second:
            assert second.term == lease.term + 1
            await aio.call(wake, timeout=PATIENCE)
            with trio.fail_after(PATIENCE):
                await ended.wait()
        assert lease.lost.is_set()

    async def half_done(reader: Reader) -> list[Row]:
        return await reader.fetch("SELECT name FROM streams WHERE name = 'half done'")

    assert await store.read(half_done) == []


async def test_under_many_changes_of_the_lease_every_entry_is_written_under_the_newest_term(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    # Each holder writes on after its term is over, until it is refused.
    chance = Random(7)

    async def make(reader: Reader) -> list[Row]:
        return await reader.fetch("CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY, term bigint)")

    async def note(reader: Reader, term: int) -> None:
        await reader.fetch("INSERT INTO notes (term) VALUES ($1)", term)

    async def writer(own: Store, lease: Lease, enough: trio.Event) -> None:
        own.carry(lease)
        wanted = chance.randrange(1, 6)
        with pytest.raises(Superseded):
            while True:
                await own.transact(note, lease.term)
                wanted -= 1
                if wanted == 0:
                    enough.set()

    await store.transact(make)
    async with AsyncExitStack() as stores:
        async with trio.open_nursery() as nursery:
            for turn in range(8):
                own = await stores.enter_async_context(open_store(aio, postgres_dsn))
                async with holding(aio, postgres_dsn, FIRST if turn % 2 else SECOND) as lease:
                    enough = trio.Event()
                    nursery.start_soon(writer, own, lease, enough)
                    await enough.wait()
            async with holding(aio, postgres_dsn, FIRST):
                pass  # ends the last writer

    async def noted(reader: Reader) -> list[int]:
        return [row.integer("term") for row in await reader.fetch("SELECT term FROM notes ORDER BY id")]

    found = await store.read(noted)
    assert found == sorted(found)
    assert set(found) == set(range(1, 9))
