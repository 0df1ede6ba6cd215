"""Which partition of the prices nobody needs any more. asyncio side.

INVARIANT: it goes only when every consumer's cursor has passed it and every priced asset has a later price
at or below those cursors: the last price of each asset is what pollers and calculators start from. An asset
that is no longer configured does not hold it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.domain.identifiers import AssetId
from fusion_daemon.store import Reader
from fusion_daemon.store.partitions import Partition, partition_of

_PRICES = """
SELECT p.* FROM (SELECT * FROM partitions WHERE parent = 'prices' ORDER BY low LIMIT 1) AS p
JOIN LATERAL (
    SELECT min(position) AS position FROM cursors WHERE stream = 'prices'
) AS folded ON p.high <= folded.position
JOIN prices AS last ON last.seq = p.high - 1
JOIN LATERAL (SELECT published_at FROM prices ORDER BY seq DESC LIMIT 1) AS newest ON true
WHERE last.published_at < least(newest.published_at, $1) - $2
  AND NOT EXISTS (
    SELECT FROM unnest($3::text[]) AS priced (asset)
    WHERE EXISTS (SELECT FROM prices WHERE prices.asset = priced.asset AND seq < p.high)
      AND NOT EXISTS (
        SELECT FROM prices WHERE prices.asset = priced.asset AND seq >= p.high AND seq <= folded.position)
  )
"""


async def spent_prices(reader: Reader, now: float, keep: float, assets: Sequence[AssetId]) -> Sequence[Partition]:
    """The oldest partition, if it is older than `keep` seconds and nobody needs it. `assets`: all that are
    priced."""
    return [partition_of(row) for row in await reader.fetch(_PRICES, int(now), int(keep), assets)]
