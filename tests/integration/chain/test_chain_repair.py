"""A repair in Postgres: what was published stays what is read back, and from then on what was not understood counts."""

from __future__ import annotations

from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.repair import Record, Repair, decodable, plan_repair
from fusion_daemon.chain.repository import load_held, load_view
from fusion_daemon.domain.journal import REPAIR_VERSION, journal_stream
from fusion_daemon.store.writes import Execute
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import CHAIN, Listening, folded_positions
from tests.unit.chain.vault_logs import ALICE, BOB, VAULT, WETH, credit_set, deposited, garbled, withdrawn

TABLE = load_event_table()
NOT_UNDERSTOOD = {(1, 1), (1, 2), (2, 0)}
RECORD = Record((), Execute("SELECT true"))


def without(*names: str) -> EventTable:
    """What a version of ours understood before it knew these events."""
    known = {key: decoder for key, decoder in TABLE.decoders.items() if decoder.name not in names}
    return EventTable(known, {key: each for key, each in TABLE.translations.items() if key in known})


async def test_what_was_not_understood_counts_from_the_repair_on(listening: Listening, node: FakeNode) -> None:
    """``1(a deposit, a credit line, a deposit cut short) <- 2(a withdrawal, a deposit) <- … <- 80``"""
    node.mine(deposited(ALICE, WETH, 9), credit_set(BOB, 7), garbled())
    node.mine(withdrawn(ALICE, WETH, 2), deposited(BOB, WETH, 5))
    for _ in range(78):
        node.mine()
    async with listening.live(node.url, table=without("CollateralWithdrawn", "CreditLineSet")) as life:
        await life.until_tip(node.head.hash)
    published = tuple(listening.published)
    assert tuple(await listening.entries()) == published  # though the table knows them all by now
    claim = await listening.store.claim("test", produces=(journal_stream(CHAIN),))
    view = await listening.store.read(load_view, CHAIN, claim.heads[journal_stream(CHAIN)])
    assert view is not None
    blocks = {entry.block.hash: entry.block for entry in published if entry.block.number in (1, 2)}
    held = await listening.store.read(load_held, CHAIN, list(blocks.values()), [VAULT])
    known = decodable(TABLE, [log for log in held if (log.block_number, log.log_index) in NOT_UNDERSTOOD])
    assert len(known) == 2
    plan = plan_repair(view, claim.epoch, TABLE, Repair(blocks, redecoded=known), RECORD)
    await listening.store.commit(plan.commit)
    entries = tuple(await listening.entries())
    assert entries == (*published, *plan.entries)
    assert [len(entry.changes) for entry in entries if entry.filter_version == REPAIR_VERSION] == [1, 1, 0]
    assert await listening.positions() == folded_positions(entries)
    assert (VAULT, ALICE, WETH, "collateral") in await listening.positions()
    assert [row.integer("credit_limit") for row in await listening.rows("SELECT * FROM chain_registers")] == [7]
    assert len(await listening.rows("SELECT * FROM chain_logs WHERE args IS NULL")) == 1
