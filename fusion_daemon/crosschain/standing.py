"""How a message stands, and what changed: the tracker's answers."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import MessageId, Place
from fusion_daemon.domain.identifiers import ChainId


class State(StrEnum):
    OBSERVED = "observed"
    SOURCE_FINAL = "source_final"
    APPROVED = "approved"
    COMMITTED = "committed"
    EXECUTING = "executing"
    """The bridge ran it, the application has not said so."""
    EXECUTED = "executed"
    EXECUTED_FINAL = "executed_final"
    """Source and application's event are both final. Money acts on this and SOURCE_FINAL alone."""
    FAILED = "failed"
    APP_FAILED = "app_failed"
    RECOVERED = "recovered"
    """Applied by a retry; EXECUTED_FINAL once that is final."""
    STUCK = "stuck"
    REORGED_OUT = "reorged_out"
    ORPHAN = "orphan"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"
    ABANDONED = "abandoned"


APPLIED = frozenset({State.EXECUTED, State.EXECUTED_FINAL, State.RECOVERED, State.DUPLICATE})
"""Progress at which the destination's application has the value."""

ALARMING = frozenset(
    {State.FAILED, State.APP_FAILED, State.STUCK, State.REORGED_OUT, State.ORPHAN, State.DUPLICATE, State.EXPIRED}
)
"""States that a human is told about."""


class Stage(StrEnum):
    """What a message waits for."""

    SOURCE_FINALITY = "source_finality"
    ACCEPTANCE = "acceptance"
    """Axelar's approval, CCIP's commit."""
    EXECUTION = "execution"
    APPLICATION = "application"
    """The application's own event after the bridge reported success."""
    RETRY = "retry"
    RECOVERY = "recovery"
    """Somebody's `retry` of what our router stored."""
    DESTINATION_FINALITY = "destination_finality"


class Flag(StrEnum):
    GAS_UNPAID = "gas_unpaid"
    GAS_LOW = "gas_low"
    FORGED = "forged"
    """Our payload from another sender, chain or router than its envelope names. Never counted; an alarm."""
    SUCCESS_WITHOUT_APPLICATION = "success_without_application"
    SOURCE_UNSEEN = "source_unseen"
    """The destination knows it already, its source is not read yet."""
    REPLAY_REFUSED = "replay_refused"
    """It came again and was dropped: the guard worked."""
    RESENT = "resent"
    """It was handed to a bridge more than once: a replay that is refused is then what has to come."""
    REFUSED = "refused"
    """Our router dropped it for good without applying it."""
    ID_MISMATCH = "id_mismatch"
    """A bridge's id is not the hash of what it stands for."""
    STRAY_APPROVAL = "stray_approval"
    """An approval of our payload that names a source transaction which is not canonical."""


class Standing(msgspec.Struct, frozen=True):
    id: MessageId
    state: State
    progress: State | None
    """How far it came, whatever the clock, the operator or a missing source make of it. None: nothing counts."""
    stage: Stage | None
    """What it waits for; None: nothing more to come."""
    flags: tuple[Flag, ...]
    """In alphabetical order."""
    because: tuple[Place, ...]
    """The evidence that decides the state."""
    envelope: Envelope | None
    """None: no log showed a payload that is one of our envelopes."""
    source: ChainId | None
    """The chain on which a canonical source stands."""
    successor: MessageId | None = None
    """Of a dropped source: the canonical message that took its nonce, or says the same under another nonce."""
    due: int | None = None
    """Unix second at which time alone changes the state."""

    @property
    def applied(self) -> bool:
        return self.progress in APPLIED

    def same(self, other: Standing | None) -> bool:
        """Would a transition between the two tell anybody anything?"""
        return other is not None and (self.state, self.progress, self.stage, self.flags, self.successor) == (
            other.state,
            other.progress,
            other.stage,
            other.flags,
            other.successor,
        )


class Transition(msgspec.Struct, frozen=True):
    """INVARIANT: folding a message's transitions from None gives its standing."""

    id: MessageId
    before: Standing | None
    """None: new."""
    after: Standing | None
    """None: nothing canonical is left of it, and it never had a source."""
    undone: tuple[Place, ...]
    """Evidence of `before` that a reorg took away."""
