"""Which blocks are audited next, and what follows from what endpoints show of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.audit import (
    Difference,
    Stored,
    Stretch,
    digests,
    judge,
    lowest_audited,
    next_stretch,
    still_audits,
    suspects,
)
from fusion_daemon.chain.blocks import Created, Log
from fusion_daemon.chain.coverage import NOTHING_READ, Contract, Coverage, Range
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef
from tests.faults.fake_node import FakeNode
from tests.unit.chain.chains import header, logs_of
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, deposited

ESCROW = Address(b"\x0c" * 20)
ONE_READ = NOTHING_READ.configured((VAULT,), 10).read(10, 99)
"""Blocks 10 to 99 with one vault."""


def seen(coverage: Coverage, finalized: int, tip: int = 99) -> ChainView:
    blocks = (BlockRef(tip, Hash32(bytes(32)), 0),)
    return ChainView(ChainId(1), 10, blocks, {}, finalized, True, 0, coverage)


# Whose turn it is


def test_it_goes_from_the_mark_to_what_is_final() -> None:
    assert next_stretch(seen(ONE_READ, 40), {}) == Stretch((1,), Range(10, 40))
    assert next_stretch(seen(ONE_READ, 40), {1: 25}) == Stretch((1,), Range(26, 40))
    assert next_stretch(seen(ONE_READ, 40), {1: 40}) is None


def test_what_is_final_and_not_stored_yet_is_not_audited() -> None:
    assert next_stretch(seen(ONE_READ, 500), {1: 98}) == Stretch((1,), Range(99, 99))
    assert next_stretch(replace(seen(ONE_READ, 500), blocks=()), {}) is None


def test_a_second_version_is_audited_alone_until_it_is_level_with_the_first() -> None:
    """``10 … 59 | 60 … 99``: the first was audited up to 59, the other nowhere, and both are read everywhere."""
    both = ONE_READ.configured((STRANGER,), 10).read_late(2, 10, 99)
    assert next_stretch(seen(both, 80), {1: 59}) == Stretch((2,), Range(10, 59))
    assert next_stretch(seen(both, 80), {1: 59, 2: 59}) == Stretch((1, 2), Range(60, 80))
    assert Stretch((1, 2), Range(60, 80)).contracts(both) == (VAULT, STRANGER)


def test_late_history_is_waited_for_and_holds_nobody_else_up() -> None:
    """Of the second version, blocks 10 to 19 and those from 90 on were read; between them its history is on its way."""
    half = ONE_READ.configured((STRANGER,), 10).read_late(2, 10, 19).read_late(2, 90, 99)
    assert next_stretch(seen(half, 95), {1: 95}) == Stretch((2,), Range(10, 19))
    assert next_stretch(seen(half, 95), {1: 95, 2: 19}) is None
    assert next_stretch(seen(half, 95), {1: 30, 2: 19}) == Stretch((1,), Range(31, 95))
    whole = half.read_late(2, 20, 89)
    assert next_stretch(seen(whole, 95), {1: 95, 2: 19}) == Stretch((2,), Range(20, 95))


def test_a_version_without_contracts_is_never_due() -> None:
    """A reorg took what a factory had created."""
    gone = ONE_READ.created_late([Created(ESCROW, 50, VAULT)]).retracted(40)
    assert next_stretch(seen(gone, 40), {1: 40}) is None
    assert lowest_audited(gone, {1: 40}) == 40


def test_the_lowest_mark_is_that_of_the_version_that_is_behind() -> None:
    both = ONE_READ.configured((STRANGER,), 30)
    assert lowest_audited(NOTHING_READ, {}) is None
    assert lowest_audited(ONE_READ, {}) == 9
    assert lowest_audited(both, {1: 80}) == 29
    assert lowest_audited(both, {1: 80, 2: 70}) == 70


def test_what_is_not_covered_any_more_does_not_count_as_audited() -> None:
    stretch = Stretch((1, 2), Range(20, 40))
    both = ONE_READ.configured((STRANGER,), 10).read_late(2, 10, 39)
    assert not still_audits(seen(both, 80), stretch)
    assert still_audits(seen(both.read_late(2, 40, 40), 80), stretch)


@given(
    marks=st.dictionaries(st.integers(1, 3), st.integers(0, 120)),
    late=st.lists(st.tuples(st.integers(2, 3), st.integers(10, 99), st.integers(0, 40)), max_size=6),
    final=st.integers(0, 120),
)
def test_every_covered_final_block_is_audited_once_for_each_version(
    marks: dict[int, int], late: Sequence[tuple[int, int, int]], final: int
) -> None:
    """Also when stretches end early; and nothing else is audited."""
    coverage = ONE_READ.configured((STRANGER,), 10).configured((ESCROW,), 35)
    for version, first, length in late:
        coverage = coverage.read_late(version, first, min(first + length, 99))
    view, audited = seen(coverage, final), dict(marks)
    done: dict[int, list[int]] = {version: [] for version in coverage.ranges}
    while (stretch := next_stretch(view, audited)) is not None:
        last = min(stretch.range.last, stretch.range.first + 6)
        for version in stretch.versions:
            done[version] += range(stretch.range.first, last + 1)
            audited[version] = last
    for version, ranges in coverage.ranges.items():
        read = {number for each in ranges for number in range(each.first, each.last + 1)}
        since = min(each.since for each in coverage.contracts if each.filter_version == version)
        gaps = [gap.first for gap in coverage.gaps(version, min(final, 99)) if gap.last > marks.get(version, since - 1)]
        until = min([final, 99, *(first - 1 for first in gaps)])
        begin = max(marks.get(version, since - 1), since - 1) + 1
        assert done[version] == [number for number in range(begin, until + 1) if number in read]


# What follows


def two_blocks() -> tuple[Stored, tuple[Log, ...]]:
    """``1(two deposits) <- 2(a deposit) <- 3``, and nothing of their logs is stored."""
    node = FakeNode()
    mined = [
        node.mine(deposited(ALICE, WETH, 5), deposited(BOB, WETH, 7)),
        node.mine(deposited(ALICE, WETH, 9)),
        node.mine(),
    ]
    blocks = {block.number: header(block).ref for block in mined}
    return Stored(blocks, {}), tuple(log for block in mined for log in logs_of(block))


def test_a_block_is_suspect_when_count_or_content_differs() -> None:
    nothing, logs = two_blocks()
    stored = replace(nothing, digests=digests(logs))
    assert suspects(stored, digests(logs)) == ()
    assert suspects(stored, digests(logs[1:])) == (1,)
    assert suspects(stored, digests(())) == (1, 2)
    assert suspects(nothing, digests(logs)) == (1, 2)
    for name, value in (
        ("data", b"\x01"),
        ("topics", logs[2].topics[:2]),
        ("address", STRANGER),
        ("log_index", 7),
        ("transaction_hash", Hash32(b"\x07" * 32)),
        ("transaction_index", 7),
        ("block_hash", Hash32(b"\x07" * 32)),
    ):
        changed = msgspec.structs.replace(logs[2], **{name: value})
        assert suspects(stored, digests((*logs[:2], changed))) == (2,), name


def test_what_retention_dropped_is_no_suspect() -> None:
    nothing, logs = two_blocks()
    assert suspects(replace(nothing, blocks={3: nothing.blocks[3]}), digests(logs)) == ()


def shown(logs: Sequence[Log], *places: int) -> tuple[Log, ...]:
    return tuple(logs[place] for place in places)


@pytest.mark.parametrize(
    ("held", "first", "second", "missing", "other"),
    [
        pytest.param((0, 1, 2), (0, 1, 2), (0, 1, 2), (), (), id="agree"),
        pytest.param((0,), (0, 1, 2), (0, 1, 2), (1, 2), (), id="missing"),
        pytest.param((0, 2), (0, 1, 2), (0, 2), (), (1,), id="one-endpoint-alone-has-it"),
        pytest.param((0, 1, 2), (0, 2), (0, 2), (), (1,), id="nobody-else-has-it"),
        pytest.param((0, 1, 2), (0, 1, 2), (0, 2), (), (1,), id="one-endpoint-lacks-it"),
    ],
)
def test_only_what_all_have_alike_is_repaired(
    held: tuple[int, ...],
    first: tuple[int, ...],
    second: tuple[int, ...],
    missing: tuple[int, ...],
    other: tuple[int, ...],
) -> None:
    stored, logs = two_blocks()
    verdict = judge(stored, shown(logs, *held), {0: shown(logs, *first), 1: shown(logs, *second)})
    assert verdict.missing == shown(logs, *missing)
    assert [(each.block.number, each.log_index) for each in verdict.differences] == [
        (log.block_number, log.log_index) for log in shown(logs, *other)
    ]


def test_a_log_with_another_content_is_neither_missing_nor_replaced() -> None:
    stored, logs = two_blocks()
    forged = msgspec.structs.replace(logs[0], data=b"\x01")
    verdict = judge(stored, logs, {4: (forged, *logs[1:])})
    assert (verdict.missing, verdict.differences) == ((), (Difference(stored.blocks[1], 0, 4),))
    halves: Mapping[int, Sequence[Log]] = {4: (forged,), 5: logs[:1]}
    assert judge(stored, (), halves).differences == (Difference(stored.blocks[1], 0, 4),)


def test_the_contracts_of_a_stretch_are_those_that_existed() -> None:
    coverage = replace(ONE_READ, contracts=(*ONE_READ.contracts, Contract(ESCROW, 1, 50, VAULT)))
    assert Stretch((1,), Range(10, 49)).contracts(coverage) == (VAULT,)
    assert Stretch((1,), Range(10, 50)).contracts(coverage) == (VAULT, ESCROW)
