"""What an operator orders about a chain's history, and what comes of it. Pure.

INVARIANTS
* A replay and a redecode touch final blocks alone, and add only what was missing.
* An order is obeyed piece by piece, each recorded in the commit that holds what it repaired: killed anywhere, the next
  life goes on behind the last piece, and counts nothing twice.
* A skip is of blocks that are not read yet, or that a reorg may yet replace by others. It lasts until a replay has
  read all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import msgspec

from fusion_daemon.chain.coverage import Coverage, Range, common
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import ChainId

MOST_SKIPPED = 1_000
"""Blocks of one skip. Who wants to leave out more begins elsewhere."""


class OrderRefused(Failure):
    """A replay or a redecode that cannot be done."""


class SkipRefused(Failure):
    """A skip of blocks that were read, do not come next, or are too many."""


class Kind(Enum):
    REPLAY = "replay"
    REDECODE = "redecode"


class Tally(msgspec.Struct, frozen=True):
    """What came of an order."""

    blocks: int = 0
    """Looked at; those whose logs retention has dropped are not."""
    logs: int = 0
    """Stored ones that were looked at; of a redecode, those without arguments."""
    missing: int = 0
    """Logs that the chain has, and that were not stored."""
    decodable: int = 0
    """Stored logs that had no arguments and decode by now."""
    repaired: int = 0
    """Of those two, how many were stored or decoded; a dry run repairs nothing."""
    differing: int = 0
    """Logs of which an endpoint says something else than what is stored, or than another endpoint. They stay as they
    are."""
    made_good: int = 0
    """Skipped blocks that are read by now."""

    def plus(self, other: Tally) -> Tally:
        mine, others = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Tally(*(one + more for one, more in zip(mine, others, strict=True)))


@dataclass(frozen=True, slots=True)
class Order:
    number: int
    chain: ChainId
    kind: Kind
    range: Range
    dry_run: bool
    asked_by: str
    asked_at: datetime
    state: str
    """`waiting`, `running`, `done`, `failed`."""
    next: int
    """The first of its blocks that was not looked at yet."""
    tally: Tally
    trouble: str | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Skip:
    number: int
    range: Range
    reason: str
    asked_by: str
    asked_at: datetime
    in_force_at: datetime | None
    made_good_at: datetime | None

    def made_good(self, coverage: Coverage, tip: int) -> bool:
        """Does this coverage leave out nothing of it, up to its last block?"""
        if self.range.last > tip:
            return False
        return not any(common(coverage.unread(version, tip), (self.range,)) for version in coverage.ranges)


def order_refusal(asked: Range, first: int, final: int) -> OrderRefused | None:
    """`first`: the chain's first block; `final`: its last stored one that is final. An end that the operator left open
    is one of them, so the other may lie beyond it."""
    if first <= asked.first <= asked.last <= final:
        return None
    reach = "Nothing that is stored is final yet." if final < first else f"Blocks {first} to {final} are."
    return OrderRefused(
        f"Blocks {asked.first} to {asked.last} are not all stored and final. {reach}",
        "Nothing was done: what is not final may be replaced as a whole, and is read anew then.",
        "Ask for final blocks; `GET /v1/chains` tells the last one.",
    )


def skip_refusal(asked: Range, coverage: Coverage, next_number: int, finalized: int) -> SkipRefused | None:
    """`next_number`: the block that is read next at the chain's tip. What is not final may be read anew, on another
    branch."""
    blocks = asked.last - asked.first + 1
    if blocks > MOST_SKIPPED:
        happened = f"{blocks} blocks are more than the {MOST_SKIPPED} that one skip may hold."
    elif asked.first > next_number:
        happened = f"Block {asked.first} does not come next: that is {next_number}."
    else:
        read = min(asked.last, finalized, next_number - 1)
        lacking = {gap for version in coverage.ranges for gap in coverage.gaps(version, next_number - 1)}
        final = [block for block in range(asked.first, read + 1) if not _holds(lacking, block)]
        if not final:
            return None
        happened = f"The logs of block {final[0]}, which is final, are read already, or skipped."
    return SkipRefused(
        happened,
        "Nothing is skipped: an order to go on without a block's logs is for blocks that cannot be read.",
        "`fusion-daemon coverage` shows what is missing, and the chain's reason in `status` which block is in the way.",
    )


def _holds(ranges: set[Range], block: int) -> bool:
    return any(each.first <= block <= each.last for each in ranges)
