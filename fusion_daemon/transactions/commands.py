"""What an operator may say about a transaction, and when it is too late. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum

from fusion_daemon.domain.failure import Failure
from fusion_daemon.transactions.moves import Moved, Step
from fusion_daemon.transactions.records import HOLDING, State, Transaction


class Command(StrEnum):
    APPROVE = "approve"
    REFUSE = "refuse"
    CANCEL = "cancel"


class UnknownTransaction(Failure):
    """Nobody proposed one under this id."""


class TransactionSettled(Failure):
    """It is past the point at which this could be said."""


class AlreadyApproved(Failure):
    """This principal has approved it: another one has to."""


class OwnTransaction(Failure):
    """This principal proposed it: another one has to approve it."""


def command(transaction: Transaction | None, id_: str, asked: Command, principal: str) -> Moved:
    """What it makes of the transaction. Raises the failures above."""
    if transaction is None:
        raise unknown(id_)
    after = _AFTER[asked](transaction, principal)
    return Moved(transaction, replace(after, steps=transaction.steps + 1), Step(_STEPS[asked], f"By {principal}."))


def unknown(id_: str) -> UnknownTransaction:
    return UnknownTransaction(
        f"There is no transaction {id_}.", "Nothing was done.", "`GET /v1/transactions` lists those there are."
    )


_STEPS = {Command.APPROVE: "vouched", Command.REFUSE: "refused", Command.CANCEL: "called_off"}


def _approved(transaction: Transaction, principal: str) -> Transaction:
    if transaction.state is not State.PROPOSED:
        raise _settled(transaction)
    if principal == transaction.intent.proposer:
        raise OwnTransaction(
            f"{principal} proposed {transaction.intent.id}.",
            "Nobody approves what is their own: nothing was changed.",
            "Have another one approve it.",
        )
    if principal in transaction.approvals:
        raise AlreadyApproved(
            f"{principal} has approved {transaction.intent.id} already.",
            "One word of each principal counts: nothing was changed.",
            "Have another one approve it.",
        )
    return replace(transaction, approvals=transaction.approvals | {principal})


def _refused(transaction: Transaction, principal: str) -> Transaction:
    return _ended(transaction, State.REFUSED, principal, frozenset({State.PROPOSED}))


def _cancelled(transaction: Transaction, principal: str) -> Transaction:
    """One that is signed may be mined at any time, so that it can only be outbid by nothing under its nonce."""
    if transaction.state in HOLDING - {State.MINED}:
        if transaction.ending is not None:
            raise _settled(transaction)
        return replace(transaction, ending=State.CANCELLED)
    return _ended(transaction, State.CANCELLED, principal, frozenset({State.PROPOSED, State.APPROVED}))


def _ended(transaction: Transaction, state: State, principal: str, early: frozenset[State]) -> Transaction:
    if transaction.state not in early:
        raise _settled(transaction)
    return replace(transaction, state=state, reason=f"By {principal}.")


def _settled(transaction: Transaction) -> TransactionSettled:
    how = transaction.state.value if transaction.ending is None else f"being called off ({transaction.ending.value})"
    return TransactionSettled(
        f"The transaction {transaction.intent.id} is {how}.",
        "It is too late for that; nothing was changed.",
        "See `GET /v1/transactions/{id}`.",
    )


_AFTER: Mapping[Command, Callable[[Transaction, str], Transaction]] = {
    Command.APPROVE: _approved,
    Command.REFUSE: _refused,
    Command.CANCEL: _cancelled,
}
