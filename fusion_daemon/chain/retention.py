"""Which partitions of the chain room nobody needs any more. asyncio side.

INVARIANTS
* A journal partition goes only when every consumer's cursor has passed it (the entry *at* a cursor is read at
  a start, so it stays too) and all its blocks are final. A chain that nobody consumes loses nothing.
* Blocks and logs go together, and only those below every block that the journal still names and below
  finality: a reorg needs the logs of what it retracts.
* Age is that of the blocks' own times, measured from the tip or from `now`, whichever is earlier: a chain
  that stands still, or a clock that runs ahead, makes nothing older.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.store import Reader
from fusion_daemon.store.partitions import Partition, partition_of

_JOURNAL = """
SELECT p.* FROM (
    SELECT DISTINCT ON (chain_id) * FROM partitions WHERE parent = 'chain_journal' ORDER BY chain_id, low
) AS p
JOIN chain_state USING (chain_id)
JOIN LATERAL (
    SELECT min(position) AS position FROM cursors WHERE stream = 'journal:' || p.chain_id
) AS folded ON p.high <= folded.position
JOIN LATERAL (
    SELECT max(block_number) AS number FROM chain_journal
    WHERE chain_id = p.chain_id AND seq >= p.low AND seq < p.high
) AS newest ON newest.number < chain_state.finalized
JOIN chain_blocks AS block ON block.chain_id = p.chain_id AND block.number = newest.number AND block.canonical
JOIN chain_blocks AS tip ON tip.chain_id = p.chain_id AND tip.hash = tip_hash AND tip.number = tip_number
WHERE block.timestamp < least(tip.timestamp, $1) - $2
"""

_BLOCKS = """
SELECT p.* FROM (
    SELECT DISTINCT ON (chain_id) chain_id, low, high FROM partitions
    WHERE parent = 'chain_blocks' ORDER BY chain_id, low
) AS oldest
JOIN chain_state USING (chain_id)
JOIN chain_blocks AS tip ON tip.chain_id = oldest.chain_id AND tip.hash = tip_hash AND tip.number = tip_number
JOIN LATERAL (
    SELECT timestamp FROM chain_blocks
    WHERE chain_id = oldest.chain_id AND number >= oldest.high AND canonical ORDER BY number LIMIT 1
) AS after ON after.timestamp < least(tip.timestamp, $1) - $2
JOIN LATERAL (
    SELECT high FROM partitions WHERE parent = 'chain_journal' AND chain_id = oldest.chain_id ORDER BY low LIMIT 1
) AS journal ON true
JOIN LATERAL (
    SELECT min(block_number) AS number FROM chain_journal
    WHERE chain_id = oldest.chain_id AND (seq < journal.high OR seq >= (
        SELECT min(position) FROM cursors WHERE stream = 'journal:' || oldest.chain_id))
) AS needed ON oldest.high <= needed.number
JOIN partitions AS p
    ON p.parent IN ('chain_blocks', 'chain_logs') AND p.chain_id = oldest.chain_id AND p.low = oldest.low
WHERE oldest.high <= chain_state.finalized
ORDER BY p.chain_id, p.parent
"""


async def spent_journal(reader: Reader, now: float, keep: float) -> Sequence[Partition]:
    """The oldest journal partition of each chain, where it is older than `keep` seconds and nobody needs it."""
    return [partition_of(row) for row in await reader.fetch(_JOURNAL, int(now), int(keep))]


async def spent_blocks(reader: Reader, now: float, keep: float) -> Sequence[Partition]:
    """The same of blocks and logs: of each chain both or none."""
    return [partition_of(row) for row in await reader.fetch(_BLOCKS, int(now), int(keep))]
