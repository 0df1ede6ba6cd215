"""Rule: whatever the arrivals, no window lets more through than burst + rate x its length + 1."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.http.pace import Pace

RATE, BURST = 10.0, 5


@given(st.lists(st.floats(0.0, 2.0), min_size=1, max_size=80))
def test_no_window_is_crowded(gaps: list[float]) -> None:
    pace, now, admitted = Pace(RATE, BURST), 100.0, []
    for gap in gaps:
        now += gap
        admitted.append(now + pace.wait(now))
    assert admitted == sorted(admitted)
    for first, start in enumerate(admitted):
        for count, end in enumerate(admitted[first:], 1):
            assert count <= BURST + RATE * (end - start) + 1 + 1e-6


def test_a_burst_passes_at_once_and_the_next_waits() -> None:
    pace = Pace(RATE, BURST)
    assert [pace.wait(7.0) for _ in range(BURST + 1)] == [0.0] * (BURST + 1)
    assert pace.wait(7.0) > 0.0
    assert pace.wait(60.0) == 0.0
