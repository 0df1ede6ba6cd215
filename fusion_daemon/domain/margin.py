"""Margin states and the events that record their transitions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from fusion_daemon.domain.identifiers import AccountId, ChainId

MARGIN_STREAM = "margin_events"


class MarginState(IntEnum):
    """Ordered: a greater state is a worse one."""

    HEALTHY = 0
    WARNING = 1
    MARGIN_CALL = 2
    LIQUIDATION = 3


class Cause(Enum):
    PRICE = "price"
    CHAIN = "chain"
    REORG = "reorg"
    INTEREST = "interest"
    CONFIGURATION = "configuration"
    REGISTRY = "registry"


class MarginKind(Enum):
    OPENED = "opened"
    """The first step of an episode: the account left HEALTHY."""
    WORSENED = "worsened"
    IMPROVED = "improved"
    RESOLVED = "resolved"
    """Back to HEALTHY: the episode ends."""
    CORRECTED = "corrected"
    """A reorg took the block away that caused an earlier step: whoever was told is told otherwise."""
    REINSTATED = "reinstated"
    """After a correction the same cause came back (in another block): the same episode goes on."""


@dataclass(frozen=True, slots=True)
class ChainInput:
    chain: ChainId
    seq: int
    block: int


@dataclass(frozen=True, slots=True)
class MarginInputs:
    """Everything an evaluation rested on, so that it can be replayed and explained."""

    price_seq: int
    chains: tuple[ChainInput, ...]
    configuration: str
    """SHA-256 (hex) of the risk configuration."""
    as_of: int
    """Unix seconds at which interest was accrued."""
    unpriced: tuple[str, ...] = ()
    """What the account holds or owes that had no price: it counted as nothing."""


@dataclass(frozen=True, slots=True)
class MarginFigures:
    """USD amounts are integers x 1e8; the health factor is a wad (1e18) or None without debt."""

    collateral_usd: int
    debt_usd: int
    threshold_usd: int
    """Collateral weighted by liquidation threshold."""
    health_factor: int | None
    score_bps: int | None
    """Margin health score (collateral - debt) / debt in basis points, rounded down; None without debt."""
    cure_repay_usd: int
    """Debt to repay that makes the account HEALTHY again; 0 when it is."""
    cure_deposit_usd: int
    """Collateral to add (at the account's average threshold) that does the same; 0 when healthy."""


@dataclass(frozen=True, slots=True)
class MarginEvent:
    account: AccountId
    episode: int
    step: int
    """Identity of an event and of its alert: (account, episode, step), counted from 1."""
    kind: MarginKind
    before: MarginState
    after: MarginState
    cause: Cause
    confirmed: bool
    """False when a price it rests on is missing, stale, suspect or too old. `figures` are the worst that the
    prices allow, and the truth lies between `health_low` and `health_high` (None: open, or no debt)."""
    past: bool
    """True when found while catching up: it happened before the present start of who found it (an outage, or history
    that is read for the first time)."""
    figures: MarginFigures
    health_low: int | None
    health_high: int | None
    inputs: MarginInputs
