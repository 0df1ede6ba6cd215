"""A step as rows: the transaction as it stands now, and the evidence beside it.

INVARIANT: whoever records a step has seen the one before it: the UPDATE names its number. A sender that should be
dead, or one that an operator was faster than, changes nothing, and so signs and sends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from fusion_daemon.store.writes import Commit, Execute, SqlValue
from fusion_daemon.transactions.moves import Moved, Step
from fusion_daemon.transactions.proposal import moment
from fusion_daemon.transactions.records import Kind, Transaction

_UPDATE = """
UPDATE transactions
SET state = $3, reason = $4, steps = $5, changed_at = $6, nonce = $7, ending = $8, suspected_at = $9, renonced = $10,
    gas_cost = $11, mined_hash = $12, block_number = $13, block_hash = $14, succeeded = $15, gas_used = $16,
    gas_price = $17,
    approved_at = CASE WHEN $3 = 'approved' AND approved_at IS NULL THEN $6 ELSE approved_at END
WHERE id = $1 AND steps = $2
"""
_STEP = """
INSERT INTO transaction_steps (transaction_id, step, epoch, at, kind, state, detail, raw, void, nonce, gas, max_fee,
                               tip, hash, answer, block_number, block_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""
_PROOF = "SELECT EXISTS (SELECT FROM transaction_steps WHERE transaction_id = $1 AND step = $2 AND epoch = $3)"


def commit_of(moved: Moved, epoch: int, at: float) -> Commit:
    """`epoch` of the sender's life; `at` in unix seconds. Raises WriteConflict when somebody else was faster."""
    return Commit(
        writes=tuple(writes_of(moved, epoch, at)),
        proof=Execute(_PROOF, (moved.after.intent.id, moved.after.steps, epoch)),
    )


def writes_of(moved: Moved, epoch: int, at: float) -> Sequence[Execute]:
    return (
        Execute(_UPDATE, _transaction_row(moved.before, moved.after, at), expect=1),
        Execute(_STEP, _step_row(moved.after, moved.step, epoch, at), expect=1),
    )


def _transaction_row(before: Transaction, after: Transaction, at: float) -> tuple[SqlValue, ...]:
    receipt = after.receipt
    return (
        after.intent.id,
        before.steps,
        after.state.value,
        after.reason,
        after.steps,
        moment(at),
        after.nonce,
        None if after.ending is None else after.ending.value,
        after.suspected_at,
        after.renonced,
        Decimal(max((each.gas * each.fees.most for each in after.signed), default=0)),
        None if receipt is None else receipt.hash,
        None if receipt is None else receipt.block_number,
        None if receipt is None else receipt.block_hash,
        None if receipt is None else receipt.succeeded,
        None if receipt is None else receipt.gas_used,
        None if receipt is None else Decimal(receipt.gas_price),
    )


def _step_row(after: Transaction, step: Step, epoch: int, at: float) -> tuple[SqlValue, ...]:
    signed, receipt = step.signed, step.receipt
    return (
        after.intent.id,
        after.steps,
        epoch,
        moment(at),
        step.kind,
        after.state.value,
        step.detail.replace("\0", ""),
        None if signed is None else signed.raw,
        None if signed is None else signed.kind is Kind.VOID,
        None if signed is None else signed.nonce,
        None if signed is None else signed.gas,
        None if signed is None else Decimal(signed.fees.most),
        None if signed is None else Decimal(signed.fees.tip),
        step.hash,
        None if step.answer is None else step.answer.value,
        None if receipt is None else receipt.block_number,
        None if receipt is None else receipt.block_hash,
    )
