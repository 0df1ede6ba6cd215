"""Reads of the table `prices`. Asyncio side: each function gets the Reader of one transaction."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.domain.price import Price, PriceStatus
from fusion_daemon.oracle.records import Provenance
from fusion_daemon.store import Reader, Row

# One index probe an asset: DISTINCT ON would walk the whole history.
_LATEST = """
WITH RECURSIVE assets AS (
    (SELECT asset FROM prices ORDER BY asset LIMIT 1)
    UNION ALL
    SELECT (SELECT p.asset FROM prices p WHERE p.asset > a.asset ORDER BY p.asset LIMIT 1)
    FROM assets a WHERE a.asset IS NOT NULL
)
SELECT p.* FROM assets a
CROSS JOIN LATERAL (
    SELECT * FROM prices WHERE asset = a.asset AND ($1::bigint IS NULL OR seq <= $1) ORDER BY seq DESC LIMIT 1
) p
WHERE a.asset IS NOT NULL ORDER BY p.asset
"""

_SOURCES = msgspec.json.Decoder(Provenance)
_AFTER = "SELECT * FROM prices WHERE seq > $1 ORDER BY seq LIMIT $2"


@dataclass(frozen=True, slots=True)
class PublishedPrice:
    price: Price
    reason: str
    provenance: Provenance


async def latest_prices(reader: Reader, upto: int | None = None) -> list[Price]:
    """The last price of every asset, by asset; with `upto`, as the stream stood at that number."""
    return [_price(row) for row in await reader.fetch(_LATEST, upto)]


async def prices_after(reader: Reader, after: int, limit: int) -> list[Price]:
    """The entries after+1, after+2 … of the stream, at most `limit`: what fills a consumer's gap."""
    return [_price(row) for row in await reader.fetch(_AFTER, after, limit)]


async def latest_with_provenance(reader: Reader) -> list[PublishedPrice]:
    rows = await reader.fetch(_LATEST, None)
    return [PublishedPrice(_price(row), row.text("reason"), _SOURCES.decode(row.json("sources"))) for row in rows]


def _price(row: Row) -> Price:
    return Price(
        seq=row.integer("seq"),
        asset=AssetId(row.text("asset")),
        usd=row.integer("usd"),
        usd_low=row.integer("usd_low"),
        usd_high=row.integer("usd_high"),
        status=PriceStatus(row.text("status")),
        observed_at=row.integer("observed_at"),
        published_at=row.integer("published_at"),
    )
