"""How long things are kept. Apart from the keeper, so that commands read their settings without its store and loops."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.identifiers import AssetId


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """For how many seconds things are kept, at the least."""

    journal: float
    """With its blocks and logs."""
    prices: float
    deliveries: float
    messages: float
    """Evidence of messages that ended for good, and strangers'."""
    transactions: float
    """What was done about transactions that ended."""
    assets: tuple[AssetId, ...]
    """All that are priced."""
