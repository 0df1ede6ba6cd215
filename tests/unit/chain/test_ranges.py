"""The size of ranges: what answers and refusals do to it, and that it always makes progress."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.range_rules import ExactRange, Refusal, StructuralCap, TooDense
from fusion_daemon.chain.ranges import RangeSize, first_size


def test_exact_range_is_taken_as_it_is() -> None:
    assert first_size(1_000, 500).after_refusal(100, 149, ExactRange(100, 119)).blocks == 20


@pytest.mark.parametrize("suggested", [(100, 149), (119, 100), (90, 95), (100, 200), (101, 110), (200, 210)])
def test_a_range_that_is_no_progress_is_halved(suggested: tuple[int, int]) -> None:
    """Unchanged, inverted, below, larger, beginning later, above."""
    assert first_size(1_000, 500).after_refusal(100, 149, ExactRange(*suggested)).blocks == 25


def test_a_named_cap_stays() -> None:
    size = known(2_000).after_refusal(1, 2_000, StructuralCap(800))
    assert (size.blocks, size.cap) == (800, 800)
    for _ in range(1_000):
        size = size.after_answer(size.blocks, 0)
    assert size.blocks == 800


def test_a_cap_that_is_not_kept_is_halved() -> None:
    """It says that it answers 800 blocks, and refuses 800."""
    size = known(800).after_refusal(1, 800, StructuralCap(800))
    assert (size.blocks, size.cap) == (400, 800)


def test_an_unnamed_cap_is_found_and_kept() -> None:
    """The provider never answers more than 10 blocks, and does not say so."""
    size, refused = known(2_000), []
    for step in range(60):
        if size.blocks > 10:
            refused.append(step)
            size = size.after_refusal(1, size.blocks, StructuralCap(0))
        else:
            size = size.after_answer(size.blocks, 0)
    assert size.blocks == 10
    assert max(refused) < 30


def test_an_unnamed_cap_that_was_lifted_is_found_out() -> None:
    size = known(64).after_refusal(1, 64, StructuralCap(0))
    for _ in range(2_000):
        size = size.after_answer(size.blocks, 0)
    assert size.blocks == 64


def test_density_comes_back_little_by_little() -> None:
    size = known(64).after_refusal(1, 64, TooDense())
    assert (size.blocks, size.cap, size.density) == (32, 64, 250)
    assert size.after_answer(32, 0).density == 281
    for _ in range(9):
        size = size.after_answer(size.blocks, 0)
    assert (size.blocks, size.density) == (64, 500)


def test_silence_is_answered_with_smaller_ranges() -> None:
    size = known(8)
    for expected in (4, 2, 1, 1):
        size = size.after_silence(size.blocks)
        assert size.blocks == expected


def known(blocks: int) -> RangeSize:
    """An endpoint that answers so many blocks, of which nothing else is known."""
    return RangeSize(blocks, blocks, blocks, 500, 500)


refusals = st.one_of(
    st.builds(ExactRange, st.integers(0, 4_000), st.integers(0, 4_000)),
    st.builds(StructuralCap, st.integers(0, 10_000)),
    st.just(TooDense()),
)


@given(st.integers(2, 5_000), st.integers(0, 3_000), st.data())
def test_a_refused_range_always_shrinks(cap: int, first: int, data: st.DataObject) -> None:
    """Whatever a provider says, the next range is smaller, down to one block."""
    size = known(cap)
    while size.blocks > 1:
        smaller = size.after_refusal(first, first + size.blocks - 1, data.draw(refusals))
        assert 1 <= smaller.blocks < size.blocks
        assert smaller.blocks <= smaller.ceiling <= smaller.cap
        size = smaller


@given(st.integers(1, 5_000), st.integers(1, 5_000), st.integers(0, 100_000))
def test_growth_is_bounded(cap: int, blocks: int, logs: int) -> None:
    blocks = min(blocks, cap)
    size = RangeSize(blocks, cap, cap, 500, 500).after_answer(blocks, logs)
    assert 1 <= size.blocks <= min(cap, 2 * blocks)


events = st.one_of(refusals, st.integers(0, 2_000), st.none())
"""What happens to a range: it is refused, answered with so many logs, or not answered at all."""


@given(st.integers(0, 5_000), st.integers(0, 300), st.integers(1, 64), st.lists(events, max_size=300))
def test_a_walk_covers_what_was_asked_once_and_in_order(
    first: int, blocks: int, longest: int, happenings: list[Refusal | int | None]
) -> None:
    """Any sequence of events, and answers after it. The listener's rule: a range that was not answered is asked again
    from the same block, with what the size has become; a single block is never refused, since its receipts are read.
    """
    size, until, after = first_size(longest, 500), first + blocks, first
    seen: list[int] = []
    cap, steps = longest, 0
    while after <= until:
        last = size.last(after, until)
        happening = happenings[steps] if steps < len(happenings) else 0
        steps += 1
        assert 1 <= last - after + 1 <= cap
        if happening is None:
            size = size.after_silence(last - after + 1)
        elif isinstance(happening, int) or last == after:
            size = size.after_answer(last - after + 1, happening if isinstance(happening, int) else 1)
            seen += range(after, last + 1)
            after = last + 1
        else:
            size = size.after_refusal(after, last, happening)
            if isinstance(happening, StructuralCap) and happening.blocks:
                cap = min(cap, happening.blocks)
        assert 1 <= size.blocks <= size.ceiling <= size.cap == cap
    assert seen == list(range(first, until + 1))
    assert steps <= len(happenings) + blocks + 1


@given(st.integers(1, 400))
def test_size_settles_where_answers_hold_the_target(density: int) -> None:
    """A steady density of logs per block: after a while every answer holds between half and the whole
    target.
    """
    size = first_size(2_000, 500)
    for _ in range(20):
        size = size.after_answer(size.blocks, size.blocks * density)
    assert 250 <= size.blocks * density <= 500
