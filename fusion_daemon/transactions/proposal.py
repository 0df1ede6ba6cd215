"""Proposing a transaction: the rows that a producer commits together with the fact that asks for it.

INVARIANTS
* Proposed is durable: it exists once the producer's transaction has committed, and is sent by whoever lives then.
* The same intent proposed again changes nothing. Another one under the same id is a WriteConflict: the producer's
  whole commit is refused, for one of the two would silently never happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.store.writes import Execute, SqlValue
from fusion_daemon.transactions.records import State, Transaction

GAP_PURPOSE = "nonce.gap"
GAP_GAS = 100_000
"""21,000 where gas is gas; some chains count the data that they post elsewhere."""

_INSERT = """
INSERT INTO transactions (id, chain_id, signer, recipient, data, value, gas_cap, fee_cap, purpose, asset, amount,
                          proposer, digest, deadline, proposed_at, changed_at, state, gas_floor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15, $16, $17)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest WHERE transactions.digest = excluded.digest
"""
_FIRST_STEP = """
INSERT INTO transaction_steps (transaction_id, step, at, kind, state, detail) VALUES ($1, 1, $2, 'proposed', $3, $4)
ON CONFLICT (transaction_id, step) DO NOTHING
"""


def propose(intent: Intent, at: float) -> Sequence[Execute]:
    """For the producer's own commit; `at` in unix seconds. Ring the sender's bell after it."""
    return _writes(intent, at, State.PROPOSED, f"By {intent.proposer}.")


def gap_filler(blocked: Transaction, nonce: int, newest: int) -> Intent:
    """Nothing, to oneself: it uses up a nonce that keeps `blocked` from being mined. `newest`: the highest number among
    the signer's open ones, an earlier filler's too: that may have got another nonce, and a gap may come again."""
    intent = blocked.intent
    return Intent(
        id=f"gap:{intent.chain}:{intent.signer.hex()}:{nonce}:{newest}",
        chain=intent.chain,
        signer=intent.signer,
        to=intent.signer,
        data=b"",
        value=0,
        gas_cap=GAP_GAS,
        fee_cap=intent.fee_cap,
        purpose=GAP_PURPOSE,
        asset=NATIVE_ASSET,
        amount=0,
        proposer="transaction_sender",
    )


def propose_filler(filler: Intent, nonce: int, blocked: Transaction, at: float) -> Sequence[Execute]:
    """It moves nothing, so no limit is asked."""
    why = f"Nonce {nonce} is free, and {blocked.intent.id} has {blocked.nonce}."
    return _writes(filler, at, State.APPROVED, why)


def _writes(intent: Intent, at: float, state: State, detail: str) -> Sequence[Execute]:
    row: tuple[SqlValue, ...] = (
        intent.id,
        int(intent.chain),
        intent.signer,
        intent.to,
        intent.data,
        Decimal(intent.value),
        intent.gas_cap,
        Decimal(intent.fee_cap),
        intent.purpose,
        intent.asset,
        Decimal(intent.amount),
        intent.proposer,
        intent.digest,
        None if intent.deadline is None else moment(intent.deadline),
        moment(at),
        state.value,
        intent.gas_floor,
    )
    return (
        Execute(_INSERT, row, expect=1),
        Execute(_FIRST_STEP, (intent.id, moment(at), state.value, detail)),
    )


def moment(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)
