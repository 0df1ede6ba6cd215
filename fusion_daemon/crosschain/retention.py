"""Rows about messages that no tracker reads: they go by themselves. asyncio side, inside the caller's transaction.

What the tracker starts from is its own to prune: see `pruning.py`.

INVARIANTS
* Retracted evidence goes once its height is final: its block cannot come back.
* Logs that cannot be read go by age, and the oldest of more than MOST_UNREADABLE sooner: anybody can write them.
"""

from __future__ import annotations

from collections.abc import Mapping

from fusion_daemon.store import Reader

MOST_UNREADABLE = 50_000
AT_ONCE = 5_000
"""Rows of a table in one transaction; the next pass goes on."""

_RETRACTED = """
WITH spent AS (
    DELETE FROM message_evidence WHERE ctid = ANY (ARRAY(
        SELECT e.ctid FROM message_evidence AS e JOIN message_finality AS f USING (chain_id)
        WHERE NOT e.canonical AND e.block_number <= f.finalized LIMIT $1))
    RETURNING 1
) SELECT count(*) AS dropped FROM spent
"""
_UNREADABLE = """
WITH spent AS (
    DELETE FROM unreadable_message_logs WHERE number = ANY (ARRAY(
        SELECT number FROM unreadable_message_logs
        WHERE noted_at < to_timestamp($2::double precision - $3::double precision)
           OR number <= (SELECT number FROM unreadable_message_logs ORDER BY number DESC OFFSET $4 LIMIT 1)
        ORDER BY number LIMIT $1))
    RETURNING 1
) SELECT count(*) AS dropped FROM spent
"""


async def drop_message_rows(writer: Reader, now: float, keep: float) -> Mapping[str, int]:
    """Rows dropped by table. `now`: unix seconds; `keep`: seconds."""
    retracted = await writer.fetch_one(_RETRACTED, AT_ONCE)
    unreadable = await writer.fetch_one(_UNREADABLE, AT_ONCE, now, keep, MOST_UNREADABLE)
    assert retracted is not None  # an aggregate has one row
    assert unreadable is not None  # an aggregate has one row
    return {
        "message_evidence": retracted.integer("dropped"),
        "unreadable_message_logs": unreadable.integer("dropped"),
    }
