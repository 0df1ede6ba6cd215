"""When a late history is whole, exactly one entry says so: whoever made it whole."""

from __future__ import annotations

from fusion_daemon.chain.coverage import NOTHING_READ, Range
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.journal import ChainView, Finality, StoredLogs, plan_reorg
from fusion_daemon.chain.late import LateSpan, first_gap, plan_late, still_fits
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import Op
from tests.faults.fake_node import FakeNode
from tests.unit.chain.chains import header, span
from tests.unit.chain.vault_logs import ALICE, STRANGER, VAULT, WETH, deposited

CHAIN = ChainId(31_337)
TABLE = load_event_table()
FINALITY = Finality(3, None, 0, True)


def two_vaults(node: FakeNode) -> ChainView:
    """Blocks 1 and 2 were read with one vault; the other is configured since."""
    blocks = tuple(header(block).ref for block in node.canonical()[1:])
    coverage = NOTHING_READ.configured((VAULT,), 1).read(1, 2).configured((STRANGER,), 1)
    return ChainView(CHAIN, 1, blocks, {}, -1, False, 2, coverage)


def test_the_last_span_ends_it_and_a_span_of_what_is_gone_does_not_fit() -> None:
    """``1 <- 2(the second vault speaks)``, read late in two spans."""
    node = FakeNode()
    node.mine()
    node.mine(deposited(ALICE, WETH, 5, STRANGER))
    view = two_vaults(node)
    assert first_gap(view) == (2, Range(1, 2))
    [one, two] = [LateSpan(2, span([block]), frozenset({header(block).hash})) for block in node.canonical()[1:]]
    assert not still_fits(view, two)
    first = plan_late(view, 1, TABLE, one)
    assert (first.entries, first.view.seq, first_gap(first.view)) == ((), 2, (2, Range(2, 2)))
    assert not still_fits(first.view, one)
    last = plan_late(first.view, 1, TABLE, two)
    assert [(each.seq, each.block.number, each.settles, each.late) for each in last.entries] == [
        (3, 2, False, True),
        (4, 2, True, True),
    ]
    assert len(last.entries[0].changes) == 1
    assert (last.entries[1].changes, first_gap(last.view)) == ((), None)


def test_a_reorg_of_all_that_was_missing_ends_it_too() -> None:
    """``1a <- 2a`` becomes ``1b <- 2b``, read with both vaults at once: nothing is left to be read late."""
    node = FakeNode()
    genesis = node.head
    node.mine()
    node.mine()
    view = two_vaults(node)
    node.switch(genesis)
    node.mine()
    node.mine()
    lost: StoredLogs = {block.hash: {} for block in view.blocks}
    plan = plan_reorg(view, 1, TABLE, FINALITY, None, span(node.canonical()[1:]), lost)
    assert [(each.op, each.block.number, each.late) for each in plan.entries] == [
        (Op.RETRACT, 2, False),
        (Op.RETRACT, 1, False),
        (Op.APPLY, 1, False),
        (Op.APPLY, 2, False),
        (Op.APPLY, 2, True),
    ]
    assert [each.seq for each in plan.entries] == [3, 4, 5, 6, 7]
    assert plan.view.seq == 7
    assert plan.view.coverage.ranges == {1: (Range(1, 2),), 2: (Range(1, 2),)}
