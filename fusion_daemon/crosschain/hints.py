"""What a bridge's own explorer says of a message: a second opinion that explains and never decides.

INVARIANT: a hint changes no state. Gas, error texts and whether anyone may execute by hand are shown beside the
evidence from the chains; a hint that contradicts the chains is shown as well, for that is worth knowing. Nothing but
the reading of one message asks for hints: they are neither stored nor known to the tracker, so they cannot decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from fusion_daemon.crosschain.axelar_trace import is_our_call
from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip_trace import is_our_send
from fusion_daemon.crosschain.evidence import AxelarCalled, CcipSent, Evidence
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.standing import Standing, State
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Hash32

LONGEST_TEXT = 500
"""Characters of a foreign text that are kept."""


class HintUnavailable(Failure):
    """The explorer could not be asked, or its answer was none."""


class Source(StrEnum):
    """Named as in the configuration."""

    AXELARSCAN = "axelarscan"
    CCIP_API = "ccip_api"


@dataclass(frozen=True, slots=True)
class AxelarCall:
    """What axelarscan is asked about."""

    transaction: Hash32
    log_index: int
    """Position in the block."""


@dataclass(frozen=True, slots=True)
class CcipMessage:
    """What the CCIP API is asked about."""

    message: Hash32
    """CCIP's own id."""


Question = AxelarCall | CcipMessage


@dataclass(frozen=True, slots=True)
class Hint:
    status: str
    """In the explorer's own words; what it will say tomorrow passes through."""
    gas: str | None = None
    """`gas_unpaid`, `gas_paid_not_enough_gas` …: Axelar alone tells."""
    error: str | None = None
    ready_for_manual_execution: bool | None = None
    """CCIP alone tells."""


class Outcome(StrEnum):
    ANSWERED = "answered"
    UNKNOWN = "unknown"
    """The explorer does not know the message; a young one it may not have read yet."""
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What came of asking one explorer."""

    source: Source
    outcome: Outcome
    asked_at: float
    """Unix seconds."""
    hint: Hint | None = None
    trouble: str | None = None
    """Why there is none."""


def source_of(question: Question) -> Source:
    return Source.AXELARSCAN if isinstance(question, AxelarCall) else Source.CCIP_API


def questions_of(standing: Standing, evidence: Sequence[Evidence], networks: Networks) -> Sequence[Question]:
    """About the last of our own sends over each bridge; a stranger's with the same payload is not ours to explain, and
    a message that is done needs no explanation. `evidence`: the message's own, in the order of each chain."""
    if standing.state is State.EXECUTED_FINAL:
        return ()
    found, envelope = ByKind(evidence), standing.envelope
    calls = [each.place for each in found.of(AxelarCalled) if is_our_call(each, envelope, networks)]
    sends = [each.message for each in found.of(CcipSent) if is_our_send(each, envelope, networks)]
    return (
        *(AxelarCall(place.tx_hash, place.log_index) for place in calls[-1:]),
        *(CcipMessage(message) for message in sends[-1:]),
    )


def opinion_view(opinion: Opinion) -> dict[str, object]:
    hint = opinion.hint
    return {
        "source": opinion.source.value,
        "outcome": opinion.outcome.value,
        "status": None if hint is None else hint.status,
        "gas": None if hint is None else hint.gas,
        "error": opinion.trouble if hint is None else hint.error,
        "ready_for_manual_execution": None if hint is None else hint.ready_for_manual_execution,
        "asked_at": datetime.fromtimestamp(opinion.asked_at, UTC),
    }


def shortened(text: str) -> str:
    """Printable and bounded, for it is shown."""
    kept = "".join(each if each.isprintable() else " " for each in text[: 2 * LONGEST_TEXT])
    return " ".join(kept.split())[:LONGEST_TEXT]
