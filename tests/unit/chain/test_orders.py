"""The laws of orders: what is read, missing and skipped are told apart; a replay compares of each version what that one
has read; what a skip completes is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.audit import Stretch
from fusion_daemon.chain.coverage import NOTHING_READ, Coverage, Range, Ranges, common, joined, size_of, stretch
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.chain.late import first_gap
from fusion_daemon.chain.order_plans import Piece, Step, next_piece, plan_skips, plan_step
from fusion_daemon.chain.orders import Kind, Order, Skip, Tally, order_refusal, skip_refusal
from fusion_daemon.domain.identifiers import ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef
from tests.unit.chain.vault_logs import STRANGER, VAULT

CHAIN = ChainId(1)
TIP = 40
NOW = datetime(2026, 5, 1, tzinfo=UTC)
TABLE = load_event_table()
pieces = st.builds(lambda first, more: Range(first, first + more), st.integers(0, TIP), st.integers(0, 6))


def ranges_of(found: list[Range]) -> Ranges:
    made: Ranges = ()
    for each in found:
        made = joined(made, each)
    return made


ranges = st.lists(pieces, max_size=5).map(ranges_of)


def blocks(held: Ranges) -> set[int]:
    return {number for each in held for number in range(each.first, each.last + 1)}


def covering(first: Ranges, second: Ranges = ()) -> Coverage:
    """Two versions, both from block 0 on."""
    coverage = NOTHING_READ.configured((VAULT,), 0)
    return replace(coverage.configured((STRANGER,), 0), ranges={1: first, 2: second})


def view(coverage: Coverage) -> ChainView:
    return ChainView(CHAIN, 0, (BlockRef(TIP, Hash32(bytes(32)), 0),), {}, TIP, True, 100, coverage)


def skip(first: int, last: int, number: int = 1) -> Skip:
    return Skip(number, Range(first, last), "dense", "ops", NOW, NOW, None)


@given(ranges, ranges, ranges)
def test_what_is_unread_is_either_to_be_read_or_left_out(first: Ranges, second: Ranges, skipped: Ranges) -> None:
    coverage = covering(first, second).skipping(skipped)
    everything = set(range(TIP + 1))
    for version, held in coverage.ranges.items():
        to_read = blocks(coverage.gaps(version, TIP))
        left_out = blocks(coverage.left_out(version, TIP))
        assert to_read | left_out == everything - blocks(held)
        assert not to_read & left_out
        assert left_out == everything & blocks(skipped) - blocks(held)
    assert blocks(coverage.skips(TIP)) == everything & blocks(skipped) - (blocks(first) & blocks(second))
    assert coverage.missing(TIP) == sum(size_of(coverage.gaps(version, TIP)) for version in (1, 2))


@given(ranges, st.integers(0, TIP), st.integers(0, TIP))
def test_a_stretch_is_all_or_nothing(held: Ranges, first: int, more: int) -> None:
    last, inside = stretch(held, first, first + more)
    assert first <= last <= first + more
    assert all((number in blocks(held)) is inside for number in range(first, last + 1))
    assert last == first + more or (last + 1 in blocks(held)) is not inside


@given(ranges, st.integers(0, TIP), st.sets(st.integers(0, TIP)))
def test_what_was_read_without_logs_is_not_covered(held: Ranges, first: int, without: set[int]) -> None:
    before = covering(held)
    read = before.read(first, TIP, {number for number in without if number >= first})
    assert blocks(read.ranges[1]) == {
        number for number in range(TIP + 1) if (number >= first and number not in without) or number in blocks(held)
    } - {number for number in without if number >= first}


@given(ranges, ranges, ranges)
def test_a_replay_compares_of_each_version_what_it_has_read_and_reads_what_was_skipped(
    first: Ranges, second: Ranges, skipped: Ranges
) -> None:
    coverage = covering(first, second).skipping(skipped)
    start = 0
    while start <= TIP:
        piece = next_piece(coverage, Range(start, TIP))
        assert piece.stretch.range.first == start
        for number in range(start, piece.stretch.range.last + 1):
            read = {version for version, held in coverage.ranges.items() if number in blocks(held)}
            left_out = {1, 2} - read if number in blocks(skipped) else set()
            assert set(piece.stretch.versions) == read | left_out
            assert set(piece.skipped) == left_out
        start = piece.stretch.range.last + 1


def test_blocks_of_a_skip_and_those_beside_it_are_pieces_of_their_own() -> None:
    coverage = covering((Range(0, 9), Range(12, TIP)), (Range(0, TIP),)).skipping((Range(10, 11),))
    assert next_piece(coverage, Range(5, 20)) == Piece(Stretch((1, 2), Range(5, 9)), ())
    assert next_piece(coverage, Range(10, 20)) == Piece(Stretch((1, 2), Range(10, 11)), (1,))


def ordered(first: int, last: int) -> Order:
    return Order(7, CHAIN, Kind.REPLAY, Range(first, last), False, "ops", NOW, "running", first, Tally(), None, None)


def test_a_skip_is_made_good_when_all_of_it_was_read() -> None:
    """10 to 12 and 20 were skipped, of both versions; a replay reads them piece by piece."""
    held = (Range(0, 9), Range(13, 19), Range(21, TIP))
    skips = (skip(10, 12), skip(20, 20, 2))
    now = view(covering(held, held).skipping(each.range for each in skips))
    part = plan_step(now, 3, TABLE, Step(ordered(10, 11), 11, Tally(), read=(1, 2)), skips).view
    assert part.coverage.skips(TIP) == (Range(12, 12), Range(20, 20))
    assert part.coverage.skipped == now.coverage.skipped, "half of it may be read anew"
    rest = plan_step(part, 3, TABLE, Step(ordered(12, 12), 12, Tally(), read=(1, 2)), skips)
    assert rest.view.coverage.skipped == (Range(20, 20),)
    assert [write for write in rest.commit.writes if "made_good_at" in str(write)]
    one = plan_step(part, 3, TABLE, Step(ordered(12, 12), 12, Tally(), read=(1,)), skips).view
    assert one.coverage.left_out(2, TIP) == (Range(12, 12), Range(20, 20)), "the other version lacks it"


def test_a_history_that_lacks_only_what_is_skipped_is_whole_and_says_so() -> None:
    """Version 2 lacks 7 alone, and is told to be whole by the commit that brings the skip into force; 1 always was."""
    now = view(covering((Range(0, TIP),), (Range(0, 6), Range(8, TIP))))
    plan = plan_skips(now, 3, (skip(7, 7),))
    assert [(entry.filter_version, entry.settles, entry.block.number, entry.seq) for entry in plan.entries] == [
        (2, True, TIP, 101)
    ]
    assert (plan.view.seq, first_gap(plan.view)) == (101, None)
    again = plan_skips(plan.view, 3, (skip(9, 9),))
    assert (again.entries, again.view.seq, again.commit.appends) == ((), 101, ())
    assert first_gap(now) == (2, Range(7, 7))


@pytest.mark.parametrize(("first", "last"), [(4, 8), (10, 31), (31, 31), (31, 30), (5, 4)])
def test_only_what_is_stored_and_final_is_ordered(first: int, last: int) -> None:
    assert order_refusal(Range(first, last), 5, 30) is not None
    assert order_refusal(Range(5, 30), 5, 30) is None


def test_what_may_be_skipped() -> None:
    """0 to 9 are read, of which 5 is the last final one; of version 2, which came later, 3 is missing."""
    coverage = covering((Range(0, 9),), (Range(0, 2), Range(4, 9)))
    for good in (Range(3, 3), Range(10, 12), Range(6, 10), Range(10, 1_009)):
        assert skip_refusal(good, coverage, 10, 5) is None, good
    for bad in (Range(2, 3), Range(5, 10), Range(11, 11), Range(10, 1_010)):
        assert skip_refusal(bad, coverage, 10, 5) is not None, bad


def test_common_blocks() -> None:
    assert common((Range(0, 4), Range(8, 9)), (Range(3, 8),)) == (Range(3, 4), Range(8, 8))
