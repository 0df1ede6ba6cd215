"""When a figure is published, and that the stream never drifts further from the sources than declared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.aggregation import Figure
from fusion_daemon.oracle.publication import Reason, moved, reason_to_publish
from fusion_daemon.oracle.settings import FeedSettings, StaticSource

ETH = AssetId("ETH")
FEED = FeedSettings(ETH, (StaticSource(1),), deviation_bps=50, heartbeat=60.0, spread_bps=200)
T0 = 1_800_000_000

usd = st.integers(1, 10**30)


def figure(usd: int, status: PriceStatus = PriceStatus.LIVE, low: int = 0, high: int = 0) -> Figure:
    return Figure(usd, low or usd, high or usd, status, T0, (), ())


def published(usd: int, status: PriceStatus = PriceStatus.LIVE, low: int = 0, high: int = 0) -> Price:
    return Price(1, ETH, usd, low or usd, high or usd, status, T0, T0)


def test_the_first_figure_is_published() -> None:
    assert reason_to_publish(FEED, figure(1), None, T0) is Reason.FIRST


@pytest.mark.parametrize(
    ("after", "expected"),
    [(10_049, None), (10_050, Reason.DEVIATION), (9_951, None), (9_950, Reason.DEVIATION), (10_000, None)],
)
def test_a_move_of_exactly_the_threshold_counts(after: int, expected: Reason | None) -> None:
    assert reason_to_publish(FEED, figure(after), published(10_000), T0) is expected


def test_the_heartbeat_is_kept() -> None:
    beat = Reason.HEARTBEAT
    for later, expected in ((0, None), (59, None), (60, beat), (61, beat), (-60, None), (-61, beat)):
        assert reason_to_publish(FEED, figure(10_000), published(10_000), T0 + later) is expected


def test_a_change_of_status_is_published_at_once() -> None:
    for status in (PriceStatus.STALE, PriceStatus.SUSPECT):
        assert reason_to_publish(FEED, figure(10_000, status), published(10_000), T0) is Reason.STATUS
        assert reason_to_publish(FEED, figure(10_000), published(10_000, status), T0) is Reason.STATUS


def test_a_suspect_interval_that_moves_is_published_though_its_median_stands() -> None:
    last = published(10_000, PriceStatus.SUSPECT, low=9_000, high=11_000)
    wider = figure(10_000, PriceStatus.SUSPECT, low=8_000, high=11_000)
    assert reason_to_publish(FEED, wider, last, T0) is Reason.DEVIATION


@given(usd, st.integers(0, 100_000))
def test_standing_still_is_no_move_whatever_the_threshold(figure: int, deviation: int) -> None:
    assert not moved(figure, figure, deviation)


@given(usd, usd, st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_smaller_threshold_publishes_more(before: int, after: int, a: int, b: int) -> None:
    small, great = sorted((a, b))
    assert moved(before, after, small) or not moved(before, after, great)


@given(st.lists(usd, min_size=1, max_size=30), st.integers(0, 500))
def test_consumers_are_never_further_off_than_the_deviation(path: list[int], deviation: int) -> None:
    feed = FeedSettings(ETH, FEED.sources, deviation, heartbeat=10**9, spread_bps=200)
    last: Price | None = None
    for at in path:
        if reason_to_publish(feed, figure(at), last, T0) is not None:
            last = published(at)
        assert last is not None
        assert last.usd == at or abs(at - last.usd) * 10_000 < deviation * last.usd
