"""Rule: a chain that is walked, reorganised and pruned at once loses nothing that anyone still reads.

Partitions are sixteen wide here, so that many come and go: the listener makes them, the keeper drops them, and a
consumer reads on from where it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from random import Random

import pytest

from actors.retention_keeper import RetentionKeeper
from actors.retention_settings import RetentionSettings
from fusion_daemon.aio import Aio
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.repository import journal_fill, load_entries
from fusion_daemon.crosschain import Networks, Rules, Terms
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.risk.repository import load_snapshot
from fusion_daemon.runtime import ActorContext, SystemClock
from fusion_daemon.store import Migration, Reader, Store, migrate, open_store
from fusion_daemon.store.migrate import shipped_migrations
from fusion_daemon.store.partitions import read_partitions
from fusion_daemon.verification import verify_database
from tests.faults.fake_node import FakeNode, serve
from tests.integration.chain.listening import CHAIN, SETTINGS, Life, Listening, fold, folded_positions
from tests.unit.chain.vault_logs import ALICE, BOB, USDC, WETH, borrowed, deposited, repaid

WIDTH = 16
NO_BRIDGES = Rules(Networks([]), Terms())
STEPS = 60
REACH = 6
"""Blocks below the head that may still change."""
LOGS = [deposited(ALICE, WETH, 5), deposited(BOB, WETH, 7), borrowed(BOB, USDC, 3), repaid(BOB, USDC, 1)]


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with serve(FakeNode()) as served:
        yield served


def narrow(one: Migration) -> Migration:
    return Migration(one.version, one.name, one.sql.replace("262144", str(WIDTH)))


@pytest.fixture
async def narrow_store(aio: Aio, empty_postgres_dsn: str) -> AsyncIterator[Store]:
    await aio.call(migrate, empty_postgres_dsn, [narrow(one) for one in shipped_migrations()], timeout=60)
    async with open_store(aio, empty_postgres_dsn) as opened:
        yield opened


async def pass_for_shipped(writer: Reader) -> None:
    """Only the widths differ: what else `verify` looks at holds here as well."""
    for one in shipped_migrations():
        await writer.fetch("UPDATE schema_migrations SET checksum = $2 WHERE version = $1", one.version, one.checksum)


async def move_cursor(writer: Reader, position: int) -> None:
    await writer.fetch(
        "INSERT INTO cursors (consumer, stream, position) VALUES ('reader', $1, $2)"
        " ON CONFLICT (consumer, stream) DO UPDATE SET position = $2",
        journal_stream(CHAIN),
        position,
    )


def step(node: FakeNode, random: Random) -> None:
    """Mine, or fork above what is final; then what lies deep enough becomes final."""
    chain, final = node.canonical(), node.final_number or 0
    if random.randrange(3) == 0:
        room = max(0, min(REACH - 1, len(chain) - 2 - final))
        node.switch(chain[len(chain) - 1 - random.randrange(room + 1)])
    for _ in range(random.randrange(1, 8)):
        node.mine(*random.choices(LOGS, k=random.randrange(3)))
    node.final_number = max(final, node.head.number - REACH)


async def entries_after(reader: Reader, chain: ChainId, after: int, limit: int) -> Sequence[JournalEntry]:
    return await load_entries(reader, load_event_table(), chain, after, limit)


async def prune(store: Store, life: Life, random: Random) -> int:
    """The consumer folds some of what was published, the keeper passes; where the consumer stands. What a
    calculator would start from is the same before and after."""
    position = max(0, life.topic.head - random.randrange(10))
    await store.transact(move_cursor, position)
    before = await store.read(load_snapshot, (), 0, 0, {CHAIN: position}, entries_after)
    keeper = RetentionKeeper(lambda: RetentionSettings(0.0, 0.0, 0.0, 0.0, 0.0, ()), store)
    await keeper._pass(ActorContext(keeper.name, SystemClock()))
    assert await store.read(load_snapshot, (), 0, 0, {CHAIN: position}, entries_after) == before
    return position


@pytest.mark.parametrize("seed", range(3))
async def test_walked_reorganised_and_pruned(
    aio: Aio, narrow_store: Store, empty_postgres_dsn: str, node: FakeNode, seed: int
) -> None:
    random = Random(seed)
    node.final_number = 0
    listening = Listening(aio, narrow_store)
    read_on = journal_fill(narrow_store, load_event_table(), CHAIN)
    for _ in range(3):
        async with listening.live(node.url, settings=replace(SETTINGS, longest_span=8)) as life:
            for _ in range(STEPS // 3):
                step(node, random)
                await life.until_tip(node.head.hash)
                position = await prune(narrow_store, life, random)
                missed = {entry.seq: entry for entry in await read_on(position, 1_000)}
                assert set(missed) == set(range(position + 1, life.topic.head + 1))
                published = {entry.seq: entry for entry in life.topic.published}
                assert all(published.get(seq, entry) == entry for seq, entry in missed.items())
    partitions = await narrow_store.read(read_partitions)
    for parent in ("chain_journal", "chain_blocks", "chain_logs"):
        assert min(each.low for each in partitions if each.parent == parent) > 2 * WIDTH, "many were dropped"
    assert fold(listening.published) == [block.hash for block in node.canonical()]
    assert await listening.positions() == folded_positions(listening.published)
    await narrow_store.transact(pass_for_shipped)
    findings = await aio.call(verify_database, empty_postgres_dsn, NO_BRIDGES, timeout=60)
    assert [each for each in findings if each.failed] == []
