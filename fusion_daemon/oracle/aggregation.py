"""From the readings of one asset's sources to one figure with a status.

INVARIANTS
* The figure lies between the lowest and the highest fresh reading, and is untouched by their order.
* Independence classes vote, not sources: ten feeds of one class cannot outvote two others.
* A figure without a fresh reading is STALE and keeps the time of its observation: it ages, and is
  never relabelled fresh.
* Every source is accounted for: it is used or rejected with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.reading import Outcome, Reading, Rejection
from fusion_daemon.oracle.settings import FeedSettings, Middle

BPS = 10_000


@dataclass(frozen=True, slots=True)
class Figure:
    usd: int
    usd_low: int
    usd_high: int
    status: PriceStatus
    observed_at: int
    used: tuple[Reading, ...]
    rejected: tuple[Rejection, ...]


def median(figures: Iterable[int], middle: Middle) -> int:
    """The middle of at least one figure; `middle` decides for an even number of them."""
    ordered = sorted(figures)
    upper = ordered[len(ordered) // 2]
    lower = ordered[(len(ordered) - 1) // 2]
    match middle:
        case Middle.LOWER:
            return lower
        case Middle.UPPER:
            return upper
        case Middle.MID:
            return (lower + upper) // 2


def consensus(readings: Sequence[Reading], middle: Middle) -> int:
    """The median over classes of the median inside each class; at least one reading."""
    classes: dict[str, list[int]] = {}
    for reading in readings:
        classes.setdefault(reading.independence, []).append(reading.usd)
    return median((median(figures, middle) for figures in classes.values()), middle)


def staleness(reading: Reading, now: float, dark_after: float) -> str | None:
    """Why a reading may no longer be used at `now` (unix seconds); None while it may.

    Its own age counts, and for how long its source has been silent.
    """
    age = now - reading.observed_at
    if age > reading.lifetime:
        return f"{age:.0f} s old, {reading.lifetime:g} s are allowed"
    silent = now - reading.received_at
    if silent > dark_after:
        return f"its source has not answered for {silent:.0f} s"
    return None


def aggregate(
    feed: FeedSettings, outcomes: Sequence[Outcome], last: Price | None, now: float, dark_after: float
) -> Figure | None:
    """The asset's figure at `now` from the last outcome of each of its sources.

    None when no source ever gave a figure and none was published before (`last`).
    """
    rejected = [outcome for outcome in outcomes if isinstance(outcome, Rejection)]
    fresh: list[Reading] = []
    old: list[Reading] = []
    for reading in outcomes:
        if isinstance(reading, Reading):
            reason = staleness(reading, now, dark_after)
            (old if reason else fresh).append(reading)
            if reason:
                rejected.append(Rejection(reading.source, reason))
    if fresh:
        return _live(feed, fresh, rejected)
    return _stale(feed, old, last, rejected)


def _live(feed: FeedSettings, fresh: Sequence[Reading], rejected: Sequence[Rejection]) -> Figure:
    usd = consensus(fresh, feed.middle)
    low, high = min(each.usd for each in fresh), max(each.usd for each in fresh)
    suspect = (high - low) * BPS > feed.spread_bps * usd
    return Figure(
        usd=usd,
        usd_low=low if suspect else usd,
        usd_high=high if suspect else usd,
        status=PriceStatus.SUSPECT if suspect else PriceStatus.LIVE,
        observed_at=min(each.observed_at for each in fresh),
        used=tuple(fresh),
        rejected=tuple(rejected),
    )


def _stale(
    feed: FeedSettings, old: Sequence[Reading], last: Price | None, rejected: Sequence[Rejection]
) -> Figure | None:
    # The last good figure is whichever was observed last: what was published before, or, after a long
    # silence of our own, what the sources said in between. The interval holds both.
    known = [] if last is None else [(last.observed_at, last.usd, last.usd_low, last.usd_high)]
    if old:
        figures = [each.usd for each in old]
        observed_at = min(each.observed_at for each in old)
        known.append((observed_at, consensus(old, feed.middle), min(figures), max(figures)))
    if not known:
        return None
    observed_at, usd, _, _ = max(known, key=lambda entry: entry[0])
    return Figure(
        usd=usd,
        usd_low=min(low for _, _, low, _ in known),
        usd_high=max(high for _, _, _, high in known),
        status=PriceStatus.STALE,
        observed_at=observed_at,
        used=(),
        rejected=tuple(rejected),
    )
