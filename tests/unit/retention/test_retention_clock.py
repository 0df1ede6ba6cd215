"""Rule: after a jump of the wall clock, whichever way, nothing is dropped for a day by the monotonic clock."""

from __future__ import annotations

import pytest

from actors.retention_keeper import HELD, JUMP, ClockWatch
from fusion_daemon.runtime import ManualClock

HOURS = 3_600.0


@pytest.mark.parametrize("jump", [-5 * HOURS, 5 * HOURS, 400 * 24 * HOURS, JUMP + 1])
def test_a_jump_holds_for_a_day(jump: float) -> None:
    # still, jump, held … held until a day has passed, then the new time is taken for right
    clock = ManualClock(1_800_000_000.0)
    watch = ClockWatch(clock)
    clock.advance(HOURS)
    assert not watch.held()
    clock.set_wall(clock.now() + jump)
    assert watch.held()
    clock.advance(HELD - 1)
    assert watch.held()
    clock.advance(1)
    assert not watch.held()


def test_a_clock_that_is_set_right_again_holds_for_a_day_from_then() -> None:
    clock = ManualClock(1_800_000_000.0)
    watch = ClockWatch(clock)
    clock.set_wall(clock.now() + 9 * HOURS)
    assert watch.held()
    clock.advance(HELD - HOURS)
    clock.set_wall(clock.now() - 9 * HOURS)
    assert watch.held()
    clock.advance(2 * HOURS)
    assert watch.held()


def test_small_corrections_are_no_jumps() -> None:
    # NTP's steps: each is small, however far they lead in all
    clock = ManualClock(1_800_000_000.0)
    watch = ClockWatch(clock)
    for _ in range(100):
        clock.advance(600)
        clock.set_wall(clock.now() + JUMP)
        assert not watch.held()
