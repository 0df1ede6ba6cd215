"""What a chain's journal says: blocks applied and retracted, and what each changed.

The journal of chain N is the durable stream ``journal_stream(N)``. A consumer folds its
entries in order and never reads a canonical flag: APPLY adds the entry's changes, RETRACT
takes the very same changes away again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.identifiers import Address, ChainId, Hash32


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
    so a consumer folds it but does not evaluate before the next entry that settles."""
    changes: tuple[Change, ...]
    """In log order, as of APPLY; a RETRACT carries the same ones."""


def journal_stream(chain: ChainId) -> str:
    return f"journal:{chain}"
