"""Ages of a stream's items: exact while few are ahead, near enough in a backlog, and never too short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.runtime.ages import MOST, Ages


def test_each_item_has_the_time_of_its_announcement() -> None:
    ages = Ages()
    ages.announced(3, 10.0, passed=0)
    ages.announced(5, 20.0, passed=0)
    assert [ages.since(number) for number in (1, 3, 4, 5, 6)] == [10.0, 10.0, 20.0, 20.0, None]


def test_a_backlog_is_thinned_and_stays_near_enough() -> None:
    # 100,000 announcements, one a second, and nobody takes anything.
    ages, many = Ages(), 100_000
    for number in range(1, many + 1):
        ages.announced(number, float(number), passed=0)
    for number in range(1, many + 1, 997):
        since = ages.since(number)
        assert since is not None
        assert 0 <= number - since <= many * 2 / (MOST // 2)
    assert len(ages._marks[0]) <= MOST


def test_whoever_has_caught_up_has_exact_ages_again() -> None:
    ages = Ages()
    for number in range(1, 5_001):
        ages.announced(number, float(number), passed=0)
    for number in (5_001, 5_002):
        ages.announced(number, float(number), passed=5_000)
    assert (ages.since(5_001), ages.since(5_002)) == (5_001.0, 5_002.0)


def test_what_everybody_took_makes_room_before_anything_is_thinned() -> None:
    ages = Ages()
    for number in range(1, 10 * MOST):
        ages.announced(number, float(number), passed=max(0, number - 100))
    assert [ages.since(number) for number in (10 * MOST - 90, 10 * MOST - 1)] == [10.0 * MOST - 90, 10.0 * MOST - 1]


@given(steps=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), max_size=40), repeat=st.integers(1, 100))
def test_an_age_is_never_too_short(steps: list[tuple[int, int]], repeat: int) -> None:
    """Each step announces some items and takes some of those that are ahead."""
    ages, announced_at, head, passed = Ages(), dict[int, float](), 0, 0
    for moment, (count, taken) in enumerate(steps * repeat):
        announced_at.update(dict.fromkeys(range(head + 1, head + count + 1), float(moment)))
        head += count
        ages.announced(head, float(moment), passed)
        passed = min(head, passed + taken)
        if passed < head:
            since = ages.since(passed + 1)
            assert since is not None
            assert since <= announced_at[passed + 1]
