"""The laws of the median, and what makes a figure live, suspect or stale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.aggregation import Figure, aggregate, consensus, median, staleness
from fusion_daemon.oracle.reading import Outcome, Reading, Rejection
from fusion_daemon.oracle.settings import FeedSettings, Middle, StaticSource

NOW = 1_800_000_000.0
ETH = AssetId("ETH")
FEED = FeedSettings(ETH, (StaticSource(1),), deviation_bps=50, heartbeat=60.0, spread_bps=200)
DARK = 30.0

usd = st.integers(1, 10**30)
middles = st.sampled_from(Middle)


def reading(
    usd: int, source: str = "a", independence: str | None = None, age: float = 0.0, silent: float = 0.0
) -> Reading:
    observed = int(NOW - age)
    return Reading(source, independence or source, usd, observed, NOW - silent, 3660.0, None, "")


def published(usd: int, age: int = 10, low: int | None = None, high: int | None = None) -> Price:
    at = int(NOW) - age
    return Price(5, ETH, usd, low or usd, high or usd, PriceStatus.LIVE, at, at)


def figure(*outcomes: Outcome, last: Price | None = None) -> Figure:
    found = aggregate(FEED, outcomes, last, NOW, DARK)
    assert found is not None
    return found


many = st.lists(usd, min_size=1, max_size=9)


@given(many, middles)
def test_the_median_lies_within_and_splits_the_figures(figures: list[int], middle: Middle) -> None:
    found = median(figures, middle)
    assert min(figures) <= found <= max(figures)
    assert 2 * sum(each < found for each in figures) <= len(figures)
    assert 2 * sum(each > found for each in figures) <= len(figures)


@given(many, middles, st.randoms(use_true_random=False))
def test_order_does_not_matter(figures: list[int], middle: Middle, random: object) -> None:
    assert median(figures, middle) == median(sorted(figures, reverse=True), middle)


@given(many)
def test_lower_mid_and_upper_stand_in_that_order_and_agree_on_odd_counts(figures: list[int]) -> None:
    lower, mid, upper = (median(figures, middle) for middle in (Middle.LOWER, Middle.MID, Middle.UPPER))
    assert lower <= mid <= upper
    assert lower in figures
    assert upper in figures
    if len(figures) % 2:
        assert lower == mid == upper


@given(many, middles, usd)
def test_one_liar_cannot_pass_the_honest(figures: list[int], middle: Middle, lie: int) -> None:
    # honest: h1 <= ... <= hn (n >= 2)   liar: anywhere
    if len(figures) >= 2:
        assert min(figures) <= median([*figures, lie], middle) <= max(figures)


@given(usd, usd, usd, st.integers(1, 20))
def test_a_class_has_one_vote_however_many_its_sources(a: int, b: int, c: int, copies: int) -> None:
    one = [reading(a, "x1", "x"), reading(b, "y1", "y"), reading(c, "z1", "z")]
    crowd = [*one, *(reading(a, f"x{n}", "x") for n in range(2, copies + 2))]
    assert consensus(one, Middle.MID) == consensus(crowd, Middle.MID)


@given(st.lists(usd, min_size=1, max_size=6))
def test_a_figure_lies_in_its_interval_and_in_that_of_its_readings(figures: list[int]) -> None:
    found = figure(*(reading(each, f"s{at}") for at, each in enumerate(figures)))
    assert found.usd_low <= found.usd <= found.usd_high
    assert min(figures) <= found.usd_low
    assert found.usd_high <= max(figures)
    assert len(found.used) == len(figures)


def test_sources_that_agree_make_a_live_figure_without_an_interval() -> None:
    found = figure(reading(10_000, "a", age=50), reading(10_100, "b", age=20))
    assert found.status is PriceStatus.LIVE
    assert found.usd == found.usd_low == found.usd_high == 10_050
    assert found.observed_at == int(NOW) - 50, "as old as the oldest reading it rests on"


def test_spread_makes_suspect_only_beyond_the_limit() -> None:
    # 200 bps of 10_000 are 200
    assert figure(reading(9_900, "a"), reading(10_100, "b")).status is PriceStatus.LIVE
    found = figure(reading(9_899, "a"), reading(10_101, "b"))
    assert found.status is PriceStatus.SUSPECT
    assert (found.usd_low, found.usd, found.usd_high) == (9_899, 10_000, 10_101)


def test_an_outlier_makes_suspect_though_the_median_ignores_it() -> None:
    found = figure(reading(10_000, "a"), reading(10_010, "b"), reading(65_000, "c"))
    assert found.status is PriceStatus.SUSPECT
    assert (found.usd_low, found.usd, found.usd_high) == (10_000, 10_010, 65_000)


def test_disagreement_inside_a_class_counts_too() -> None:
    found = figure(reading(10_000, "a1", "a"), reading(12_000, "a2", "a"))
    assert found.status is PriceStatus.SUSPECT


def test_age_is_allowed_up_to_heartbeat_and_slack() -> None:
    assert staleness(reading(1, age=3660), NOW, DARK) is None
    assert staleness(reading(1, age=3661), NOW, DARK) == "3661 s old, 3660 s are allowed"


def test_a_silent_source_counts_until_it_is_dark() -> None:
    assert staleness(reading(1, silent=30), NOW, DARK) is None
    assert staleness(reading(1, silent=31), NOW, DARK) == "its source has not answered for 31 s"


def test_an_old_reading_is_left_out_and_named_while_a_fresh_one_carries() -> None:
    found = figure(reading(10_000, "fresh"), reading(50, "old", age=4000))
    assert (found.status, found.usd) == (PriceStatus.LIVE, 10_000)
    assert [each.source for each in found.used] == ["fresh"]
    assert found.rejected == (Rejection("old", "4000 s old, 3660 s are allowed"),)


def test_without_a_fresh_reading_the_last_good_figure_stands_with_its_own_time() -> None:
    found = figure(Rejection("a", "answer 0 is not a positive price"), last=published(10_000, age=500))
    assert (found.status, found.usd, found.observed_at) == (PriceStatus.STALE, 10_000, int(NOW) - 500)
    assert found.used == ()
    assert found.rejected == (Rejection("a", "answer 0 is not a positive price"),)


def test_after_a_long_silence_of_our_own_the_later_observation_is_the_last_good_one() -> None:
    # published: 10_000 three hours ago      the feed stopped at 7_000 two hours ago
    found = figure(reading(7_000, "a", age=7200), last=published(10_000, age=10_800))
    assert (found.status, found.usd, found.observed_at) == (PriceStatus.STALE, 7_000, int(NOW) - 7200)
    assert (found.usd_low, found.usd_high) == (7_000, 10_000), "the interval holds both"


def test_a_stale_figure_stays_as_it_is() -> None:
    first = figure(Rejection("a", "down"), last=published(10_000, age=500, low=9_000, high=11_000))
    again = figure(
        Rejection("a", "down"), last=Price(6, ETH, first.usd, first.usd_low, first.usd_high, first.status,
                                           first.observed_at, int(NOW)),
    )
    assert again == first


def test_an_old_first_reading_is_better_than_none_but_not_fresh() -> None:
    assert figure(reading(10_000, "a", age=9999)).status is PriceStatus.STALE


@pytest.mark.parametrize("outcomes", [(), (Rejection("a", "down"),)])
def test_nothing_known_makes_no_figure(outcomes: tuple[Outcome, ...]) -> None:
    assert aggregate(FEED, outcomes, None, NOW, DARK) is None
