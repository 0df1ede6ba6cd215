"""Rule: an implausible move is published at once, as suspect between both figures, and believed soon after."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.aggregation import Figure
from fusion_daemon.oracle.plausibility import CONFIRMED_AFTER, WITHIN, judged
from fusion_daemon.oracle.reading import Reading
from fusion_daemon.oracle.settings import FeedSettings, StaticSource

T0 = 1_800_000_000
ETH = AssetId("ETH")
FEED = FeedSettings(ETH, (StaticSource(1),), deviation_bps=50, heartbeat=60.0, spread_bps=200, jump_bps=3_000)
usds = st.integers(1, 10**30)


def figure(usd: int, at: float = T0, *, observed_at: int = T0, sources: int = 1) -> Figure:
    """LIVE, read at `at`."""
    used = tuple(Reading(f"s{each}", "x", usd, observed_at, at, 3660.0, 1, "") for each in range(sources))
    return Figure(usd, usd, usd, PriceStatus.LIVE, observed_at, used, ())


def published(figure: Figure, at: float) -> Price:
    return Price(
        1, ETH, figure.usd, figure.usd_low, figure.usd_high, figure.status, figure.observed_at, int(at)
    )


BEFORE = published(figure(2_000), T0)
DOUBTED = published(judged(FEED, figure(1_000, T0 + 2, observed_at=T0 + 1), BEFORE, T0 + 2), T0 + 2)


@pytest.mark.parametrize(("usd", "live"), [(1_400, True), (1_399, False), (2_600, True), (2_601, False), (1, False)])
def test_a_move_beyond_the_limit_is_suspect_between_both_figures(usd: int, live: bool) -> None:
    found = judged(FEED, figure(usd), BEFORE, T0 + 2)
    if live:
        assert found == figure(usd)
    else:
        assert found.status is PriceStatus.SUSPECT
        assert (found.usd, found.usd_low, found.usd_high) == (usd, min(usd, 2_000), max(usd, 2_000))


def test_a_second_source_that_tells_it_too_makes_it_live() -> None:
    assert judged(FEED, figure(1_000, sources=2), BEFORE, T0 + 2).status is PriceStatus.LIVE
    assert judged(FEED, figure(1_000, sources=2), DOUBTED, T0 + 4).status is PriceStatus.LIVE


def test_a_later_round_makes_it_live() -> None:
    again = figure(1_010, T0 + 4, observed_at=T0 + 3)
    assert judged(FEED, again, DOUBTED, T0 + 4) == again


@pytest.mark.parametrize(("later", "status"), [(29.9, PriceStatus.SUSPECT), (30.0, PriceStatus.LIVE)])
def test_standing_by_it_makes_it_live(later: float, status: PriceStatus) -> None:
    at = DOUBTED.published_at + later
    assert judged(FEED, figure(1_000, at, observed_at=T0 + 1), DOUBTED, at).status is status


def test_what_was_not_read_again_has_not_been_stood_by() -> None:
    at = DOUBTED.published_at + CONFIRMED_AFTER
    unread = figure(1_000, at - 2, observed_at=T0 + 1)
    assert judged(FEED, unread, DOUBTED, at).status is PriceStatus.SUSPECT


def test_back_where_it_was_is_live_at_once() -> None:
    assert judged(FEED, figure(1_990, T0 + 4, observed_at=T0 + 3), DOUBTED, T0 + 4).status is PriceStatus.LIVE


def test_another_implausible_move_is_a_doubt_of_its_own() -> None:
    # 2,000 | 1,000 doubted | 1, by a later round: nothing confirms that one
    found = judged(FEED, figure(1, T0 + 4, observed_at=T0 + 3), DOUBTED, T0 + 4)
    assert (found.status, found.usd, found.usd_low, found.usd_high) == (PriceStatus.SUSPECT, 1, 1, 2_000)


def test_after_a_long_pause_any_move_may_have_happened() -> None:
    assert judged(FEED, figure(1_000), BEFORE, T0 + WITHIN).status is PriceStatus.SUSPECT
    assert judged(FEED, figure(1_000), BEFORE, T0 + WITHIN + 1).status is PriceStatus.LIVE


def test_the_first_price_and_what_is_in_doubt_already_stay_as_they_are() -> None:
    assert judged(FEED, figure(1), None, T0) == figure(1)
    for status in (PriceStatus.STALE, PriceStatus.SUSPECT):
        other = replace(figure(1), status=status)
        assert judged(FEED, other, BEFORE, T0) == other


def test_sources_that_disagreed_leave_no_doubt_of_this_kind() -> None:
    # 1,000 and a frozen 2,000 were published as 1,500 between them; then the frozen one was dark
    disagreed = Price(1, ETH, 1_500, 1_000, 2_000, PriceStatus.SUSPECT, T0, T0)
    found = judged(FEED, figure(1_100), disagreed, T0 + 2)
    assert found.status is PriceStatus.LIVE


@given(st.lists(st.tuples(usds, st.booleans()), min_size=1, max_size=12))
def test_no_doubt_outlives_its_half_minute(path: list[tuple[int, bool]]) -> None:
    """Whatever a feed says, by a new round or by the same: once it stays with it, it is believed."""
    last: Price | None = None
    at, observed_at = float(T0), T0
    for usd, new_round in path:
        at, observed_at = at + 2, observed_at + (2 if new_round else 0)
        found = judged(FEED, figure(usd, at, observed_at=observed_at), last, at)
        assert found.usd == usd
        assert found.usd_low <= usd <= found.usd_high
        last = published(found, at)
    assert last is not None
    at += CONFIRMED_AFTER
    settled = judged(FEED, figure(last.usd, at, observed_at=observed_at), last, at)
    assert settled == figure(last.usd, at, observed_at=observed_at)
