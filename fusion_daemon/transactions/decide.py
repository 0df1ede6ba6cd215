"""What to do next with a transaction, given what its chain shows. Pure: time and chain are arguments.

INVARIANTS
* One effect at most. All that is ever signed for an intent carries one nonce, until a final block has used that for
  somebody else's transaction, and two looks apart have seen no receipt of ours: only then it gets another one.
* Once signed, a transaction ends by a final block alone: its intent's, its void's, or that of who used its nonce.
* After a reorg the same raw bytes are sent again: what was promised to whoever watches the hash stays true.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.transactions.fees import Fees, Market, better_offer, first_offer
from fusion_daemon.transactions.nonces import Counts, used_by_another
from fusion_daemon.transactions.records import Answer, Kind, Receipt, Signed, State, Transaction
from fusion_daemon.transactions.settings import SendingPolicy

_HEARD = (Answer.ACCEPTED, Answer.UNDERPRICED, Answer.REFUSED)
"""What more money may mend."""
VOID_ROOM = 2
"""A void may cost this times the intent's cap: it has to outbid an intent that is there already."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one node showed at one moment, of one signer."""

    head: int
    final: int
    """Number of the last final block."""
    counts: Counts
    market: Market
    receipts: Mapping[Hash32, Receipt]
    known: frozenset[Hash32]
    """Which of ours the node has, in its pool or in a block."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A simulation that went well."""

    gas: int


@dataclass(frozen=True, slots=True)
class Reverted:
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    why: str
    trouble: bool = False
    """An operator should know."""


@dataclass(frozen=True, slots=True)
class Sign:
    kind: Kind
    nonce: int
    gas: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class Broadcast:
    signed: Signed


@dataclass(frozen=True, slots=True)
class Mined:
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Unmined:
    """The block that it was in is no longer the chain's."""


@dataclass(frozen=True, slots=True)
class CallOff:
    """Its time has passed."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """Somebody else seems to have used its nonce for good, as of this final block; None: he has not."""

    at: int | None


@dataclass(frozen=True, slots=True)
class Renonce:
    why: str


@dataclass(frozen=True, slots=True)
class End:
    state: State
    reason: str
    receipt: Receipt | None = None


Decision = Wait | Sign | Broadcast | Mined | Unmined | CallOff | Suspect | Renonce | End


def is_late(transaction: Transaction, now: float) -> bool:
    return transaction.intent.deadline is not None and now >= transaction.intent.deadline


def prepare(
    transaction: Transaction,
    trial: Trial | Reverted,
    market: Market,
    nonce: int,
    gas_budget: int,
    policy: SendingPolicy,
) -> Sign | Wait | End:
    """Of one that is approved and not late. `gas_budget` in wei: what its signer may still commit to gas today."""
    intent = transaction.intent
    if isinstance(trial, Reverted):
        return End(State.FAILED, f"Its simulation reverts: {trial.reason}")
    needed = max(trial.gas, intent.gas_floor)
    if needed > intent.gas_cap:
        return End(State.FAILED, f"It needs {needed} gas and may use {intent.gas_cap}.")
    fees = first_offer(market, intent.fee_cap)
    if fees is None:
        return Wait(f"The base fee is {market.base_fee} wei, and it may pay {intent.fee_cap}.", True)
    gas = min(intent.gas_cap, max(intent.gas_floor, trial.gas + trial.gas * policy.gas_margin_percent // 100))
    if gas * fees.most > gas_budget:
        return Wait(f"It may cost {gas * fees.most} wei of gas; {gas_budget} are left of the day's budget.", True)
    return Sign(Kind.INTENT, nonce, gas, fees)


def decide(transaction: Transaction, sight: Sight, now: float, policy: SendingPolicy) -> Decision:
    """Of one that holds a nonce. `now` in unix seconds."""
    mined = [sight.receipts[each.hash] for each in transaction.signed if each.hash in sight.receipts]
    if mined:
        return _in_block(transaction, mined[0], sight)
    if transaction.state is State.MINED:
        return Unmined()
    assert transaction.nonce is not None
    if used_by_another(transaction.nonce, sight.counts):
        return _used(transaction, sight, policy)
    if transaction.suspected_at is not None:
        return Suspect(None)
    if transaction.nonce < sight.counts.latest:
        return Wait(f"Somebody else used nonce {transaction.nonce}, in a block that is not final.", True)
    return _in_pool(transaction, sight, now, policy)


def _in_block(transaction: Transaction, receipt: Receipt, sight: Sight) -> Decision:
    if receipt.block_number <= sight.final:
        return _final(transaction, receipt)
    if transaction.state is State.MINED and transaction.receipt == receipt:
        return Wait(f"Block {receipt.block_number} is not final.")
    return Mined(receipt)


def _final(transaction: Transaction, receipt: Receipt) -> End:
    kind = next(each.kind for each in transaction.signed if each.hash == receipt.hash)
    if kind is Kind.VOID:
        assert transaction.ending is not None  # a void is signed for nothing else
        return End(transaction.ending, "It was called off, and its nonce is used.", receipt)
    if receipt.succeeded:
        return End(State.FINAL, "", receipt)
    return End(State.REVERTED, "Its block is final, and it had no effect.", receipt)


def _used(transaction: Transaction, sight: Sight, policy: SendingPolicy) -> Decision:
    if transaction.suspected_at is None:
        return Suspect(sight.final)
    if sight.final <= transaction.suspected_at:
        return Wait(f"Somebody else seems to have used nonce {transaction.nonce}.", True)
    why = f"Somebody else used nonce {transaction.nonce}, in a final block."
    if transaction.ending is not None:
        return End(transaction.ending, f"{why} It was being called off.")
    if transaction.renonced >= policy.most_renonced:
        return End(State.REPLACED, f"{why} That was {policy.most_renonced + 1} times: who else holds this key?")
    return Renonce(why)


def _in_pool(transaction: Transaction, sight: Sight, now: float, policy: SendingPolicy) -> Decision:
    latest = transaction.latest
    if transaction.ending is None and is_late(transaction, now):
        return CallOff()
    if transaction.ending is not None and latest.kind is Kind.INTENT:
        return _raise(transaction, Kind.VOID, sight.market) or Wait(
            "It is to be called off, and a void costs more than twice its fee cap.", True
        )
    slow = latest.answer in _HEARD and now - latest.signed_at >= policy.replace_after
    if slow or latest.answer is Answer.UNDERPRICED:
        better = _replacement(transaction, sight.market, policy)
        if better is not None:
            return better
    if transaction.state is State.SENT and latest.hash in sight.known:
        return Wait("A node has it.", slow)
    return Broadcast(latest)


def keep_up(transaction: Transaction, sight: Sight) -> Broadcast | Wait:
    """Of one that is to be signed anew, and whose key cannot be used: what is signed already is all there is."""
    latest = transaction.latest
    if transaction.ending is not None and latest.kind is Kind.INTENT:
        return Wait("It is to be called off, and no void can be signed.", True)
    if transaction.state is State.SENT and latest.hash in sight.known:
        return Wait("A node has it, and nothing better can be signed.", True)
    return Broadcast(latest)


def _replacement(transaction: Transaction, market: Market, policy: SendingPolicy) -> Sign | None:
    if len(transaction.signed) > policy.most_replacements:
        return None
    return _raise(transaction, transaction.latest.kind, market)


def _raise(transaction: Transaction, kind: Kind, market: Market) -> Sign | None:
    latest = transaction.latest
    cap = transaction.intent.fee_cap * (VOID_ROOM if kind is Kind.VOID else 1)
    fees = better_offer(latest.fees, market, cap)
    return None if fees is None else Sign(kind, latest.nonce, latest.gas, fees)
