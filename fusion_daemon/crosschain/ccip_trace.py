"""What CCIP shows of a message: its id leads from end to end, lane and number to the commit of 1.5 and 1.6."""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import (
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipSkipped,
    CcipState,
    CcipVersion,
)
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.standing import Flag, State
from fusion_daemon.crosschain.trace import Outcome, Trace

_OUTCOMES = {
    CcipState.IN_PROGRESS: Outcome.RUNNING,
    CcipState.SUCCESS: Outcome.SUCCESS,
    CcipState.FAILURE: Outcome.FAILURE,
}


def trace_ccip(trace: Trace, found: ByKind, envelope: Envelope | None, networks: Networks) -> None:
    sent = []
    for each in found.of(CcipSent):
        if not is_our_send(each, envelope, networks):
            trace.forged.append(each.place)
            continue
        sent.append(each)
        trace.sources.append(each.place)
        trace.silent |= each.version is CcipVersion.V2_0
        if not each.sound:
            trace.flags.add(Flag.ID_MISMATCH)
    if not sent:
        return
    _trace_commits(trace, found, sent)
    destination = None if envelope is None else envelope.destination
    messages = {each.message for each in sent}
    for run in found.of(CcipExecuted):
        outcome = _OUTCOMES.get(run.state)
        if outcome is not None and run.message in messages and destination in (None, run.place.chain):
            trace.outcomes.append((run.place, outcome))
    numbers = {(*each.lane[:3], each.seq) for each in sent if each.lane is not None}
    if any(skip.lane is not None and (*skip.lane[:3], skip.seq) in numbers for skip in found.of(CcipSkipped)):
        trace.flags.add(Flag.REPLAY_REFUSED)


def _trace_commits(trace: Trace, found: ByKind, sent: Sequence[CcipSent]) -> None:
    for commit in found.of(CcipCommitted):
        covered = any(each.lane == commit.lane and commit.first <= each.seq <= commit.last for each in sent)
        if covered and not is_withdrawn(commit, found.of(CcipRootRemoved)):
            trace.accepted.append((commit.place, State.COMMITTED))


def is_withdrawn(commit: CcipCommitted, removals: Sequence[CcipRootRemoved]) -> bool:
    """After it, on its chain: a root that was removed can be committed again."""
    return any(
        removal.root == commit.root
        and removal.place.chain == commit.place.chain
        and removal.place.order > commit.place.order
        for removal in removals
    )


def is_our_send(sent: CcipSent, envelope: Envelope | None, networks: Networks) -> bool:
    chain = sent.place.chain
    if sent.sender != networks.ccip_adapter(chain):
        return False
    if sent.lane is not None and sent.lane[1] != networks.selector(chain):
        return False
    if envelope is None:
        return True
    far = envelope.destination
    return (
        envelope.source == chain
        and sent.receiver == networks.ccip_adapter(far)
        and (sent.lane is None or sent.lane[2] == networks.selector(far))
    )
