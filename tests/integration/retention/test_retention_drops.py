"""Rules of retention: a partition goes when it is old enough and nobody needs it; each reason to need it holds it."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg
import pytest

import actors.retention_keeper as keeper_module
from actors.retention_keeper import RetentionKeeper
from actors.retention_settings import RetentionSettings
from fusion_daemon.aio import Aio
from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.runtime import ActorContext, ManualClock
from fusion_daemon.store import Append, Commit, Reader, Store
from fusion_daemon.store.partitions import read_partitions

WIDTH = 262_144
ALERTS = 65_536
DAY = 86_400
NOW = 1_800_000_000
KEEP = 10 * DAY
OLD = NOW - 20 * DAY
YOUNG = NOW - DAY
ETH = AssetId("ETH")

# The first and the last numbers of two partitions stand for all of them; the second one is young.
CHAIN = f"""
INSERT INTO streams (name, head) VALUES ('journal:7', {WIDTH + 9});
INSERT INTO cursors (consumer, stream, position) VALUES ('risk', 'journal:7', {WIDTH + 5});
INSERT INTO chain_state (chain_id, start_block, tip_number, tip_hash, finalized)
    VALUES (7, 0, {WIDTH + 8}, decode(lpad(to_hex({WIDTH + 8}), 64, '0'), 'hex'), {WIDTH + 3});
SELECT make_partitions('chain_journal', {WIDTH}, 0, 7), make_partitions('chain_blocks', {WIDTH}, 0, 7),
       make_partitions('chain_logs', {WIDTH}, 0, 7);
INSERT INTO chain_blocks
    SELECT 7, decode(lpad(to_hex(n), 64, '0'), 'hex'), n, '\\x00',
           CASE WHEN n <= {WIDTH} THEN {OLD} ELSE {YOUNG} END, true
    FROM unnest(ARRAY[0, {WIDTH} - 2, {WIDTH} - 1, {WIDTH}, {WIDTH} + 1, {WIDTH} + 8]) AS n;
INSERT INTO chain_logs SELECT 7, hash, 0, number, '\\x00', 0, '\\x00', '{{}}', '\\x00', NULL, NULL, 1 FROM chain_blocks;
INSERT INTO chain_journal
    SELECT greatest(number, 1), 7, 'apply', hash, number, 1, true FROM chain_blocks;
"""
PRICES = f"""
INSERT INTO streams (name, head) VALUES ('prices', {WIDTH + 9});
UPDATE streams SET head = head + 1 WHERE name = 'prices';
INSERT INTO cursors (consumer, stream, position) VALUES ('risk', 'prices', {WIDTH + 5});
SELECT make_partitions('prices', {WIDTH}, {WIDTH});
INSERT INTO prices (seq, asset, usd, usd_low, usd_high, status, observed_at, published_at, reason, sources)
    SELECT n, CASE WHEN n = 7 THEN 'GONE' ELSE 'ETH' END, 1, 1, 1, 'live', 0,
           CASE WHEN n < {WIDTH} THEN {OLD} ELSE {YOUNG} END, 'first', '{{}}'
    FROM unnest(ARRAY[1, 7, {WIDTH} - 1, {WIDTH} + 4, {WIDTH} + 9]) AS n;
"""
DELIVERIES = f"""
INSERT INTO alerts (id, number, type, severity, occurred_at, accepted_at, summary, data, state)
OVERRIDING SYSTEM VALUE
    SELECT 'a' || n, n, 'x', 2, to_timestamp({OLD}), to_timestamp({OLD}), '', '{{}}', 'routed'
    FROM unnest(ARRAY[1, 2, {ALERTS} + 1]) AS n;
SELECT make_partitions('deliveries', {ALERTS}, {ALERTS}), make_partitions('delivery_attempts', {ALERTS}, {ALERTS});
INSERT INTO deliveries (id, alert_id, alert_number, receiver, channel, target, destination, severity, state,
                        created_at, due_at, attempts)
    SELECT 'd' || number, id, number, 'desk', 'webhook', 't', 'd', 2, 'delivered', accepted_at, accepted_at, 1
    FROM alerts;
INSERT INTO delivery_attempts (delivery_id, alert_number, attempt, started_at, finished_at, outcome, detail)
    SELECT id, alert_number, 1, created_at, created_at, 'delivered', '' FROM deliveries;
"""


async def execute(store: Store, script: str) -> None:
    async def run(writer: Reader) -> None:
        for statement in script.split(";"):
            if statement.strip():
                await writer.fetch(statement)

    await store.transact(run)


async def lowest(store: Store) -> dict[str, int]:
    """The first number that each table still holds, where partitions were dropped."""
    found: dict[str, int] = {}
    for each in await store.read(read_partitions):
        found[each.parent] = min(found.get(each.parent, each.low), each.low)
    return {parent: low for parent, low in found.items() if low}


def keeper(store: Store) -> tuple[RetentionKeeper, ActorContext]:
    settings = RetentionSettings(KEEP, KEEP, KEEP, KEEP, KEEP, (ETH,))
    return RetentionKeeper(lambda: settings, store), ActorContext("retention_keeper", ManualClock(float(NOW)))


async def passes(store: Store) -> RetentionKeeper:
    one, context = keeper(store)
    for _ in range(3):
        await one._pass(context)
    return one


async def test_what_is_old_and_needed_by_nobody_goes_with_all_that_hangs_on_it(store: Store) -> None:
    await execute(store, CHAIN + PRICES + DELIVERIES)
    one = await passes(store)
    assert await lowest(store) == {
        "chain_blocks": WIDTH,
        "chain_journal": WIDTH,
        "chain_logs": WIDTH,
        "deliveries": ALERTS,
        "delivery_attempts": ALERTS,
        "prices": WIDTH,
    }
    assert one.statistics().dropped == dict.fromkeys(await lowest(store), 1)


@pytest.mark.parametrize(
    ("reason", "holds"),
    [
        (f"UPDATE cursors SET position = {WIDTH - 1}", ["chain_blocks", "chain_journal", "chain_logs", "prices"]),
        ("DELETE FROM cursors", ["chain_blocks", "chain_journal", "chain_logs", "prices"]),
        (f"UPDATE chain_state SET finalized = {WIDTH - 1}", ["chain_blocks", "chain_journal", "chain_logs"]),
        ("UPDATE chain_state SET finalized = NULL", ["chain_blocks", "chain_journal", "chain_logs"]),
        (f"UPDATE chain_blocks SET timestamp = {YOUNG}", ["chain_blocks", "chain_journal", "chain_logs"]),
        # A chain that stands still: its tip is as old as its oldest blocks.
        (f"UPDATE chain_blocks SET timestamp = {OLD}", ["chain_blocks", "chain_journal", "chain_logs"]),
        # A reorg's entry, not yet folded, that names a block below: its journal is past, its block is not.
        (f"UPDATE chain_journal SET block_number = 5 WHERE seq = {WIDTH + 8}", ["chain_blocks", "chain_logs"]),
        (f"UPDATE prices SET published_at = {YOUNG}", ["prices"]),
        # The cursor has passed the partition, but the last price at or below it lies inside.
        (f"DELETE FROM prices WHERE seq = {WIDTH + 4}", ["prices"]),
        ("UPDATE deliveries SET state = 'retrying' WHERE alert_number = 2", ["deliveries", "delivery_attempts"]),
        ("UPDATE alerts SET state = 'accepted' WHERE number = 1", ["deliveries", "delivery_attempts"]),
        (
            f"UPDATE deliveries SET due_at = to_timestamp({YOUNG}) WHERE alert_number = 1",
            ["deliveries", "delivery_attempts"],
        ),
    ],
)
async def test_each_reason_holds_what_it_needs_and_nothing_else(
    store: Store, reason: str, holds: Sequence[str]
) -> None:
    await execute(store, CHAIN + PRICES + DELIVERIES + reason)
    await passes(store)
    everything = {"chain_blocks", "chain_journal", "chain_logs", "deliveries", "delivery_attempts", "prices"}
    assert everything - set(await lowest(store)) == set(holds)


async def test_a_table_in_use_is_left_for_the_next_pass(
    store: Store, aio: Aio, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a reader's transaction is open, pass: put off, and no writer waits; the reader ends, pass: dropped
    async def begin() -> asyncpg.Connection[asyncpg.Record]:
        reader = await asyncpg.connect(postgres_dsn)
        await reader.execute("BEGIN; SELECT 1 FROM prices LIMIT 1")
        return reader

    monkeypatch.setattr(keeper_module, "DROP_SECONDS", 0.3)
    await execute(store, PRICES)
    one, context = keeper(store)
    reader = await aio.call(begin, timeout=5)
    await one._pass(context)
    assert (await lowest(store), one.statistics().put_off) == ({}, 1)
    await aio.call(reader.close, timeout=5)
    await one._pass(context)
    assert await lowest(store) == {"prices": WIDTH}


async def test_a_stream_that_crosses_into_a_partition_finds_it_and_makes_the_next(store: Store) -> None:
    claim = await store.claim("listener", produces=["journal:9"])
    await execute(store, f"UPDATE streams SET head = {WIDTH - 2} WHERE name = 'journal:9'")
    rows = [(9, "apply", bytes(32), 1, 1, True)] * 4
    columns = ("chain_id", "op", "block_hash", "block_number", "filter_version", "settles")
    await store.commit(
        Commit(appends=(Append("journal:9", claim.epoch, WIDTH - 2, "chain_journal", columns, rows),))
    )
    made = [each for each in await store.read(read_partitions) if each.chain == 9]
    assert [(each.parent, each.low) for each in made] == [("chain_journal", place * WIDTH) for place in range(3)]


async def test_two_chains_that_need_partitions_at_once_do_not_wait_for_each_other(store: Store) -> None:
    await store.claim("listener", produces=["journal:9", "journal:10"])
    made = {each.name for each in await store.read(read_partitions)}
    assert {"chain_journal_c9_p0", "chain_journal_c9_p1", "chain_journal_c10_p0", "chain_journal_c10_p1"} <= made
