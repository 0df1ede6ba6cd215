"""The rate of calls finds what a provider allows, and never freezes. Time is virtual."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.request_rate import RequestRate, first_rate
from fusion_daemon.chain.settings import RateBounds

BOUNDS = RateBounds(1.0, 100_000.0)


@dataclass
class Provider:
    """A bucket of one second's calls; what does not fit is refused whole."""

    limit: float
    tokens: float = 0.0
    at: float = 0.0

    def takes(self, calls: int, now: float) -> bool:
        self.tokens = min(self.limit, self.tokens + (now - self.at) * self.limit)
        self.at = now
        if calls > self.tokens:
            return False
        self.tokens -= calls
        return True


@dataclass
class Course:
    took: int = 0
    refused: int = 0
    longest_wait: float = 0.0


def ask_for(seconds: float, rate: RequestRate, provider: Provider, calls: int) -> tuple[RequestRate, Course]:
    """Batch after batch, each with 20 ms of its way."""
    course, now = Course(), 0.0
    while now < seconds:
        rate, wait = rate.admitted(calls, now)
        sent = now + wait
        now = sent + 0.02
        course.longest_wait = max(course.longest_wait, wait)
        if provider.takes(calls, sent):
            course.took += calls
            rate = rate.answered(now)
        else:
            course.refused += 1
            rate = rate.limited(sent, now)
        assert BOUNDS.lowest <= rate.rate <= BOUNDS.highest
    return rate, course


@pytest.mark.parametrize(("limit", "calls"), [(5, 1), (25, 1), (25, 10), (300, 3), (300, 100), (2_000, 40)])
def test_what_the_provider_allows_is_used_with_few_refusals(limit: float, calls: int) -> None:
    """Of ten minutes, at least two thirds of the allowed, and a refusal less than once in two seconds."""
    _, course = ask_for(600.0, first_rate(BOUNDS), Provider(limit), calls)
    assert course.took >= 600 * min(limit, calls / 0.02) * 0.66
    assert course.refused < 300


def test_a_refusal_in_an_idle_moment_is_soon_forgotten() -> None:
    """A provider that allows 1,000 calls a second refused one of two: within two minutes its allowance is used."""
    rate, _ = first_rate(BOUNDS).admitted(2, 0.0)
    rate = rate.limited(0.0, 0.1)
    assert rate.rate == BOUNDS.lowest
    for second in range(120):
        rate = rate.answered(float(second))
    assert rate.rate >= 1_000


def test_nothing_waits_before_the_first_refusal() -> None:
    rate = first_rate(BOUNDS)
    for _ in range(1_000):
        rate, wait = rate.admitted(40, 10.0)
        assert wait == 0.0


def test_who_waits_as_he_was_told_is_not_slowed_down_for_it() -> None:
    """Three hundred calls, a refusal, a second of waiting, a refusal of three, and so on: the first says how much is
    too much, the others little."""
    rate, now = first_rate(BOUNDS), 10.0
    rate, _ = rate.admitted(300, now)
    for _ in range(3):
        rate = rate.limited(now, now + 0.1)
        now += 1.1
        rate, wait = rate.admitted(3, now)
        now += wait
    assert 40 < rate.rate < 110


def test_what_was_under_way_cuts_once() -> None:
    rate, now = first_rate(BOUNDS), 10.0
    for _ in range(8):
        rate, _ = rate.admitted(100, now)
    cut = rate.limited(now, now + 0.1)
    for late in range(7):
        assert cut.limited(now, now + 0.1 + late / 100) == cut
    assert cut.limited(now + 1.2, now + 1.3).rate < cut.rate


_DEED = st.tuples(st.sampled_from(["ask", "answer", "limit"]), st.integers(1, 300), st.floats(0.0, 30.0))


@given(st.lists(_DEED, max_size=60))
def test_it_never_freezes(deeds: list[tuple[str, int, float]]) -> None:
    """Whatever came before: who waits for what was admitted is admitted, and its price is known and finite."""
    rate, now, owed = first_rate(BOUNDS), 0.0, 0
    for deed, calls, pause in deeds:
        now += pause
        if deed == "ask":
            rate, wait = rate.admitted(calls, now)
            assert wait <= owed / BOUNDS.lowest
            owed += calls
        else:
            rate = rate.answered(now) if deed == "answer" else rate.limited(now, now)
        assert BOUNDS.lowest <= rate.rate <= BOUNDS.highest
        assert rate.headroom(0.1, 0.0) >= 1
    later = max(now, rate.paid)
    _, wait = rate.admitted(1, later)
    assert wait == 0.0


@given(rate=st.floats(1.0, 1_000.0), askers=st.integers(1, 32))
def test_however_many_ask_at_once_none_waits_longer_than_it_was_promised(rate: float, askers: int) -> None:
    """Each takes all the room that is left to it; a call that has no room any more still goes, one at a time."""
    pace = first_rate(RateBounds(1.0, rate))
    pace, _ = pace.admitted(1, 100.0)
    for _ in range(askers):
        room = pace.headroom(15.0, 100.0)
        pace, wait = pace.admitted(room, 100.0)
        assert wait <= 15.0 or room == 1
    assert pace.paid - 100.0 <= 15.0 + (askers + 1) / rate
