"""Where two chains part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.reorg import common_ancestor, parting, probes
from tests.faults.fake_node import FakeNode
from tests.unit.chain.chains import header, span
from tests.unit.chain.vault_logs import ALICE, BOB, WETH, deposited


@given(st.integers(0, 30), st.integers(1, 30), st.integers(1, 30), st.integers(0, 60))
def test_ancestor_is_the_highest_shared_block(shared: int, ours: int, theirs: int, lowest: int) -> None:
    """``0 <- … <- shared <- ours …`` against ``shared <- theirs …``, the stored window starting at
    `lowest`.
    """
    node = FakeNode()
    for _ in range(shared):
        node.mine()
    fork = node.head
    for _ in range(ours):
        node.mine()
    stored = [header(block).ref for block in node.canonical()][lowest:]
    node.switch(fork)
    for _ in range(theirs):
        node.mine()
    found = common_ancestor(stored, [header(block) for block in node.canonical()])
    assert found == (header(fork).ref if shared >= lowest else None)


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_probes_cover_everything_once_from_the_top(lowest: int, length: int) -> None:
    highest = lowest + length
    covered: list[int] = []
    for first, last in probes(lowest, highest):
        assert last - first < 128
        covered += range(last, first - 1, -1)
    assert covered == list(range(highest, lowest - 1, -1))


@given(st.integers(0, 10), st.integers(1, 10), st.integers(0, 10), st.integers(-1, 10))
def test_a_branch_never_holds_a_block_that_is_canonical_with_us(
    shared: int, ours: int, theirs: int, found: int
) -> None:
    """``0 <- … <- shared <- ours …`` against ``shared <- theirs …``, read above an ancestor that was found lower
    (-1: none), since the node was on another branch then."""
    node = FakeNode()
    for _ in range(shared):
        node.mine()
    fork = node.head
    for _ in range(ours):
        node.mine(deposited(ALICE, WETH, 1))
    stored = [header(block).ref for block in node.canonical()]
    node.switch(fork)
    for _ in range(theirs):
        node.mine(deposited(BOB, WETH, 1))
    chain = node.canonical()
    found = min(found, shared)
    ancestor, branch = parting(stored, None if found < 0 else stored[found], span(chain[found + 1 :]))
    # A branch that ends at the ancestor found says nothing of what is above it.
    assert ancestor == stored[shared] or (ancestor, theirs) == (stored[found], 0)
    assert branch == span(chain[shared + 1 :])
