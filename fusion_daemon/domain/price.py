"""A published price, as every consumer sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.identifiers import AssetId

PRICE_STREAM = "prices"
USD_DECIMALS = 8
USD_SCALE = 10**USD_DECIMALS
"""Every USD amount and price in the daemon is an integer scaled by this."""


class PriceStatus(Enum):
    LIVE = "live"
    STALE = "stale"
    """No source is inside its heartbeat; the figure is the last good one."""
    SUSPECT = "suspect"
    """Sources disagree or the move is implausible; the figure is the best estimate. Consumers rest on
    the end of the interval that is worse for the customer, and call it unconfirmed."""


@dataclass(frozen=True, slots=True)
class Price:
    seq: int
    asset: AssetId
    usd: int
    """USD x 1e8 for one whole unit of the asset, > 0."""
    usd_low: int
    usd_high: int
    """The interval that the sources allow; both equal to `usd` when it is LIVE."""
    status: PriceStatus
    observed_at: int
    """Unix seconds: the oldest reading that the figure rests on."""
    published_at: int
    """Unix seconds: when the poller published it. The time at which consumers evaluate it."""
