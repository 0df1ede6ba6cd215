"""When a figure is worth a number in the stream: on a move, on a change of status, on the heartbeat.

A figure that was published by a clock far ahead is published again at once: its heartbeat would be as far off.

The rule is that of Chainlink's off-chain reporting: a move of exactly the threshold counts.
"""

from __future__ import annotations

from enum import Enum

from fusion_daemon.domain.price import Price
from fusion_daemon.oracle.aggregation import BPS, Figure
from fusion_daemon.oracle.settings import FeedSettings

CLOCK_STEP = 60.0
"""Seconds by which a published time may lie ahead of the wall clock before it counts as a wrong clock's."""


class Reason(Enum):
    FIRST = "first"
    STATUS = "status"
    DEVIATION = "deviation"
    HEARTBEAT = "heartbeat"


def moved(before: int, after: int, deviation_bps: int) -> bool:
    """Whether the move, relative to `before` (> 0), reaches the threshold. No move never does."""
    return after != before and abs(after - before) * BPS >= deviation_bps * before


def reason_to_publish(feed: FeedSettings, figure: Figure, last: Price | None, now: float) -> Reason | None:
    """Why `figure` is published at `now` (unix seconds) after `last`; None: it is not."""
    if last is None:
        return Reason.FIRST
    if figure.status is not last.status:
        return Reason.STATUS
    pairs = (
        (last.usd, figure.usd),
        (last.usd_low, figure.usd_low),
        (last.usd_high, figure.usd_high),
    )
    if any(moved(before, after, feed.deviation_bps) for before, after in pairs):
        return Reason.DEVIATION
    if not -CLOCK_STEP <= now - last.published_at < feed.heartbeat:
        return Reason.HEARTBEAT
    return None
