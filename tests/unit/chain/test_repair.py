"""A repair of final blocks is one commit that adds exactly what was missing, each block's in one entry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fusion_daemon.chain.blocks import Created, Log
from fusion_daemon.chain.coverage import NOTHING_READ, Contract, Range
from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.chain.late import first_gap
from fusion_daemon.chain.repair import Record, Repair, decodable, plan_repair
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import REPAIR_VERSION, BalanceChange, CreditChange, Op
from fusion_daemon.store.writes import Copy, Execute
from tests.faults.fake_node import FakeLog, FakeNode
from tests.unit.chain.chains import header, logs_of
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, credit_set, deposited, garbled

CHAIN = ChainId(31_337)
TABLE = load_event_table()
RECORD = Record((Execute("UPDATE told"),), Execute("SELECT true"))


class Scene:
    """``1 <- 2 <- … <- tip``; all below the tip is final, and its first entries were those of the blocks."""

    def __init__(self, *blocks: tuple[FakeLog, ...]) -> None:
        node = FakeNode()
        mined = [node.mine(*logs) for logs in blocks]
        refs = tuple(header(block).ref for block in mined)
        coverage = NOTHING_READ.configured((VAULT,), 1).read(1, len(refs))
        self.view = ChainView(CHAIN, 1, refs[-2:], {}, len(refs) - 1, True, len(refs), coverage)
        self.blocks = {ref.hash: ref for ref in refs}
        self.logs: tuple[Log, ...] = tuple(log for block in mined for log in logs_of(block))

    def repair(self, *missing: Log, redecoded: tuple[Log, ...] = ()) -> Repair:
        return Repair(self.blocks, missing, redecoded)


def test_each_block_has_one_entry_and_the_tip_settles_them() -> None:
    """``1(a deposit, a deposit) <- 2(a credit line) <- 3 <- 4``; the first deposit was stored."""
    scene = Scene((deposited(ALICE, WETH, 5), deposited(BOB, WETH, 7)), (credit_set(BOB, 9),), (), ())
    plan = plan_repair(scene.view, 3, TABLE, scene.repair(*scene.logs[1:]), RECORD)
    assert [(each.seq, each.op, each.block.number, each.settles, each.filter_version) for each in plan.entries] == [
        (5, Op.APPLY, 1, False, REPAIR_VERSION),
        (6, Op.APPLY, 2, False, REPAIR_VERSION),
        (7, Op.APPLY, 4, True, REPAIR_VERSION),
    ]
    assert all(entry.late for entry in plan.entries)
    [[seven], [line], nothing] = [entry.changes for entry in plan.entries]
    assert isinstance(seven, BalanceChange)
    assert isinstance(line, CreditChange)
    assert (seven.owner, seven.amount, line.limit, nothing) == (BOB, 7, 9, ())
    copied = {write.table: write.rows for write in plan.commit.writes if isinstance(write, Copy)}
    assert [(row[3], row[2], row[-1]) for row in copied["chain_logs"]] == [(1, 1, 5), (2, 0, 6)]
    assert len(copied["chain_registers"]) == 1
    assert RECORD.writes[0] in plan.commit.writes
    assert plan.view == replace(scene.view, seq=7)
    [append] = plan.commit.appends
    assert (append.epoch, append.head, len(append.rows)) == (3, 4, 3)


def test_a_log_without_changes_is_told_too() -> None:
    """Who reads raw logs, as messages are, learns of it by an entry."""
    scene = Scene((garbled(),), (), ())
    plan = plan_repair(scene.view, 1, TABLE, scene.repair(*scene.logs), RECORD)
    assert [(entry.block.number, entry.changes) for entry in plan.entries] == [(1, ()), (3, ())]
    assert plan.undecodable == 1


def test_what_decodes_by_now_counts_from_the_repair_on_in_the_order_of_its_block() -> None:
    """``1(a deposit, a deposit of which nothing was understood, a deposit that was withheld)``."""
    deposits = (deposited(ALICE, WETH, 1), deposited(ALICE, WETH, 2), deposited(ALICE, WETH, 3))
    scene = Scene(deposits, (), ())
    _, known, missing = scene.logs
    plan = plan_repair(scene.view, 1, TABLE, scene.repair(missing, redecoded=(known,)), RECORD)
    assert [change.amount for change in plan.entries[0].changes if isinstance(change, BalanceChange)] == [2, 3]
    updates = [write for write in plan.commit.writes if isinstance(write, Execute)]
    [update] = [write for write in updates if write.sql.startswith("UPDATE chain_logs")]
    assert update.args[1:4] == ([known.block_hash], [1], [1])
    assert update.args[-1] == [plan.entries[0].seq]
    assert update.expect == 1


def test_what_still_does_not_decode_is_left_alone() -> None:
    scene = Scene((garbled(), deposited(ALICE, WETH, 2)), (), ())
    assert decodable(TABLE, scene.logs) == scene.logs[1:]
    assert decodable(EventTable({}, {}), scene.logs) == ()


def test_nothing_to_repair_is_recorded_without_an_entry() -> None:
    scene = Scene((), (), ())
    plan = plan_repair(scene.view, 1, TABLE, scene.repair(), RECORD)
    assert (plan.entries, plan.view, plan.commit.appends) == ((), scene.view, ())
    assert plan.commit.proof == RECORD.proof
    assert plan.commit.writes[-1] == RECORD.writes[0]
    fence = plan.commit.writes[0]
    assert isinstance(fence, Execute)
    assert fence.expect == 1


def test_what_a_missing_log_created_becomes_late_history() -> None:
    """Its logs were not read either, and there may be some in every block since."""
    scene = Scene((deposited(ALICE, WETH, 5),), (), ())
    repair = replace(scene.repair(*scene.logs), created=(Created(STRANGER, 1, VAULT),))
    plan = plan_repair(scene.view, 1, TABLE, repair, RECORD)
    assert plan.view.coverage.contracts[-1] == Contract(STRANGER, 2, 1, VAULT)
    assert first_gap(plan.view) == (2, Range(1, 3))
    assert "chain_contracts" in [write.table for write in plan.commit.writes if isinstance(write, Copy)]


def test_blocks_that_may_be_replaced_are_not_repaired() -> None:
    scene = Scene((), (), (deposited(ALICE, WETH, 5),))
    with pytest.raises(AssertionError):
        plan_repair(scene.view, 1, TABLE, scene.repair(*scene.logs), RECORD)
