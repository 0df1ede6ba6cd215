"""Which partitions of deliveries and their attempts nobody needs any more. asyncio side.

INVARIANT: they go together, and only when every delivery in them has ended and every alert of those numbers
has got its deliveries. Alerts themselves stay: they are the record of what people had to be told.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.store import Reader
from fusion_daemon.store.partitions import Partition, partition_of

# `due_at` of a delivery that has ended is when it ended.
_DELIVERIES = """
SELECT p.* FROM (
    SELECT low, high FROM partitions WHERE parent = 'deliveries' ORDER BY low LIMIT 1
) AS oldest
JOIN LATERAL (SELECT max(number) AS number FROM alerts) AS newest ON oldest.high <= newest.number
JOIN LATERAL (
    SELECT max(accepted_at) AS at FROM alerts WHERE number >= oldest.low AND number < oldest.high
) AS accepted ON true
JOIN LATERAL (
    SELECT max(due_at) AS at FROM deliveries WHERE alert_number >= oldest.low AND alert_number < oldest.high
) AS ended ON true
JOIN partitions AS p ON p.parent IN ('deliveries', 'delivery_attempts') AND p.low = oldest.low
WHERE greatest(accepted.at, ended.at) < to_timestamp($1::double precision - $2::double precision)
  AND NOT EXISTS (
    SELECT FROM deliveries WHERE alert_number >= oldest.low AND alert_number < oldest.high
      AND state IN ('pending', 'retrying', 'in_flight'))
  AND NOT EXISTS (
    SELECT FROM alerts WHERE state = 'accepted' AND number >= oldest.low AND number < oldest.high)
ORDER BY p.parent
"""


async def spent_deliveries(reader: Reader, now: float, keep: float) -> Sequence[Partition]:
    """The oldest pair, if all of it ended more than `keep` seconds before `now` (unix seconds)."""
    return [partition_of(row) for row in await reader.fetch(_DELIVERIES, now, keep)]
