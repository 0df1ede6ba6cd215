"""A published price, as every consumer sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.identifiers import AssetId

PRICE_STREAM = "prices"
USD_DECIMALS = 8
USD_SCALE = 10**USD_DECIMALS
"""Every USD amount and price in the daemon is an integer scaled by this."""
LARGEST_USD = 10**22 * USD_SCALE
"""No price of anything is above it; what is derived from one then fits wherever it is stored."""


class PriceStatus(Enum):
    LIVE = "live"
    STALE = "stale"
    """No source is inside its heartbeat; the figure is the last good one."""
    SUSPECT = "suspect"
    """Sources disagree, or one alone tells an implausible move; the figure is the best estimate, and the truth lies
    somewhere in the interval. Consumers rest on the end that is worse for the customer, and call it unconfirmed."""


@dataclass(frozen=True, slots=True)
class Price:
    seq: int
    asset: AssetId
    usd: int
    """USD x 1e8 for one whole unit of the asset, > 0."""
    usd_low: int
    usd_high: int
    """The interval that the sources allow, after an implausible move up to the figure before it; both equal to
    `usd` when there is no doubt."""
    status: PriceStatus
    observed_at: int
    """Unix seconds: the oldest reading that the figure rests on."""
    published_at: int
    """Unix seconds: when the poller published it. The time at which consumers evaluate it."""
