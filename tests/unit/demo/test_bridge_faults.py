"""Faults strike by seed and message alone, and what vanished from the source is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.demo.bridge.faults import Faults, Held, Key, Memory
from fusion_daemon.domain.identifiers import Hash32

keys = st.builds(Key, st.binary(min_size=32, max_size=32).map(Hash32), st.integers(0, 100))
ONE, TWO = Key(Hash32(b"\1" * 32), 0), Key(Hash32(b"\2" * 32), 3)


@given(keys, st.integers(), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_probability_strikes_all_that_a_lower_one_does(key: Key, seed: int, p: float, q: float) -> None:
    faults = Faults(seed)
    assert not faults.strikes("drop", 0.0, key)
    assert faults.strikes("drop", 1.0, key)
    assert faults.strikes("drop", max(p, q), key) or not faults.strikes("drop", min(p, q), key)


@given(st.lists(keys, unique=True), st.integers())
def test_reordering_loses_and_adds_nothing_and_does_not_depend_on_the_order(of: list[Key], seed: int) -> None:
    faults = Faults(seed, reorder=True)
    items = [(key, key) for key in of]
    assert sorted(faults.ordered(items)) == sorted(items)
    assert len(of) == 2 or faults.ordered(items) == faults.ordered(items[::-1])


def test_what_vanished_is_forgotten() -> None:
    memory, faults = Memory(), Faults(drop=1.0)
    memory.look([ONE, TWO])
    memory.fail(ONE)
    memory.holds(TWO, faults)
    assert memory.held == {ONE: Held.FAILED, TWO: Held.DROPPED}
    memory.resume(TWO)
    memory.look([])
    memory.look([ONE, TWO])
    memory.holds(ONE, Faults())
    memory.holds(TWO, faults)
    assert memory.held == {TWO: Held.DROPPED}


def test_only_what_is_held_can_be_resumed() -> None:
    memory = Memory()
    memory.look([ONE])
    with pytest.raises(KeyError):
        memory.resume(ONE)
