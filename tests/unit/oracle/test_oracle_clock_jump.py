"""Rule: after a jump of the wall clock no price passes for fresh that may not be, and a move is published at once.

back     feeds lie in the future: rejected, the last figure goes stale; a static price stays live
forward  readings are too old: stale at once; the next reading is live again
"""

from __future__ import annotations

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.feed_book import FeedBook, Publication
from fusion_daemon.oracle.publication import Reason
from fusion_daemon.oracle.reading import Reading, Rejection
from fusion_daemon.oracle.settings import ChainlinkSource, FeedSettings, OracleSettings, StaticSource

T0 = 1_800_000_000
HOURS = 3_600
ETH, USDC = AssetId("ETH"), AssetId("USDC")
FEED = ChainlinkSource(ChainId(1), Address(b"\x0a" * 20), 8, "ETH / USD", 3_600.0, 60.0)
SETTINGS = OracleSettings(
    (FeedSettings(ETH, (FEED,), 50, 60.0, 200), FeedSettings(USDC, (StaticSource(10**8),), 50, 60.0, 200)),
    poll_interval=2.0,
)


def reading(usd: int, at: int) -> Reading:
    return Reading(FEED.name, FEED.independence, usd, at, float(at), FEED.heartbeat + FEED.slack, 1, "")


def publish(book: FeedBook, now: float, head: int) -> dict[AssetId, Publication]:
    found = book.due(head, now)
    book.published(found)
    return {each.price.asset: each for each in found}


def started() -> FeedBook:
    book = FeedBook(SETTINGS, ())
    book.record(reading(2_000, T0))
    publish(book, T0, 0)
    return book


def test_set_forward_what_was_fresh_is_stale_until_the_next_reading() -> None:
    book = started()
    (stale,) = [each for each in publish(book, T0 + 5 * HOURS, 2).values() if each.price.asset == ETH]
    assert (stale.price.status, stale.reason) == (PriceStatus.STALE, Reason.STATUS)
    book.record(reading(2_000, T0 + 5 * HOURS))
    assert publish(book, T0 + 5 * HOURS, 4)[ETH].price.status is PriceStatus.LIVE


def test_set_back_a_feed_in_the_future_is_not_believed_and_the_last_figure_goes_stale() -> None:
    # the chain's clock is right: its rounds lie five hours ahead, which read_round rejects
    book = started()
    book.record(Rejection(FEED.name, "updatedAt lies 18000 s in the future, 60 s are tolerated"))
    published = publish(book, T0 - 5 * HOURS, 2)
    assert published[ETH].price.status is PriceStatus.STALE
    assert published[ETH].price.published_at == T0 - 5 * HOURS, "the wrong clock's times do not stay"


def test_set_back_a_figure_is_published_anew_at_once_and_its_moves_as_ever() -> None:
    book = FeedBook(SETTINGS, [Price(1, ETH, 2_000, 2_000, 2_000, PriceStatus.LIVE, T0, T0)])
    book.record(reading(2_000, T0 - 5 * HOURS))
    again = publish(book, T0 - 5 * HOURS, 1)[ETH]
    assert (again.price.usd, again.reason) == (2_000, Reason.HEARTBEAT)
    book.record(reading(1_500, T0 - 5 * HOURS))
    moved = publish(book, T0 - 5 * HOURS, 2)[ETH]
    assert (moved.price.usd, moved.reason) == (1_500, Reason.DEVIATION)
