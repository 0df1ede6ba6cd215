"""May it be sent? Allow-list, limits of value, four eyes. Pure; what nothing allows is refused.

INVARIANTS
* Within any 24 hours no more than a limit is approved: what was approved counts until it has ended without effect.
* The chain's own currency is limited by what the transaction really carries, whatever its proposer says of it.
* Above the threshold two principals approve, and one does each call that the allow-list says to. Its proposer is never
  among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fusion_daemon.domain.identifiers import AssetId, hex_of
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.transactions.decide import End, Wait, is_late
from fusion_daemon.transactions.records import State, Transaction
from fusion_daemon.transactions.settings import AllowedCall, AmountLimit, Limits, SignerSettings

FOUR_EYES = 2


@dataclass(frozen=True, slots=True)
class Approve:
    why: str


Spent = Mapping[tuple[str, AssetId], int]
"""By purpose and asset: what was approved within the last 24 hours and counts."""


def moves(intent: Intent) -> dict[AssetId, int]:
    """What it moves, by asset."""
    moved = {intent.asset: intent.amount}
    if intent.value or intent.asset == NATIVE_ASSET:
        moved[NATIVE_ASSET] = max(intent.value, moved.get(NATIVE_ASSET, 0))
    return {asset: amount for asset, amount in moved.items() if amount}


def judge(
    transaction: Transaction, signer: SignerSettings | None, limits: Limits, spent: Spent, now: float
) -> Approve | Wait | End:
    """Of one that is proposed."""
    intent = transaction.intent
    if is_late(transaction, now):
        return End(State.EXPIRED, "Its time passed before it was approved.")
    refusal = next(_refusals(intent, signer, limits, spent), None)
    if refusal is not None:
        return End(State.REFUSED, refusal)
    needed, given = _approvals_needed(intent, limits), transaction.approvals - {intent.proposer}
    if not needed:
        return Approve("Within the limits.")
    if len(given) < needed:
        return Wait(f"{len(given)} of {needed} principals have approved it.")
    return Approve(f"By {' and '.join(sorted(given))}.")


def _approvals_needed(intent: Intent, limits: Limits) -> int:
    if _is_large(intent, limits):
        return FOUR_EYES
    return 1 if any(each.approval for each in _allowing(intent, limits)) else 0


def _is_large(intent: Intent, limits: Limits) -> bool:
    return any(
        limit is not None and amount > limit.four_eyes_above
        for asset, amount in moves(intent).items()
        for limit in [_limit(intent, asset, limits)]
    )


def _refusals(intent: Intent, signer: SignerSettings | None, limits: Limits, spent: Spent) -> Iterator[str]:
    if signer is None or intent.chain not in signer.chains:
        yield f"Nobody here signs for {hex_of(intent.signer)} on chain {intent.chain}."
    if not _allowing(intent, limits):
        what = hex_of(intent.selector) if intent.data else "a payment"
        yield f"{what} to {hex_of(intent.to)} on chain {intent.chain} is not allowed for {intent.purpose}."
    for asset, amount in moves(intent).items():
        limit = _limit(intent, asset, limits)
        before = spent.get((intent.purpose, asset), 0)
        if limit is None:
            yield f"No limit says how much {asset} may be moved for {intent.purpose}."
        elif amount > limit.each:
            yield f"It moves {amount} {asset}; {limit.each} may be moved at once for {intent.purpose}."
        elif before + amount > limit.day:
            yield (
                f"It moves {amount} {asset}; {before} of {limit.day} are spoken for within the last 24 hours "
                f"for {intent.purpose}."
            )


def _allowing(intent: Intent, limits: Limits) -> list[AllowedCall]:
    if 0 < len(intent.data) < 4:
        return []  # no selector: whatever the contract makes of it, nobody allowed it
    wanted = (intent.chain, intent.to, intent.selector)
    return [
        each
        for each in limits.calls
        if (each.chain, each.to, each.selector) == wanted and intent.purpose in each.purposes
    ]


def _limit(intent: Intent, asset: AssetId, limits: Limits) -> AmountLimit | None:
    return (limits.amounts or {}).get((intent.purpose, asset))
