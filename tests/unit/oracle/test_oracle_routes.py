"""Prices as the API shows them: exact decimals, times with a zone, and every source."""

from __future__ import annotations

import msgspec

from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.records import Provenance, RejectedSource, UsedSource
from fusion_daemon.oracle.repository import PublishedPrice
from fusion_daemon.oracle.routes import view


def test_a_price_is_shown_with_its_times_and_sources() -> None:
    usd, low, high, at = 250_000_000, 240_000_000, 260_000_001, 1_800_000_000
    price = Price(7, AssetId("ETH"), usd, low, high, PriceStatus.SUSPECT, at, at + 60)
    used = UsedSource("chainlink:1:0xaa", "250000000", 1_800_000_000, 1_800_000_059.5, "3", "ab")
    shown = view(PublishedPrice(price, "status", Provenance((used,), (RejectedSource("static", "why"),))))
    assert msgspec.json.decode(msgspec.json.encode(shown)) == {
        "asset": "ETH",
        "usd": "2.5",
        "usd_low": "2.4",
        "usd_high": "2.60000001",
        "status": "suspect",
        "observed_at": "2027-01-15T08:00:00Z",
        "published_at": "2027-01-15T08:01:00Z",
        "reason": "status",
        "seq": 7,
        "sources": {
            "used": [
                {
                    "source": "chainlink:1:0xaa",
                    "usd": "250000000",
                    "observed_at": 1_800_000_000,
                    "received_at": 1_800_000_059.5,
                    "round_id": "3",
                    "payload_sha256": "ab",
                }
            ],
            "rejected": [{"source": "static", "reason": "why"}],
        },
    }
