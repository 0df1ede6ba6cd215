"""Which nonce is whose. Per signer and chain; pure.

INVARIANTS
* A nonce that was signed with is its transaction's until a final block has used it: raw bytes with another intent
  under it would race the first, and one that comes back after a reorg would meet them.
* No nonce below one that is held stays unused: a gap that lasts is the next to be taken, and what nobody takes is
  filled.
* A nonce that the node's pool holds and we do not is somebody else's; we do not bid against him while he is in time.
* A node that counts fewer than were final is behind (or its chain was cut): nothing is signed on its word.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """How many transactions of an account a node counts: the next free nonce after them."""

    final: int
    latest: int
    pending: int
    """With those of its pool that follow without a gap."""


def is_behind(counts: Counts, floor: int) -> bool:
    """`floor`: the first nonce above all that we have seen used in a final block."""
    return counts.latest < floor


def next_nonce(counts: Counts, held: Collection[int], floor: int) -> int | None:
    """The lowest that nobody seems to use; None while the node is behind."""
    if is_behind(counts, floor):
        return None
    return _free(max(counts.pending, counts.latest, floor), held)


def lowest_gap(counts: Counts, held: Collection[int], floor: int) -> int | None:
    """The lowest nonce that is not used and not ours, and so keeps a higher one of ours from being mined. It may be
    in somebody's pool: what a node counts as pending does not say, for some count beyond a gap."""
    if is_behind(counts, floor):
        return None
    free = _free(max(counts.latest, floor), held)
    return free if free < max(held, default=-1) else None


def _free(nonce: int, held: Collection[int]) -> int:
    while nonce in held:
        nonce += 1
    return nonce


def used_by_another(nonce: int, counts: Counts) -> bool:
    """Whether a nonce of ours under which no receipt is ours is used in a final block: then nothing that we signed
    with it can be mined any more."""
    return nonce < counts.final
