"""What the database holds, read beside the daemon: counts, and the times of what was committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

from fusion_daemon.aio import open_aio
from fusion_daemon.store import Reader, open_store

T = TypeVar("T")

_COUNTS = """
SELECT (SELECT count(*) FROM chain_state)                  AS chains,
       (SELECT count(*) FROM chain_blocks WHERE canonical) AS blocks,
       (SELECT count(*) FROM chain_logs)                   AS events,
       (SELECT count(*) FROM accounts)                     AS accounts,
       (SELECT count(*) FROM margin_events)                AS margin_events,
       (SELECT count(*) FROM alerts)                       AS alerts,
       (SELECT count(*) FROM deliveries)                   AS deliveries,
       (SELECT count(*) FROM deliveries WHERE state IN ('pending', 'retrying', 'in_flight')) AS undelivered,
       (SELECT count(*) FROM alerts WHERE state = 'accepted') AS unrouted
"""

_CRITICAL = """
SELECT d.id, p.committed_at
FROM deliveries d
JOIN alerts a ON a.id = d.alert_id
JOIN prices p ON p.seq = (a.data -> 'inputs' ->> 'price_seq')::bigint
WHERE a.severity = 2 AND a.data ->> 'cause' = 'price'
"""


@dataclass(frozen=True, slots=True)
class Counts:
    chains: int
    blocks: int
    events: int
    accounts: int
    margin_events: int
    alerts: int
    deliveries: int
    undelivered: int
    unrouted: int

    @property
    def settled(self) -> bool:
        """Everything that was accepted has been delivered or given up."""
        return self.undelivered == 0 and self.unrouted == 0


async def count(reader: Reader) -> Counts:
    """asyncio side."""
    row = await reader.fetch_one(_COUNTS)
    assert row is not None  # a SELECT of aggregates has one row
    return Counts(*(row.integer(name) for name in Counts.__slots__))


async def price_commits(reader: Reader) -> dict[str, float]:
    """asyncio side. For each delivery of a margin call or worse that a price caused: when (unix seconds)
    that price was committed."""
    rows = await reader.fetch(_CRITICAL)
    return {row.text("id"): row.moment("committed_at").timestamp() for row in rows}


def read(dsn: str, query: Callable[[Reader], Awaitable[T]]) -> T:
    """Run one query on connections of its own. Blocks; not inside a running trio program."""

    async def run() -> T:
        async with open_aio() as aio, open_store(aio, dsn) as store:
            return await store.read(query)

    return trio.run(run)
