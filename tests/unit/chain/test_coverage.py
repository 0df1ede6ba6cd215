"""The laws of coverage: ranges stay disjoint and ascending, and what is missing is exactly what is not covered."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.coverage import (
    NOTHING_READ,
    Contract,
    Range,
    Ranges,
    joined,
    missing,
    without_above,
)
from fusion_daemon.domain.identifiers import Address

RANGE = st.tuples(st.integers(0, 40), st.integers(0, 8)).map(lambda pair: Range(pair[0], sum(pair)))
VAULT, OTHER, THIRD = (Address(bytes([digit]) * 20) for digit in (1, 2, 3))


def blocks(ranges: Ranges) -> list[int]:
    return [number for each in ranges for number in range(each.first, each.last + 1)]


def merged(ranges: list[Range]) -> Ranges:
    held: Ranges = ()
    for each in ranges:
        held = joined(held, each)
    return held


@given(st.lists(RANGE, max_size=8))
def test_joined_ranges_are_the_union_disjoint_ascending_and_never_touching(ranges: list[Range]) -> None:
    held = merged(ranges)
    assert blocks(held) == sorted({number for each in ranges for number in blocks((each,))})
    assert all(below.last + 1 < above.first for below, above in itertools.pairwise(held))


@given(st.lists(RANGE, max_size=8), RANGE)
def test_missing_and_covered_make_up_what_was_asked(ranges: list[Range], asked: Range) -> None:
    held = merged(ranges)
    gaps = missing(held, asked)
    wanted = set(blocks((asked,)))
    assert blocks(gaps) == sorted(wanted - set(blocks(held)))
    assert all(below.last + 1 < above.first for below, above in itertools.pairwise(gaps))


@given(st.lists(RANGE, max_size=8), st.integers(-1, 50))
def test_a_cut_leaves_what_is_not_above(ranges: list[Range], highest: int) -> None:
    held = merged(ranges)
    assert blocks(without_above(held, highest)) == [number for number in blocks(held) if number <= highest]


def test_a_contract_configured_later_is_read_from_then_on_and_its_history_is_missing() -> None:
    """``[0 .. 9]`` was read with one vault, ``[10 .. 12]`` with two."""
    first = NOTHING_READ.configured((VAULT,), 0).read(0, 9)
    later = first.configured((VAULT, OTHER), 0)
    assert later.addresses == (VAULT, OTHER)
    assert later.contracts[1] == Contract(OTHER, 2, 0, None)
    assert later.ranges == {1: (Range(0, 9),), 2: ()}
    read = later.read(10, 12)
    assert read.ranges == {1: (Range(0, 12),), 2: (Range(10, 12),)}
    assert missing(read.ranges[2], Range(0, 12)) == (Range(0, 9),)


def test_an_unchanged_configuration_changes_nothing_and_a_contract_once_read_is_read_on() -> None:
    held = NOTHING_READ.configured((VAULT, OTHER), 0).read(0, 9)
    assert held.configured((OTHER, VAULT, OTHER), 0) is held
    assert held.configured((VAULT,), 0) is held
    assert held.configured((THIRD,), 0).addresses == (VAULT, OTHER, THIRD)


def test_a_branch_takes_back_what_it_replaces() -> None:
    """``0 .. 9`` and of the second version ``0 .. 3, 8 .. 9``; blocks 7 to 8 replace 7 to 9."""
    held = NOTHING_READ.configured((VAULT,), 0).read(0, 7).configured((OTHER,), 0).read(8, 9)
    held = type(held)(held.contracts, {**held.ranges, 2: joined(held.ranges[2], Range(0, 3))})
    assert held.read(7, 8).ranges == {1: (Range(0, 8),), 2: (Range(0, 3), Range(7, 8))}
