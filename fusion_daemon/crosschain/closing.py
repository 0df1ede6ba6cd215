"""What is remembered of a message after its evidence is kept no longer.

A message is closed when it ended for good: its source and its one application are final and old, or it is nothing but
somebody else's forgery, given up or not. What may still move (stuck, expired, failed, given up) keeps all that shows
it, and so does what was executed twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import Evidence, Place
from fusion_daemon.crosschain.standing import Flag, Standing, State
from fusion_daemon.domain.identifiers import ChainId


class Closed(msgspec.Struct, frozen=True):
    """INVARIANT: it judges as the evidence did, alone and with whatever comes later: a second application is a
    DUPLICATE still. The logs it stands for may come again, and count once."""

    envelope: Envelope | None
    source: Place | None
    applied: Place | None
    forged: Place | None
    """Of a forgery that is nothing else; then there is no other place."""
    flags: tuple[Flag, ...]


def closed_of(standing: Standing) -> Closed | None:
    """None: it may still move, or what shows it is worth keeping."""
    if standing.state is State.EXECUTED_FINAL and standing.envelope is not None:
        source, applied = standing.because
        return Closed(standing.envelope, source, applied, None, standing.flags)
    if standing.state in (State.ORPHAN, State.ABANDONED) and standing.progress is None:
        return Closed(standing.envelope, None, None, standing.because[0], standing.flags)
    return None


def settled(evidence: Iterable[Evidence], finalized: Mapping[ChainId, int], before: int) -> bool:
    """All of it is final, and of before that unix second."""
    return all(
        each.place.block_number <= finalized.get(each.place.chain, -1) and each.place.timestamp < before
        for each in evidence
    )
