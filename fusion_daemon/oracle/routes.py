"""The oracle's HTTP routes. Handlers run on the asyncio side."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from fusion_daemon.domain.decimals import decimal_text
from fusion_daemon.domain.price import USD_DECIMALS
from fusion_daemon.http.route import Reply, Request, Route, Routes, reply_json
from fusion_daemon.oracle.records import Provenance
from fusion_daemon.oracle.repository import PublishedPrice, latest_with_provenance
from fusion_daemon.store import Store


class PriceView(msgspec.Struct, frozen=True):
    """One asset's last published price. USD amounts are exact decimal strings."""

    asset: str
    usd: str
    usd_low: str
    usd_high: str
    status: str
    observed_at: datetime
    published_at: datetime
    reason: str
    seq: int
    sources: Provenance
    """Here the readings' `usd` are the stream's own integers, USD x 1e8."""


class PricesView(msgspec.Struct, frozen=True):
    prices: tuple[PriceView, ...]


def routes(store: Store) -> Routes:
    async def get_prices(_request: Request) -> Reply:
        published = await store.query(latest_with_provenance)
        return reply_json(PricesView(tuple(view(each) for each in published)))

    summary = "The last published price of every asset, with its sources."
    return [Route("GET", "/v1/prices", get_prices, summary)]


def view(published: PublishedPrice) -> PriceView:
    price = published.price
    return PriceView(
        asset=price.asset,
        usd=decimal_text(price.usd, USD_DECIMALS),
        usd_low=decimal_text(price.usd_low, USD_DECIMALS),
        usd_high=decimal_text(price.usd_high, USD_DECIMALS),
        status=price.status.value,
        observed_at=datetime.fromtimestamp(price.observed_at, UTC),
        published_at=datetime.fromtimestamp(price.published_at, UTC),
        reason=published.reason,
        seq=price.seq,
        sources=published.provenance,
    )
