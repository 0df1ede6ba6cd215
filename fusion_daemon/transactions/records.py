"""A transaction on its way, as the queue holds it. Plain values; every change is a new one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.domain.transaction import Intent
from fusion_daemon.transactions.fees import Fees


class State(StrEnum):
    PROPOSED = "proposed"
    APPROVED = "approved"
    SIGNED = "signed"
    """Its raw bytes are stored, and perhaps broadcast."""
    SENT = "sent"
    """A node took it."""
    MINED = "mined"
    """In a block that is not final."""
    FINAL = "final"
    REFUSED = "refused"
    """By the limits or by an operator; it was never signed."""
    REVERTED = "reverted"
    """In a final block, without effect."""
    REPLACED = "replaced"
    """Somebody else used its nonces, time and again; it has no effect."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """Could not be signed: its simulation reverts, or it needs more gas than it may."""


HOLDING = frozenset({State.SIGNED, State.SENT, State.MINED})
"""It holds a nonce, which nobody else of us gets before a final block has used it."""
OPEN = frozenset({State.PROPOSED, State.APPROVED, *HOLDING})
WITHOUT_EFFECT = frozenset(
    {State.REFUSED, State.REVERTED, State.REPLACED, State.EXPIRED, State.CANCELLED, State.FAILED}
)


class Kind(StrEnum):
    """Of what was signed."""

    INTENT = "intent"
    VOID = "void"
    """Nothing, to oneself: it uses up the nonce in the intent's place."""


class Answer(StrEnum):
    """What a node made of raw bytes."""

    ACCEPTED = "accepted"
    """Or it knew them already."""
    TOO_LOW = "nonce_too_low"
    UNDERPRICED = "underpriced"
    POOR = "insufficient_funds"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Signed:
    """Raw bytes with our signature: each may be mined at any time, as long as its nonce is free."""

    kind: Kind
    hash: Hash32
    raw: bytes
    nonce: int
    gas: int
    fees: Fees
    signed_at: float
    """Unix seconds."""
    answer: Answer | None = None
    """The last one on record; None when none is."""


@dataclass(frozen=True, slots=True)
class Receipt:
    hash: Hash32
    block_number: int
    block_hash: Hash32
    succeeded: bool
    gas_used: int
    gas_price: int
    """Wei, as it was paid."""


@dataclass(frozen=True, slots=True)
class Transaction:
    intent: Intent
    number: int
    """Its place in the queue."""
    state: State
    proposed_at: float
    """Unix seconds."""
    steps: int = 1
    """How many are on record: who changes it names the number that he has seen."""
    reason: str = ""
    nonce: int | None = None
    signed: tuple[Signed, ...] = ()
    """Under the present nonce, the latest last."""
    receipt: Receipt | None = None
    ending: State | None = None
    """CANCELLED or EXPIRED: it is being called off, and ends so unless the intent is mined first."""
    suspected_at: int | None = None
    """The final block at which its nonce first seemed to be used by somebody else for good."""
    renonced: int = 0
    """How often somebody else used its nonce."""
    approvals: frozenset[str] = frozenset()

    @property
    def latest(self) -> Signed:
        """Of one that holds a nonce."""
        return self.signed[-1]
