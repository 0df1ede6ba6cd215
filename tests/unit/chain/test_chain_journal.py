"""The journal against a model: whatever the chain does, folding the planned entries yields it.

`Database` applies a plan's writes as Postgres would, on plain dicts, and reads a view back as a restart does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fusion_daemon.chain.coverage import Contract, Coverage, Range, Ranges
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.journal import ChainView, Finality, Plan, StoredLogs, finality_of, plan_extend, plan_reorg
from fusion_daemon.chain.reorg import common_ancestor
from fusion_daemon.domain.identifiers import ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef, Change, CreditChange, JournalEntry, Op
from fusion_daemon.store.writes import Copy, Execute, SqlValue
from tests.faults.fake_node import FakeBlock, FakeLog, FakeNode
from tests.unit.chain.chains import head, header, span
from tests.unit.chain.vault_logs import (
    ALICE,
    BOB,
    USDC,
    VAULT,
    WETH,
    asset_configured,
    borrowed,
    credit_set,
    deposited,
    garbled,
    index_updated,
    liquidated,
    repaid,
    unknown,
    withdrawn,
)

CHAIN = ChainId(31_337)
TABLE = load_event_table()
EFFECTS: list[tuple[FakeLog, dict[tuple[bytes, bytes, str], int]]] = [
    (deposited(ALICE, WETH, 5), {(ALICE, WETH, "collateral"): 5}),
    (withdrawn(BOB, WETH, 3), {(BOB, WETH, "collateral"): -3}),
    (borrowed(ALICE, USDC, 4), {(ALICE, USDC, "debt"): 4}),
    (repaid(BOB, USDC, 2), {(BOB, USDC, "debt"): -2}),
    (liquidated(ALICE, USDC, WETH, 1, 2), {(ALICE, USDC, "debt"): -1, (ALICE, WETH, "collateral"): -2}),
    (index_updated(WETH, 10**27, 7, 1), {}),
    (asset_configured(WETH, 18, 8_000, 8_250), {}),
    (credit_set(BOB, 9), {}),
    (garbled(), {}),
    (unknown(), {}),
]
"""Logs, and what each does to balances, written down by hand."""
LOGS = [log for log, _ in EFFECTS]
LOOKS = st.lists(st.integers(1, 5), max_size=3)
Row = tuple[SqlValue, ...]


@dataclass
class Database:
    """The chain room's tables; every constraint that Postgres would hold is asserted."""

    blocks: dict[bytes, Row] = field(default_factory=dict)
    canonical: set[bytes] = field(default_factory=set)
    logs: dict[tuple[SqlValue, SqlValue], Row] = field(default_factory=dict)
    positions: dict[tuple[SqlValue, ...], int] = field(default_factory=dict)
    registers: set[tuple[SqlValue, SqlValue]] = field(default_factory=set)
    journal: list[Row] = field(default_factory=list)
    entries: list[JournalEntry] = field(default_factory=list)
    contracts: list[Contract] = field(default_factory=list)
    covered: dict[tuple[int, int], int] = field(default_factory=dict)

    def apply(self, plan: Plan) -> None:
        for write in plan.commit.writes:
            if isinstance(write, Copy):
                self._copy(write)
            else:
                assert isinstance(write, Execute)
                self._execute(write)
        [append] = plan.commit.appends
        assert append.head == len(self.journal)
        self.journal += append.rows
        self.entries += plan.entries
        heights = [self.blocks[block][2] for block in self.canonical]
        assert len(set(heights)) == len(heights)

    def _copy(self, write: Copy) -> None:
        for row in write.rows:
            assert len(row) == len(write.columns)
            match write.table:
                case "chain_blocks":
                    assert isinstance(row[1], bytes)
                    assert row[1] not in self.blocks
                    self.blocks[row[1]] = row
                    self.canonical.add(row[1])
                case "chain_logs":
                    assert (row[1], row[2]) not in self.logs
                    self.logs[row[1], row[2]] = row
                case "chain_registers":
                    assert (row[1], row[2]) not in self.registers
                    self.registers.add((row[1], row[2]))
                case "chain_contracts":
                    assert row[1] not in [contract.address for contract in self.contracts]
                    self.contracts.append(Contract(*row[1:]))  # type: ignore[arg-type]

    def _execute(self, write: Execute) -> None:
        args = write.args
        if write.sql.startswith("UPDATE chain_blocks"):
            assert isinstance(args[1], list)
            assert write.expect == len(args[1])
            assert set(args[1]) <= set(self.blocks)
            self.canonical = self.canonical | set(args[1]) if args[2] else self.canonical - set(args[1])
        elif write.sql.startswith("DELETE FROM chain_registers"):
            assert isinstance(args[1], list)
            self.registers = {key for key in self.registers if key[0] not in args[1]}
        elif write.sql.startswith("INSERT INTO positions"):
            for key, amount in zip(zip(*args[1:5], strict=True), args[5], strict=True):  # type: ignore[arg-type]
                self.positions[key] = self.positions.get(key, 0) + int(str(amount))
        elif write.sql.startswith("INSERT INTO chain_coverage"):
            for version, first, last in zip(*args[1:], strict=True):
                self.covered[version, first] = last
        elif write.sql.startswith("DELETE FROM chain_coverage"):
            for version, first in zip(*args[1:], strict=True):
                del self.covered[version, first]
        else:
            assert write.sql.startswith("UPDATE chain_state")

    def view(self, start: int, finalized: int) -> ChainView:
        """As repository.load_view reads it."""
        refs = sorted(
            (BlockRef(row[2], Hash32(block), row[4]) for block, row in self.blocks.items() if block in self.canonical),  # type: ignore[arg-type]
            key=lambda ref: ref.number,
        )
        settled = min(finalized, refs[-1].number) if refs else finalized
        orphans = {
            Hash32(block): int(str(row[2]))
            for block, row in self.blocks.items()
            if block not in self.canonical and int(str(row[2])) > settled
        }
        return ChainView(
            CHAIN,
            start,
            tuple(ref for ref in refs if ref.number >= settled),
            orphans,
            finalized,
            finalized >= 0,
            len(self.journal),
            self.coverage().configured((VAULT,), start),
        )

    def coverage(self) -> Coverage:
        ranges: dict[int, Ranges] = {contract.filter_version: () for contract in self.contracts}
        for (version, first), last in sorted(self.covered.items()):
            ranges[version] = (*ranges[version], Range(first, last))
        return Coverage(tuple(self.contracts), ranges)


class Following(RuleBasedStateMachine):
    """Mine, fork, flip back and follow in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.node = FakeNode()
        self.database = Database()
        self.final = 0

    @initialize(start=st.integers(0, 2))
    def begin(self, start: int) -> None:
        self.start = start
        self.view = self.database.view(start, -1)

    @rule(logs=st.lists(st.sampled_from(LOGS), max_size=3), looks=LOOKS)
    def mine(self, logs: list[FakeLog], looks: list[int]) -> None:
        self.node.mine(*logs)
        self._look(looks)

    @rule(depth=st.integers(1, 6), logs=st.lists(st.sampled_from(LOGS), max_size=4), looks=LOOKS)
    def fork(self, depth: int, logs: list[FakeLog], looks: list[int]) -> None:
        """A branch of one block per log, from `depth` blocks below the head, though not below what is
        final.
        """
        chain = self.node.canonical()
        self.node.switch(chain[max(self.final, len(chain) - 1 - depth)])
        for log in logs:
            self.node.mine(log)
        self._look(looks)

    @rule(data=st.data(), looks=LOOKS)
    def come_back(self, data: st.DataObject, looks: list[int]) -> None:
        """To any block ever mined that keeps what is final."""
        final = self.node.canonical()[self.final]
        choices = [block for block in self.node.blocks.values() if self._keeps(block, final)]
        self.node.switch(data.draw(st.sampled_from(choices)))
        self._look(looks)

    def _keeps(self, block: FakeBlock, final: FakeBlock) -> bool:
        while block.number > final.number:
            block = self.node.blocks[block.parent]
        return block == final

    @rule(lag=st.integers(0, 4))
    def finalise(self, lag: int) -> None:
        """The node's final block may lie above our tip, and off the branch that we hold."""
        self.final = max(self.final, self.node.head.number - lag)

    def _look(self, looks: list[int]) -> None:
        for most in looks:
            self._follow(most)

    def _follow(self, most: int) -> None:
        """What the listener does, without its I/O; `most` blocks at a time."""
        chain = self.node.canonical()
        finality = Finality(chain[-1].number, None, min(self.final, chain[-1].number), True)
        if chain[-1].number < self.start:
            return
        theirs = [header(block) for block in chain]
        ancestor = common_ancestor(self.view.blocks, theirs)
        tip = self.view.tip
        if tip is None or ancestor == tip:
            first = self.view.next_number
            blocks = chain[first : first + most]
            if blocks:
                self._commit(plan_extend(self.view, 1, TABLE, finality, span(blocks), self._stored(blocks, [])))
            return
        first = self.start if ancestor is None else ancestor.number + 1
        until = min(chain[-1].number, tip.number)
        blocks = chain[first : until + 1]
        if not blocks:
            return  # a lagging head: the chain says nothing new
        lost = [block.hash for block in self.view.blocks if block.number >= first]
        stored = self._stored(blocks, lost)
        self._commit(plan_reorg(self.view, 1, TABLE, finality, ancestor, span(blocks), stored))

    def _stored(self, blocks: list[FakeBlock], lost: list[Hash32]) -> StoredLogs:
        wanted = lost + [Hash32(block.hash) for block in blocks if block.hash in self.view.orphans]
        return {
            block: {
                row[2]: TABLE.event(row[6], row[2], row[7], row[8]).changes  # type: ignore[arg-type,misc]
                for (owner, _), row in self.database.logs.items()
                if owner == block
            }
            for block in wanted
        }

    def _commit(self, plan: Plan) -> None:
        self.database.apply(plan)
        self.view = plan.view

    @invariant()
    def a_restart_would_read_the_view_in_memory(self) -> None:
        assert self.database.view(self.start, self.view.finalized) == self.view

    @invariant()
    def folded_journal_is_the_canonical_chain(self) -> None:
        chain: list[bytes] = []
        held: dict[bytes, tuple[Change, ...]] = {}
        for place, entry in enumerate(self.database.entries, 1):
            assert entry.seq == place
            if entry.op is Op.APPLY:
                chain.append(entry.block.hash)
                held[entry.block.hash] = entry.changes
            else:
                assert chain.pop() == entry.block.hash
                assert held[entry.block.hash] == entry.changes
        assert set(chain) == self.database.canonical
        assert not self.database.entries or self.database.entries[-1].settles

    @invariant()
    def positions_are_the_sum_of_the_canonical_logs(self) -> None:
        sums: Counter[tuple[bytes, bytes, str]] = Counter()
        for block in self.database.canonical:
            for log in self.node.blocks[block].logs:
                sums.update(next(effect for known, effect in EFFECTS if known == log))
        assert {key: amount for key, amount in self.database.positions.items() if amount} == {
            (VAULT, *key): amount for key, amount in sums.items() if amount
        }

    @invariant()
    def no_row_is_lost_and_registers_are_canonical(self) -> None:
        for block in self.database.blocks:
            assert sum(owner == block for owner, _ in self.database.logs) == len(self.node.blocks[block].logs)
        assert {block for block, _ in self.database.registers} <= self.database.canonical

    @invariant()
    def coverage_is_what_was_read(self) -> None:
        heights = sorted(int(str(self.database.blocks[block][2])) for block in self.database.canonical)
        covered = self.database.coverage().ranges.get(1, ())
        assert [number for each in covered for number in range(each.first, each.last + 1)] == heights


Following.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestFollowing = Following.TestCase


def test_only_the_last_entry_of_a_reorg_settles() -> None:
    """``0 <- 1a <- 2a`` becomes ``0 <- 1b <- 2b``"""
    node = FakeNode()
    genesis = node.head
    node.mine(deposited(ALICE, WETH, 5))
    node.mine()
    view = ChainView(CHAIN, 0, (), {}, -1, False, 0)
    finality = Finality(2, None, 0, True)
    first = plan_extend(view, 1, TABLE, finality, span(node.canonical()), {})
    node.switch(genesis)
    node.mine()
    node.mine(deposited(ALICE, WETH, 6))
    stored = {block.hash: {0: first.entries[block.number].changes} for block in first.view.blocks}
    branch = span(node.canonical()[1:])
    plan = plan_reorg(first.view, 1, TABLE, finality, header(genesis).ref, branch, stored)
    assert [entry.settles for entry in first.entries] == [True, True, True]
    assert [(entry.op, entry.block.number, entry.settles) for entry in plan.entries] == [
        (Op.RETRACT, 2, False),
        (Op.RETRACT, 1, False),
        (Op.APPLY, 1, False),
        (Op.APPLY, 2, True),
    ]
    assert plan.entries[1].changes == first.entries[1].changes


def test_a_returning_block_gains_the_logs_of_a_contract_that_is_read_only_now() -> None:
    """``0 <- 1`` was stored and orphaned while its second log alone was read; 1 comes back with all three: the new
    ones are stored and folded in log order, the old one is neither stored nor folded twice."""
    node = FakeNode()
    genesis = node.head
    block = node.mine(credit_set(ALICE, 1), credit_set(ALICE, 2), credit_set(ALICE, 3))
    held = TABLE.event(VAULT, 1, block.logs[1].topics, block.logs[1].data).changes
    view = ChainView(CHAIN, 0, (header(genesis).ref,), {Hash32(block.hash): 1}, 0, True, 4)
    stored = {Hash32(block.hash): {1: held}}
    plan = plan_extend(view, 1, TABLE, Finality(1, None, 0, True), span([block]), stored)
    [entry] = plan.entries
    assert [change.limit for change in entry.changes if isinstance(change, CreditChange)] == [1, 2, 3]
    [rows] = [write.rows for write in plan.commit.writes if isinstance(write, Copy) and write.table == "chain_logs"]
    assert [(row[2], row[11]) for row in rows] == [(0, entry.seq), (2, entry.seq)]


def test_undecodable_logs_are_counted_and_stored() -> None:
    node = FakeNode()
    node.mine(garbled(), unknown(), deposited(ALICE, WETH, 5))
    view = ChainView(CHAIN, 1, (), {}, -1, False, 0)
    plan = plan_extend(view, 1, TABLE, Finality(1, None, 0, True), span(node.canonical()[1:]), {})
    [rows] = [write.rows for write in plan.commit.writes if isinstance(write, Copy) and write.table == "chain_logs"]
    assert plan.undecodable == 1
    assert [(row[9], row[10] is None) for row in rows] == [
        ("CollateralDeposited", True),
        (None, True),
        ("CollateralDeposited", False),
    ]


def test_only_a_chain_that_never_named_its_final_block_counts_back() -> None:
    """Head 100, depth 64: 36 is final unless the chain says, or ever said, otherwise; what it said stays."""
    node = FakeNode()
    for _ in range(100):
        node.mine()
    never = ChainView(CHAIN, 0, (), {}, -1, False, 0)
    named = ChainView(CHAIN, 0, (), {}, 10, True, 0)
    assert finality_of(head(node, None), never, 64) == Finality(100, None, 36, False)
    assert finality_of(head(node, 20), never, 64) == Finality(100, None, 20, True)
    assert finality_of(head(node, None), named, 64) == Finality(100, None, 10, True)
    assert finality_of(head(node, 20), named, 64) == Finality(100, None, 20, True)
