"""An endpoint that contradicts itself is caught; one that is honest never is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from fusion_daemon.chain.blocks import Log, Span
from fusion_daemon.chain.validate import Inconsistent, Unlinked, check_span, complete, may_hold, unexplained
from fusion_daemon.domain.identifiers import Hash32
from tests.faults.fake_node import FakeNode
from tests.unit.chain.chains import header, logs_of, span
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, deposited


def node_with_history() -> FakeNode:
    """``0 <- 1 (two logs) <- 2 (none) <- 3 (one log)``"""
    node = FakeNode()
    node.mine(deposited(ALICE, WETH, 5), deposited(BOB, WETH, 6))
    node.mine()
    node.mine(deposited(ALICE, WETH, 7))
    return node


def history() -> Span:
    return span(node_with_history().canonical()[1:])


def test_an_honest_span_passes() -> None:
    honest = history()
    check_span(honest, 1, honest.headers[0].parent_hash)
    check_span(honest, 1, None)


def test_another_parent_means_a_reorg() -> None:
    with pytest.raises(Unlinked):
        check_span(history(), 1, Hash32(bytes(32)))


def with_logs(change: Callable[[tuple[Log, ...]], tuple[Log, ...]]) -> Span:
    honest = history()
    return Span(honest.headers, change(honest.logs))


def foreign(log: Log) -> Log:
    return msgspec.structs.replace(log, address=STRANGER)


@pytest.mark.parametrize(
    "lie",
    [
        pytest.param(lambda logs: (logs[0], *logs), id="doubled"),
        pytest.param(lambda logs: (logs[1], logs[0], logs[2]), id="out of order in a block"),
        pytest.param(lambda logs: (logs[2], *logs[:2]), id="out of order of blocks"),
        pytest.param(
            lambda logs: (msgspec.structs.replace(logs[0], block_hash=Hash32(bytes(32))), *logs[1:]),
            id="of another block",
        ),
        pytest.param(lambda logs: (msgspec.structs.replace(logs[0], block_number=9), *logs[1:]), id="outside the span"),
        pytest.param(
            lambda logs: (msgspec.structs.replace(logs[0], transaction_index=7), *logs[1:]),
            id="transactions out of order",
        ),
        pytest.param(lambda logs: (foreign(logs[0]), *logs[1:]), id="not in the bloom filter"),
    ],
)
def test_logs_that_cannot_be(lie: Callable[[tuple[Log, ...]], tuple[Log, ...]]) -> None:
    with pytest.raises(Inconsistent):
        check_span(with_logs(lie), 1, None)


def test_headers_that_cannot_be() -> None:
    node = node_with_history()
    one, two, three = map(header, node.canonical()[1:])
    for headers in [(), (two, three), (one, three), (one, two, two)]:
        with pytest.raises(Inconsistent):
            check_span(Span(headers, ()), 1, None)
    node.switch(node.canonical()[1])
    other = header(node.mine())
    with pytest.raises(Inconsistent):
        check_span(Span((one, other, three), ()), 1, None)


def test_bloom_says_which_blocks_to_ask() -> None:
    one, two, three = node_with_history().canonical()[1:]
    assert [may_hold(header(block), (VAULT,)) for block in (one, two, three)] == [True, False, True]
    assert not may_hold(header(one), (STRANGER,))


def test_a_zero_bloom_beside_receipts_is_unknown() -> None:
    block = node_with_history().canonical()[2]
    assert header(block).bloom == 0
    assert header(block, fill_bloom=False).bloom is None
    assert may_hold(header(block, fill_bloom=False), (VAULT,))
    assert not may_hold(header(block, fill_bloom=False), ()), "who asks for nobody's logs asks for nothing"


def test_blocks_whose_bloom_is_not_explained_are_asked_again() -> None:
    node = FakeNode()
    both = node.mine(deposited(ALICE, WETH, 1), deposited(ALICE, WETH, 1, vault=STRANGER))
    [mine, theirs] = logs_of(both)
    assert unexplained([header(both)], [mine, theirs], (VAULT, STRANGER)) == ()
    assert unexplained([header(both)], [mine], (VAULT, STRANGER)) == (header(both),)
    assert unexplained([header(both)], [mine], (VAULT,)) == ()
    assert unexplained([header(both)], [], (VAULT,)) == (header(both),)


def test_all_logs_of_a_block_make_up_its_bloom() -> None:
    block = FakeNode().mine(deposited(ALICE, WETH, 5), deposited(BOB, WETH, 6))
    [first, second] = logs_of(block)
    assert complete(header(block), [first, second])
    assert not complete(header(block), [second])
    assert not complete(header(block), [])
