"""The last word of every source, and what follows from it: the state of the poller, without its I/O.

INVARIANTS
* Latest wins: a source has one outcome, an asset at most one figure in a batch. What was not
  published yet is not queued but overwritten, so a slow store makes batches rarer, never longer.
* `published_at` goes back along the stream only when it lies further ahead of the wall clock than two clocks
  may differ: then that clock was wrong, and the stream goes on from the right one at once. A small step of the
  clock back makes the stream's time stand still.
* A source goes back to an earlier round only when it has said nothing later for as long as its readings live.
  Until then its endpoint lags, or a reorg is at work: the later reading stands until it is too old, or dark.
* Nothing is published before every source of the asset was asked once in this life: not being asked
  yet is no sign of being stale.
* A refused source never gives a figure, and its asset none either: it stays refused for the life of
  this book, and its last published figure goes STALE.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fusion_daemon.domain.decimals import decimal_text
from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.domain.price import USD_DECIMALS, Price, PriceStatus
from fusion_daemon.oracle.aggregation import Figure, aggregate
from fusion_daemon.oracle.chainlink import FeedMismatch
from fusion_daemon.oracle.plausibility import judged
from fusion_daemon.oracle.publication import CLOCK_STEP, Reason, reason_to_publish
from fusion_daemon.oracle.reading import Outcome, Reading, Rejection
from fusion_daemon.oracle.settings import FeedSettings, OracleSettings, StaticSource


@dataclass(frozen=True, slots=True)
class Publication:
    price: Price
    figure: Figure
    reason: Reason


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """One source, counted over the life of the book."""

    source: str
    readings: int
    rejections: int
    """Answers that failed a check."""
    silences: int
    """Questions without an answer."""
    observed_at: int | None
    """Unix seconds of its last reading; None while its last answer was rejected."""
    lifetime: float | None
    """Seconds after `observed_at` for which the source vouches for that reading; None likewise."""


class FeedBook:
    def __init__(self, settings: OracleSettings, published: Iterable[Price]) -> None:
        self._settings = settings
        self._last: dict[AssetId, Price] = {price.asset: price for price in published}
        self._outcomes: dict[str, Outcome] = {}
        self._silent: dict[str, str] = {}
        self._back_since: dict[str, float] = {}
        """Since when (unix seconds) a source has said nothing but earlier rounds than it had said before."""
        self._counts: dict[str, Counter[str]] = {
            source.name: Counter() for feed in settings.feeds for source in feed.sources
        }
        self._refused: dict[str, FeedMismatch] = {}
        self._checked: set[str] = set()

    def checked(self, source: str) -> bool:
        """Whether the source has proved to be the one that the configuration means."""
        return source in self._checked

    def refused(self, source: str) -> bool:
        return source in self._refused

    def confirm(self, source: str) -> None:
        self._checked.add(source)

    def refuse(self, source: str, mismatch: FeedMismatch) -> None:
        self._refused[source] = mismatch
        self._outcomes[source] = Rejection(source, "refused: not the feed that the configuration means")

    def record(self, outcome: Outcome) -> None:
        """The source answered."""
        if isinstance(outcome, Reading) and self._goes_back(outcome):
            self._counts[outcome.source]["rejections"] += 1
            self._silent[outcome.source] = f"it went back to round {outcome.round_id}"
            return
        self._counts[outcome.source]["rejections" if isinstance(outcome, Rejection) else "readings"] += 1
        self._outcomes[outcome.source] = outcome
        self._silent.pop(outcome.source, None)
        self._back_since.pop(outcome.source, None)

    def _goes_back(self, reading: Reading) -> bool:
        """Whether a later reading of that source stands, and not yet for too long."""
        known = self._outcomes.get(reading.source)
        if not isinstance(known, Reading) or not reading.precedes(known):
            return False
        since = self._back_since.setdefault(reading.source, reading.received_at)
        return reading.received_at - since <= reading.lifetime

    def record_silence(self, source: str, reason: str) -> None:
        """The source did not answer: its last reading stands until it is too old."""
        self._counts[source]["silences"] += 1
        self._silent[source] = reason
        self._outcomes.setdefault(source, Rejection(source, reason))

    def due(self, head: int, now: float) -> tuple[Publication, ...]:
        """What to publish at `now` (unix seconds), numbered from `head` + 1. Changes nothing."""
        ahead = (price.published_at for price in self._last.values() if price.published_at <= now + CLOCK_STEP)
        published_at = max([int(now), *ahead])
        found: list[Publication] = []
        for feed in self._settings.feeds:
            figure = self.figure(feed, now) if self._asked(feed) else None
            if figure is None:
                continue
            reason = reason_to_publish(feed, figure, self._last.get(feed.asset), now)
            if reason is None:
                continue
            price = Price(
                seq=head + len(found) + 1,
                asset=feed.asset,
                usd=figure.usd,
                usd_low=figure.usd_low,
                usd_high=figure.usd_high,
                status=figure.status,
                observed_at=figure.observed_at,
                published_at=published_at,
            )
            found.append(Publication(price, figure, reason))
        return tuple(found)

    def published(self, publications: Sequence[Publication]) -> None:
        """They have been committed."""
        self._last.update({each.price.asset: each.price for each in publications})

    def figure(self, feed: FeedSettings, now: float) -> Figure | None:
        outcomes = [self._outcome(feed, index, now) for index in range(len(feed.sources))]
        if any(self.refused(source.name) for source in feed.sources):
            # Other sources of the asset are no way around the refusal: the operator meant another asset.
            reason = "another source of the asset is refused"
            outcomes = [Rejection(each.source, reason) if isinstance(each, Reading) else each for each in outcomes]
        last = self._last.get(feed.asset)
        figure = aggregate(feed, outcomes, last, now, self._settings.dark_after)
        return None if figure is None else judged(feed, figure, last, now)

    def _outcome(self, feed: FeedSettings, index: int, now: float) -> Outcome:
        source = feed.sources[index]
        if isinstance(source, StaticSource):
            return Reading(
                source=source.name,
                independence=source.independence,
                usd=source.usd,
                observed_at=int(now),
                received_at=now,
                lifetime=math.inf,
                round_id=None,
                digest="",
            )
        return self._outcomes.get(source.name, Rejection(source.name, "not read yet"))

    def troubles(self, now: float) -> tuple[str, ...]:
        """What an operator should know, one sentence for each feed concerned; empty: all is well."""
        found: list[str] = [str(self._refused[name]) for name in sorted(self._refused)]
        for feed in self._settings.feeds:
            figure = self.figure(feed, now)
            if figure is None:
                found.append(f"{feed.asset} has no price yet{_because(self._rejections(feed, now))}")
            elif figure.status is not PriceStatus.LIVE or figure.rejected:
                found.append(f"{feed.asset} is {figure.status.value}{_between(figure)}{_because(figure.rejected)}")
            found.extend(
                f"{feed.asset}: {source.name} does not answer: {self._silent[source.name]}"
                for source in feed.sources
                if source.name in self._silent and isinstance(self._outcomes[source.name], Reading)
            )
        return tuple(found)

    def as_of(self, now: float) -> float | None:
        """When the asset was read that has not been read for longest, of each by its latest reading for which its
        source still vouches at `now` (unix seconds); None while an asset has none. So a feed that answers and stands
        still is as old as its last good reading."""
        read: list[float] = []
        for feed in self._settings.feeds:
            outcomes = [self._outcome(feed, index, now) for index in range(len(feed.sources))]
            readings = [
                each.received_at
                for each in outcomes
                if isinstance(each, Reading) and now - each.observed_at <= each.lifetime
            ]
            if not readings:
                return None
            read.append(max(readings))
        return min(read, default=now)

    def without_price(self, now: float) -> bool:
        """Whether not one asset has a figure that rests on a fresh reading."""
        figures = [self.figure(feed, now) for feed in self._settings.feeds]
        return bool(figures) and not any(each is not None and each.used for each in figures)

    def statistics(self) -> tuple[SourceStatistics, ...]:
        return tuple(self._counted(name, counts) for name, counts in self._counts.items())

    def _counted(self, name: str, counts: Counter[str]) -> SourceStatistics:
        outcome = self._outcomes.get(name)
        reading = outcome if isinstance(outcome, Reading) else None
        return SourceStatistics(
            source=name,
            readings=counts["readings"],
            rejections=counts["rejections"],
            silences=counts["silences"],
            observed_at=None if reading is None else reading.observed_at,
            lifetime=None if reading is None else reading.lifetime,
        )

    def _asked(self, feed: FeedSettings) -> bool:
        return all(isinstance(source, StaticSource) or source.name in self._outcomes for source in feed.sources)

    def _rejections(self, feed: FeedSettings, now: float) -> tuple[Rejection, ...]:
        outcomes = [self._outcome(feed, index, now) for index in range(len(feed.sources))]
        return tuple(each for each in outcomes if isinstance(each, Rejection))


def _between(figure: Figure) -> str:
    if figure.status is not PriceStatus.SUSPECT:
        return ""
    low, high = (decimal_text(each, USD_DECIMALS) for each in (figure.usd_low, figure.usd_high))
    return f": it lies between {low} and {high} USD"


def _because(rejections: Sequence[Rejection]) -> str:
    return "".join(f"; {each.source}: {each.reason}" for each in rejections)
