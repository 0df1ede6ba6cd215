"""A transaction after a step, and what is put on record of it. Pure.

INVARIANT: what it says of a transaction is all that there is: whoever dies between two steps goes on from the record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.transactions.decide import CallOff, End, Mined, Renonce, Suspect, Unmined
from fusion_daemon.transactions.limits import Approve
from fusion_daemon.transactions.records import Answer, Kind, Receipt, Signed, State, Transaction

Recorded = Approve | Mined | Unmined | CallOff | Suspect | Renonce | End
"""The decisions that need nothing of the outside."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of evidence."""

    kind: str
    detail: str = ""
    signed: Signed | None = None
    """What was signed in it."""
    hash: Hash32 | None = None
    """What it is about."""
    answer: Answer | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    before: Transaction
    after: Transaction
    step: Step


def record(transaction: Transaction, decision: Recorded) -> Moved:
    after, step = _recorded(transaction, decision)
    return _moved(transaction, after, step)


def record_signed(transaction: Transaction, signed: Signed) -> Moved:
    """To be stored before anybody hears of the raw bytes."""
    first = transaction.state is State.APPROVED
    kind = "signed" if first else "voided" if signed.kind is Kind.VOID else "replaced"
    after = replace(
        transaction,
        state=State.SIGNED,
        nonce=signed.nonce,
        signed=(signed,) if first else (*transaction.signed, signed),
        reason="",
    )
    return _moved(transaction, after, Step(kind, signed=signed, hash=signed.hash))


def record_answer(transaction: Transaction, signed: Signed, answer: Answer, detail: str) -> Moved | None:
    """None when nothing is new: a node that is asked again says the same for hours."""
    state = State.SENT if answer is Answer.ACCEPTED else transaction.state
    if state is transaction.state and signed.answer is answer:
        return None
    told = tuple(replace(each, answer=answer) if each.hash == signed.hash else each for each in transaction.signed)
    after = replace(transaction, state=state, signed=told)
    return _moved(transaction, after, Step("broadcast", detail, hash=signed.hash, answer=answer))


def _recorded(transaction: Transaction, decision: Recorded) -> tuple[Transaction, Step]:
    match decision:
        case Approve(why):
            return replace(transaction, state=State.APPROVED), Step("approved", why)
        case Mined(receipt):
            after = replace(transaction, state=State.MINED, receipt=receipt, suspected_at=None)
            return after, Step("mined", hash=receipt.hash, receipt=receipt)
        case Unmined():
            gone = transaction.receipt
            after = replace(transaction, state=State.SENT, receipt=None)
            return after, Step("reorged", hash=None if gone is None else gone.hash, receipt=gone)
        case CallOff():
            return replace(transaction, ending=State.EXPIRED), Step("called_off", "Its time has passed.")
        case Suspect(at):
            detail = "Its nonce is free again." if at is None else f"Its nonce is used, as of final block {at}."
            return replace(transaction, suspected_at=at), Step("suspected", detail)
        case Renonce(why):
            after = replace(
                transaction,
                state=State.APPROVED,
                nonce=None,
                signed=(),
                suspected_at=None,
                renonced=transaction.renonced + 1,
                reason=why,
            )
            return after, Step("renonced", why)
        case End(state, reason, receipt):
            after = replace(transaction, state=state, reason=reason, receipt=receipt)
            return after, Step("ended", reason, hash=None if receipt is None else receipt.hash, receipt=receipt)


def _moved(before: Transaction, after: Transaction, step: Step) -> Moved:
    return Moved(before, replace(after, steps=before.steps + 1), step)
