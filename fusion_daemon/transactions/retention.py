"""What of ended transactions nobody needs any more. asyncio side, inside the caller's transaction.

INVARIANT: a transaction itself stays for ever, with who approved it and how it ended. It is the record of what moved,
it holds its id against a second proposal, and its nonce against being given out again. Its first and its last
step stay too; those on the way go: raw bytes, fees that were offered, what nodes answered.
"""

from __future__ import annotations

from collections.abc import Mapping

from fusion_daemon.store import Reader
from fusion_daemon.transactions.records import OPEN

AT_ONCE = 5_000
"""Rows in one transaction; the next pass goes on."""

_STEPS = """
WITH spent AS (
    DELETE FROM transaction_steps WHERE (transaction_id, step) IN (
        SELECT s.transaction_id, s.step FROM transaction_steps AS s JOIN transactions AS t ON t.id = s.transaction_id
        WHERE t.state <> ALL ($2::text[]) AND s.step > 1 AND s.step < t.steps
          AND t.changed_at < to_timestamp($3::double precision - $4::double precision)
        LIMIT $1)
    RETURNING 1
) SELECT count(*) AS dropped FROM spent
"""


async def drop_transaction_steps(writer: Reader, now: float, keep: float) -> Mapping[str, int]:
    """Rows dropped by table. `now`: unix seconds; `keep`: seconds since the transaction ended."""
    row = await writer.fetch_one(_STEPS, AT_ONCE, sorted(each.value for each in OPEN), now, keep)
    assert row is not None  # an aggregate has one row
    return {"transaction_steps": row.integer("dropped")}
