"""What a chain's journal says: blocks applied and retracted, and what each changed.

The journal of chain N is the durable stream ``journal_stream(N)``. A consumer folds its
entries in order and never reads a canonical flag: APPLY adds the entry's changes, RETRACT
takes the very same changes away again.

The history of a contract that is read only since the chain was at its tip comes late: entries of blocks that
were applied long before, in the order of the blocks, between those of the head. So does what an endpoint had
withheld of a block, or what could not be decoded then: a repair.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.identifiers import Address, ChainId, Hash32

CHAIN_VERSION = 1
"""The filter version of entries that are the chain itself."""
REPAIR_VERSION = 0
"""That of entries that add what a final block's first entry should have had: a log that an endpoint withheld, one that
could not be decoded, a block that had been skipped. All entries of one repair are one commit."""


class Op(Enum):
    APPLY = "apply"
    RETRACT = "retract"


class Side(Enum):
    COLLATERAL = "collateral"
    DEBT = "debt"


@dataclass(frozen=True, slots=True)
class BlockRef:
    number: int
    hash: Hash32
    timestamp: int
    """Unix seconds, the block's own."""


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """Additive: an owner's balance in a vault moved by `amount` (signed, base units).

    COLLATERAL amounts are token base units; DEBT amounts are *scaled* (principal shares):
    the debt at time t is scaled x borrow index(t) / RAY.
    """

    vault: Address
    owner: Address
    token: Address
    side: Side
    amount: int


@dataclass(frozen=True, slots=True)
class CreditChange:
    """Register: the desk's credit line of an owner in a vault is now `limit` USD x 1e8."""

    vault: Address
    owner: Address
    limit: int
    log_index: int


@dataclass(frozen=True, slots=True)
class IndexUpdate:
    """Register: from `timestamp` on, borrow index(t) = index x (1 + rate x (t - timestamp))."""

    vault: Address
    token: Address
    borrow_index: int
    """Ray (1e27)."""
    borrow_rate: int
    """Ray per second, simple within the interval."""
    timestamp: int
    log_index: int


@dataclass(frozen=True, slots=True)
class AssetParameters:
    """Register: the risk parameters of a token in a vault."""

    vault: Address
    token: Address
    decimals: int
    ltv_bps: int
    liquidation_threshold_bps: int
    log_index: int


Register = CreditChange | IndexUpdate | AssetParameters
Change = BalanceChange | CreditChange | IndexUpdate | AssetParameters


@dataclass(frozen=True, slots=True)
class JournalEntry:
    chain: ChainId
    seq: int
    op: Op
    block: BlockRef
    settles: bool
    """False inside a reorg's transaction: the state after this entry never was the chain's state,
    so a consumer folds it but does not evaluate before the next entry that settles. Of late history, and of a
    repair, only the last entry settles, whose block is the tip: before it, what they touch is not whole."""
    changes: tuple[Change, ...]
    """In log order, as of APPLY; a RETRACT carries the same ones."""
    filter_version: int = CHAIN_VERSION
    """Above CHAIN_VERSION: the late history of the contracts of that version. REPAIR_VERSION: a repair."""

    @property
    def late(self) -> bool:
        """An APPLY of a canonical block that only adds what was not read of it before: it moves no tip."""
        return self.filter_version != CHAIN_VERSION

    def holds(self, since: int) -> bool:
        """Does a log of its block that counts since the entry `since` belong to it?"""
        return since == self.seq if self.late else since <= self.seq


def journal_stream(chain: ChainId) -> str:
    return f"journal:{chain}"
