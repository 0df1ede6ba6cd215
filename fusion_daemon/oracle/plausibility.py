"""Whether a move is believed at once. Pure.

A move beyond the asset's limit that only one source tells may be a wrong answer as well as a crash. It is
published without delay, but as SUSPECT, with what was published before as the other end of its interval: who
decides looks at both ends, so a margin call waits for nothing, and is not called confirmed.

INVARIANT: a doubt ends. The move is LIVE once another source tells it too, a later round does, or the same
answer is still read CONFIRMED_AFTER seconds later; and whatever comes back within the limit of the figure
before is LIVE at once. All of it follows from the last published price, so a restart changes nothing.
"""

from __future__ import annotations

from dataclasses import replace

from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.aggregation import BPS, Figure
from fusion_daemon.oracle.settings import FeedSettings

WITHIN = 3600.0
"""Seconds since the last publication, after which any move may have happened."""

CONFIRMED_AFTER = 30.0
"""Seconds for which one source has to stand by its answer: some fifteen polls, of whichever endpoint. No asset's
heartbeat is shorter, so they are counted from the publication of the doubt."""


def judged(feed: FeedSettings, figure: Figure, last: Price | None, now: float) -> Figure:
    """`figure` as it may be published at `now` (unix seconds) after `last`."""
    if figure.status is not PriceStatus.LIVE or len(figure.used) > 1 or last is None:
        return figure
    doubted = _before(last)
    before = last.usd if doubted is None else doubted
    if now - last.published_at > WITHIN or _near(before, figure.usd, feed.jump_bps):
        return figure
    if doubted is not None and _near(last.usd, figure.usd, feed.jump_bps) and _confirmed(figure, last):
        return figure
    low, high = sorted((before, figure.usd))
    return replace(figure, usd_low=low, usd_high=high, status=PriceStatus.SUSPECT)


def _before(price: Price) -> int | None:
    """The figure from which a doubted one moved: the other end of its interval. None for any other price; one
    that is suspect because its sources disagree lies between the ends."""
    if price.status is not PriceStatus.SUSPECT or price.usd not in (price.usd_low, price.usd_high):
        return None
    return price.usd_high if price.usd == price.usd_low else price.usd_low


def _confirmed(figure: Figure, last: Price) -> bool:
    read_at = max(each.received_at for each in figure.used)
    return figure.observed_at > last.observed_at or read_at - last.published_at >= CONFIRMED_AFTER


def _near(before: int, after: int, limit_bps: int) -> bool:
    return abs(after - before) * BPS <= limit_bps * before
