"""Whether the rows of the queue keep what it promises: `fusion-daemon db verify`. asyncio side, one snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.store import Reader, Row

_DOUBLE = """
SELECT chain_id, signer, nonce, string_agg(id, ', ' ORDER BY number) AS ids FROM transactions
WHERE nonce IS NOT NULL AND state <> 'replaced' GROUP BY chain_id, signer, nonce HAVING count(*) > 1
ORDER BY chain_id, signer, nonce
"""
"""The nonce of a replaced one was somebody else's."""
_GAPS = """
SELECT * FROM (
    SELECT chain_id, signer, max(nonce) - min(nonce) + 1 - count(DISTINCT nonce) AS gaps, sum(renonced) AS renonced
    FROM transactions WHERE nonce IS NOT NULL GROUP BY chain_id, signer
) AS signers WHERE gaps > renonced ORDER BY chain_id, signer
"""
"""A transaction that was given another nonce left its own to somebody else."""
_STEPS = """
SELECT id FROM transactions AS t WHERE steps IS DISTINCT FROM (
    SELECT max(step) FROM transaction_steps WHERE transaction_id = t.id)
OR state IS DISTINCT FROM (
    SELECT state FROM transaction_steps WHERE transaction_id = t.id ORDER BY step DESC LIMIT 1)
OR (state IN ('proposed', 'approved', 'signed', 'sent', 'mined') AND steps <> (
    SELECT count(*) FROM transaction_steps WHERE transaction_id = t.id))
ORDER BY number
"""
_UNSIGNED = """
SELECT id FROM transactions AS t WHERE state IN ('signed', 'sent', 'mined') AND NOT EXISTS (
    SELECT FROM transaction_steps AS s WHERE s.transaction_id = t.id AND s.nonce = t.nonce AND s.raw IS NOT NULL)
ORDER BY number
"""


async def unsound_transactions(reader: Reader) -> Mapping[str, Sequence[str]]:
    """By what was looked at, what is wrong with it."""
    double, gaps = await reader.fetch(_DOUBLE), await reader.fetch(_GAPS)
    steps, unsigned = await reader.fetch(_STEPS), await reader.fetch(_UNSIGNED)
    return {
        "nonces": [
            *(f"{_signer(row)} gave {row.integer('nonce')} to {row.text('ids')}" for row in double),
            *(f"{_signer(row)} left out {row.integer('gaps')}: who else holds its key?" for row in gaps),
        ],
        "transactions": [
            *(f"{row.text('id')} is not as its last step says" for row in steps),
            *(f"{row.text('id')} holds a nonce that nothing was signed with" for row in unsigned),
        ],
    }


def _signer(row: Row) -> str:
    return f"{hex_of(row.octets('signer'))} on chain {row.integer('chain_id')}"
