"""Rule: a truth is shown as changed only after every look has found it so for the patience of the change."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.runtime import Patience, Truth

FIVE = Patience(5.0, 3.0)
TIMES = st.floats(0.0, 4.0)
LOOKS = st.lists(st.tuples(TIMES, st.booleans()), max_size=40)


def course(start: bool, looks: list[tuple[float, bool]], patience: Patience) -> list[tuple[float, bool, Truth]]:
    """Time, observation and truth at every look."""
    now, truth = 100.0, Truth.begin(start, 100.0)
    found = [(now, start, truth)]
    for pause, good in looks:
        now += pause
        truth = truth.looked(good, now, patience)
        found.append((now, good, truth))
    return found


def test_the_first_look_is_believed_at_once() -> None:
    assert Truth.begin(False, 7.0).shown is False
    assert Truth.begin(True, 7.0).shown is True


def test_a_blip_is_not_shown() -> None:
    seen = course(True, [(1.0, False), (4.9, False), (0.05, True), (1.0, False)], FIVE)
    assert [truth.shown for _, _, truth in seen] == [True] * 5


def test_what_lasts_is_shown_with_the_time_of_the_change() -> None:
    *_, (now, _, truth) = course(True, [(1.0, False), (5.0, False)], FIVE)
    assert (truth.shown, truth.since, truth.observed_since) == (False, now, now - 5.0)


def test_a_recovery_has_to_last() -> None:
    fallen = Truth.begin(True, 0.0).looked(False, 0.0, Patience(0.0, 0.0))
    back = fallen.looked(True, 1.0, FIVE)
    relapsed = back.looked(False, 3.9, FIVE)
    assert not relapsed.looked(True, 4.0, FIVE).shown
    assert not relapsed.looked(True, 4.0, FIVE).looked(True, 6.9, FIVE).shown
    assert relapsed.looked(True, 4.0, FIVE).looked(True, 7.0, FIVE).shown


def test_the_first_rise_is_a_start() -> None:
    assert Truth.begin(False, 0.0).looked(False, 1.0, FIVE).looked(True, 1.5, FIVE).shown


def test_without_patience_it_follows_every_look() -> None:
    seen = course(True, [(0.0, False), (0.0, True), (1.0, False)], Patience(0.0, 0.0))
    assert all(truth.shown is good for _, good, truth in seen)


@given(st.booleans(), LOOKS)
def test_two_changes_lie_at_least_the_patience_of_the_second_apart(
    start: bool, looks: list[tuple[float, bool]]
) -> None:
    seen = course(start, looks, FIVE)
    changes = [(now, truth.shown) for (_, _, before), (now, _, truth) in pairwise(seen) if before.shown != truth.shown]
    for (first, _), (second, shown) in pairwise(changes):
        assert second - first >= (FIVE.rise if shown else FIVE.fall)


@given(st.booleans(), LOOKS)
def test_a_change_is_shown_exactly_when_every_look_agreed_for_long_enough(
    start: bool, looks: list[tuple[float, bool]]
) -> None:
    """Against the definition: the run of equal looks up to now is as old as the patience."""
    seen = course(start, looks, FIVE)
    shown = risen = start
    for place, (now, good, truth) in enumerate(seen[1:], 1):
        run = place
        while run and seen[run - 1][1] is good:
            run -= 1
        rise = FIVE.rise if risen else 0.0
        if good is not shown and now - seen[run][0] >= (rise if good else FIVE.fall):
            shown = good
            risen = True
        assert truth.shown is shown


@pytest.mark.parametrize("patience", [(-1.0, 0.0), (0.0, -0.1)])
def test_patience_is_not_negative(patience: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="0 s or more"):
        Patience(*patience)
