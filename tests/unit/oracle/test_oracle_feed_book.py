"""The book: latest wins, refusals hold, silence is not staleness at once, and time never goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.chainlink import FeedMismatch
from fusion_daemon.oracle.feed_book import FeedBook, Publication
from fusion_daemon.oracle.publication import Reason
from fusion_daemon.oracle.reading import Reading, Rejection
from fusion_daemon.oracle.records import append_prices
from fusion_daemon.oracle.settings import ChainlinkSource, FeedSettings, OracleSettings, Source, StaticSource

T0 = 1_800_000_000
ETH, BTC = AssetId("ETH"), AssetId("BTC")


def chainlink(octet: int, chain: int = 1) -> ChainlinkSource:
    return ChainlinkSource(ChainId(chain), Address(bytes([octet]) * 20), 8, "X / USD", 3600.0, 60.0)


A, B = chainlink(0xA), chainlink(0xB, chain=10)


def settings(**sources: tuple[Source, ...]) -> OracleSettings:
    feeds = tuple(FeedSettings(AssetId(asset), each, 50, 60.0, 200) for asset, each in sources.items())
    return OracleSettings(feeds, poll_interval=2.0)


def reading(
    source: ChainlinkSource, usd: int, at: float = T0, *, round_id: int = 1, observed_at: int | None = None
) -> Reading:
    """Read at `at`; observed then too unless told otherwise."""
    observed = int(at) if observed_at is None else observed_at
    return Reading(source.name, source.independence, usd, observed, at, source.heartbeat + source.slack, round_id, "")


def publish(book: FeedBook, now: float, head: int = 0) -> tuple[Publication, ...]:
    found = book.due(head, now)
    book.published(found)
    return found


def test_one_number_for_each_asset_in_a_batch_and_no_gaps() -> None:
    book = FeedBook(settings(ETH=(A,), BTC=(B,)), ())
    book.record(reading(A, 100))
    book.record(reading(B, 200))
    assert [(each.price.seq, each.price.asset, each.price.usd) for each in publish(book, T0, head=7)] == [
        (8, ETH, 100),
        (9, BTC, 200),
    ]
    assert publish(book, T0, head=9) == ()


def test_latest_wins_between_two_batches() -> None:
    # published 100, then 150 and 90 arrive while a commit is under way: only 90 is ever seen
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 100))
    publish(book, T0)
    book.record(reading(A, 150))
    book.record(reading(A, 90))
    assert [each.price.usd for each in publish(book, T0 + 1, head=1)] == [90]


def test_what_was_not_committed_is_decided_anew() -> None:
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 100))
    assert [each.reason for each in book.due(0, T0)] == [Reason.FIRST]
    assert [each.reason for each in book.due(0, T0)] == [Reason.FIRST]


def test_a_restart_does_not_call_stale_what_it_has_not_asked_yet() -> None:
    last = Price(3, ETH, 100, 100, 100, PriceStatus.LIVE, T0 - 30, T0 - 30)
    book = FeedBook(settings(ETH=(A, B)), [last])
    assert book.due(3, T0) == ()
    book.record(reading(A, 100))
    assert book.due(3, T0) == (), "B has not been asked"
    book.record_silence(B.name, "the node is down")
    assert book.due(3, T0) == (), "A carries, nothing has moved"
    assert book.due(3, T0 + 30)[0].reason is Reason.HEARTBEAT


def test_a_silent_source_stands_for_its_last_reading_until_it_is_dark() -> None:
    #  T0 reading   +2 silence  ...  +30 still live   +31 stale
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 100))
    publish(book, T0)
    book.record_silence(A.name, "the node is down")
    assert book.due(1, T0 + 30) == ()
    (stale,) = publish(book, T0 + 31, head=1)
    assert (stale.reason, stale.price.status, stale.price.usd) == (Reason.STATUS, PriceStatus.STALE, 100)
    assert stale.price.observed_at == T0
    book.record(reading(A, 101, T0 + 33))
    (live,) = publish(book, T0 + 33, head=2)
    assert (live.reason, live.price.status, live.price.usd) == (Reason.STATUS, PriceStatus.LIVE, 101)


def test_a_bad_answer_is_not_papered_over_by_an_earlier_good_one() -> None:
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 100))
    publish(book, T0)
    book.record(Rejection(A.name, "answer 0 is not a positive price"))
    (stale,) = publish(book, T0 + 2, head=1)
    assert (stale.price.status, stale.price.usd) == (PriceStatus.STALE, 100)
    assert book.troubles(T0 + 2) == (f"ETH is stale; {A.name}: answer 0 is not a positive price",)


def test_a_lagging_endpoint_does_not_bring_an_older_round_back() -> None:
    #  T0 round 501   +2 round 500 of 25 minutes ago: 501 stands   ...   +31 dark   |   +33 round 502
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 1000, T0, round_id=501, observed_at=T0 - 10))
    publish(book, T0)
    for later in range(2, 31, 2):
        book.record(reading(A, 1100, T0 + later, round_id=500, observed_at=T0 - 1500))
        assert book.due(1, T0 + later) == ()
    assert book.troubles(T0 + 30) == (f"ETH: {A.name} does not answer: it went back to round 500",)
    assert (book.statistics()[0].readings, book.statistics()[0].rejections) == (1, 15)
    (stale,) = publish(book, T0 + 31, head=1)
    assert (stale.price.status, stale.price.usd) == (PriceStatus.STALE, 1000)
    book.record(reading(A, 1001, T0 + 33, round_id=502))
    assert [each.price.usd for each in publish(book, T0 + 33, head=2)] == [1001]


def test_a_source_that_stays_at_an_older_round_is_believed_at_last() -> None:
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 1000, T0, round_id=9, observed_at=T0))
    for later in (2, 1800, 3662):  # 3,660 s after the first of them, a later round would have been due
        book.record(reading(A, 1100, T0 + later, round_id=8, observed_at=T0 - 1))
        assert book.statistics()[0].observed_at == T0
    book.record(reading(A, 1100, T0 + 3663, round_id=8, observed_at=T0 - 1))
    assert book.statistics()[0].observed_at == T0 - 1


@pytest.mark.parametrize(
    ("round_id", "observed_at"), [(6, T0), (6, T0 - 5), (5, T0), (4, T0 + 1), (5, T0 + 1)],
    ids=["next", "next phase, older", "the same", "another feed behind the proxy", "the same, renewed"],
)  # fmt: skip
def test_what_is_not_earlier_by_number_and_time_is_taken(round_id: int, observed_at: int) -> None:
    book = FeedBook(settings(ETH=(A,)), ())
    book.record(reading(A, 1000, T0, round_id=5, observed_at=T0))
    book.record(reading(A, 1001, T0 + 2, round_id=round_id, observed_at=observed_at))
    assert [each.price.usd for each in publish(book, T0 + 2)] == [1001]


MISMATCH = FeedMismatch("It answers decimals() = '18'.", "It is another feed.", "Correct it.")


def test_a_refused_feed_takes_its_asset_with_it_and_says_so() -> None:
    book = FeedBook(settings(ETH=(A, StaticSource(100)), BTC=(B,)), ())
    book.refuse(A.name, MISMATCH)
    book.record(reading(B, 200))
    assert [each.price.asset for each in publish(book, T0)] == [BTC], "no other source is a way around it"
    assert str(MISMATCH) in book.troubles(T0)[0]
    assert any(each.startswith("ETH has no price yet") for each in book.troubles(T0))
    assert not book.without_price(T0)


def test_the_last_price_of_a_refused_asset_goes_stale() -> None:
    last = Price(3, ETH, 100, 100, 100, PriceStatus.LIVE, T0 - 30, T0 - 30)
    book = FeedBook(settings(ETH=(A,)), [last])
    book.refuse(A.name, MISMATCH)
    (stale,) = publish(book, T0, head=3)
    assert (stale.price.status, stale.price.usd, stale.price.observed_at) == (PriceStatus.STALE, 100, T0 - 30)
    assert book.without_price(T0)


def test_static_sources_are_always_fresh() -> None:
    book = FeedBook(settings(USDC=(StaticSource(10**8),)), ())
    (first,) = publish(book, T0 + 0.9)
    assert first.price.status is PriceStatus.LIVE
    (beat,) = publish(book, T0 + 61.5, head=1)
    assert (beat.reason, beat.price.observed_at) == (Reason.HEARTBEAT, T0 + 61)
    assert book.troubles(T0 + 61.5) == ()


@given(st.lists(st.tuples(st.integers(1, 10**12), st.integers(-5000, 5000)), max_size=20))
def test_published_time_goes_back_only_from_a_wrong_clock_and_numbers_have_no_gap(
    steps: list[tuple[int, int]],
) -> None:
    book = FeedBook(settings(ETH=(A,)), ())
    seen: list[Price] = []
    for usd, offset in steps:
        now = T0 + offset
        book.record(reading(A, usd, now))
        for each in publish(book, now, head=len(seen)):
            published_at = each.price.published_at
            assert now <= published_at <= now + 60
            assert not seen or published_at >= seen[-1].published_at or seen[-1].published_at > now + 60
            seen.append(each.price)
    assert [each.seq for each in seen] == list(range(1, len(seen) + 1))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_was_a_year_ahead_once_leaves_no_trace(restarted: bool) -> None:
    #  T0, T0 | both at T0 + 1 year | the clock is right again: both at once at T0 + 2, by the clock
    feeds = settings(ETH=(A,), USDC=(StaticSource(10**8),))
    book = FeedBook(feeds, ())
    book.record(reading(A, 100))
    publish(book, T0)
    wrong = publish(book, T0 + 365 * 86_400, head=2)
    assert [each.price.published_at for each in wrong] == [T0 + 365 * 86_400] * 2
    if restarted:
        book = FeedBook(feeds, [each.price for each in wrong])
    book.record(reading(A, 100, T0 + 2))
    right = publish(book, T0 + 2, head=4)
    assert [(each.price.asset, each.price.published_at) for each in right] == [(ETH, T0 + 2), ("USDC", T0 + 2)]
    assert publish(book, T0 + 4, head=6) == ()


def test_sources_are_counted() -> None:
    book = FeedBook(settings(ETH=(A,), BTC=(B,)), ())
    book.record(reading(A, 100))
    book.record_silence(A.name, "down")
    book.record(Rejection(A.name, "bad"))
    (first, second) = book.statistics()
    assert (first.source, first.readings, first.silences, first.rejections) == (A.name, 1, 1, 1)
    assert first.observed_at is None
    assert (second.readings, second.silences, second.rejections) == (0, 0, 0)


def test_a_batch_is_one_append_to_the_stream() -> None:
    book = FeedBook(settings(ETH=(A,), BTC=(B,)), ())
    book.record(reading(A, 100))
    book.record_silence(B.name, "down")
    (append,) = append_prices(publish(book, T0, head=4), epoch=9, head=4).appends
    assert (append.stream, append.epoch, append.head, append.table) == ("prices", 9, 4, "prices")
    assert len(append.rows) == 1
    assert dict(zip(append.columns, append.rows[0], strict=True)) == {
        "asset": "ETH",
        "usd": 100,
        "usd_low": 100,
        "usd_high": 100,
        "status": "live",
        "observed_at": T0,
        "published_at": T0,
        "reason": "first",
        "sources": f'{{"used":[{{"source":"{A.name}","usd":"100","observed_at":{T0},"received_at":{T0},'
        '"round_id":"1","payload_sha256":""}],"rejected":[]}',
    }


def test_settings_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match="each once"):
        settings(ETH=(A, A))
    with pytest.raises(ValueError, match="needs sources"):
        settings(ETH=())
    with pytest.raises(ValueError, match="one feed"):
        OracleSettings((settings(ETH=(A,)).feeds[0], settings(ETH=(B,)).feeds[0]), poll_interval=2.0)
    with pytest.raises(ValueError, match="two polls"):
        OracleSettings((), poll_interval=20.0)


def test_a_feed_that_prices_two_assets_is_read_once() -> None:
    assert settings(ETH=(A,), WETH=(A, B)).on_chains() == {ChainId(1): (A,), ChainId(10): (B,)}


def test_the_age_of_what_is_known_is_that_of_the_asset_without_a_good_reading_for_longest() -> None:
    """
    A     read at 0          read at 40 what is good until 45
    B              read at 30
    ETH   0        30        40                               30, after 45
    """
    book = FeedBook(settings(ETH=(A, B)), ())
    assert book.as_of(T0) is None, "nobody was read"
    book.record(reading(A, 100))
    assert book.as_of(T0 + 10) == T0
    book.record(reading(B, 100, T0 + 30))
    assert book.as_of(T0 + 35) == T0 + 30
    vouched_until = T0 + 45 - int(A.heartbeat + A.slack)
    book.record(reading(A, 100, T0 + 40, round_id=2, observed_at=vouched_until))
    assert book.as_of(T0 + 45) == T0 + 40
    assert book.as_of(T0 + 46) == T0 + 30


def test_one_asset_that_nobody_vouches_for_leaves_no_age_however_young_the_others() -> None:
    book = FeedBook(settings(ETH=(A,), BTC=(B,), USDC=(StaticSource(10**8),)), ())
    book.record(reading(A, 100))
    assert book.as_of(T0) is None
    book.record(reading(B, 200, T0 + 5))
    assert book.as_of(T0 + 5) == T0
    book.record(Rejection(B.name, "answer -5 is not a positive price"))
    assert book.as_of(T0 + 6) is None
    assert FeedBook(settings(USDC=(StaticSource(10**8),)), ()).as_of(T0) == T0
    assert FeedBook(settings(), ()).as_of(T0) == T0
