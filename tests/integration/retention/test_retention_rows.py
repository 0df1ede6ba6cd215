"""Rule: of tables that are not parted, rows go when they are old, or too many, and nobody can need them any more."""

from __future__ import annotations

import pytest

from fusion_daemon.crosschain import retention as message_retention
from fusion_daemon.crosschain.retention import drop_message_rows
from fusion_daemon.store import Reader, Store
from tests.integration.retention.test_retention_drops import DAY, KEEP, NOW, execute, keeper

UNREADABLE = f"""
INSERT INTO unreadable_message_logs (chain_id, block_hash, log_index, event, why, noted_at)
    SELECT 7, '\\x00', n, 'E', 'w', to_timestamp({NOW - 20 * DAY} + n * {DAY}) FROM generate_series(1, 20) AS n;
"""
"""Number n is 20 - n days old; ten days are kept."""
RETRACTED = """
INSERT INTO message_finality (chain_id, finalized) VALUES (7, 5);
INSERT INTO message_evidence (chain_id, block_hash, log_index, part, block_number, evidence, canonical)
    SELECT 7, decode(lpad(to_hex(n), 64, '0'), 'hex'), 0, canonical, n, '\\x00', canonical = 1
    FROM generate_series(4, 7) AS n, generate_series(0, 1) AS canonical;
"""


async def column(store: Store, sql: str) -> list[int]:
    async def read(reader: Reader) -> list[int]:
        return [row.integer("found") for row in await reader.fetch(sql)]

    return await store.read(read)


async def unreadable(store: Store) -> list[int]:
    return await column(store, "SELECT log_index AS found FROM unreadable_message_logs ORDER BY 1")


async def test_logs_that_cannot_be_read_go_by_age(store: Store) -> None:
    await execute(store, UNREADABLE)
    one, context = keeper(store)
    await one._pass(context)
    assert await unreadable(store) == list(range(10, 21))
    assert one.statistics().rows["unreadable_message_logs"] == 9


async def test_the_oldest_of_too_many_go_sooner(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_retention, "MOST_UNREADABLE", 4)
    await execute(store, UNREADABLE)
    assert (await store.transact(drop_message_rows, NOW, KEEP))["unreadable_message_logs"] == 16
    assert await unreadable(store) == [17, 18, 19, 20]


async def test_retracted_evidence_goes_once_its_height_is_final(store: Store) -> None:
    await execute(store, RETRACTED)
    assert (await store.transact(drop_message_rows, NOW, KEEP))["message_evidence"] == 2
    left = "SELECT block_number AS found FROM message_evidence WHERE canonical = {} ORDER BY 1"
    assert await column(store, left.format("false")) == [6, 7]
    assert await column(store, left.format("true")) == [4, 5, 6, 7]
