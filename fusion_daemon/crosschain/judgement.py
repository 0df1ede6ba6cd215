"""How a message stands: a function of its canonical evidence, of what is final, and of the time.

INVARIANTS
* The order in which evidence arrived plays no part; where order matters it is the chain's own.
* What a wrong sender, chain or contract shows is an alarm and moves nothing.
* Only the application's own event makes a message executed, whatever its bridge reports.
* REORGED_OUT needs one more fact, which is monotone: that a source was once seen (`lost`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fusion_daemon.crosschain.axelar_trace import trace_axelar
from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip_trace import trace_ccip
from fusion_daemon.crosschain.closing import Closed
from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import (
    AxelarCalled,
    CcipSent,
    Evidence,
    ExecutionReverted,
    MessageId,
    Place,
    Received,
    Recovered,
    Refused,
    Resent,
    Retried,
    Sent,
    Stored,
)
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.standing import APPLIED, Flag, Stage, Standing, State
from fusion_daemon.crosschain.terms import LaneTerms, Terms
from fusion_daemon.crosschain.trace import Outcome, Trace
from fusion_daemon.domain.identifiers import ChainId

_GAS = frozenset({Flag.GAS_UNPAID, Flag.GAS_LOW})
_BRIDGES = frozenset({Stage.ACCEPTANCE, Stage.EXECUTION, Stage.RETRY})
"""Stages in which a bridge has to act: who sends the message again gives it its time again."""


class Subject(msgspec.Struct, frozen=True):
    """A message and all canonical evidence that has to do with it."""

    id: MessageId
    envelope: Envelope | None
    evidence: Sequence[Evidence]
    lost: Place | None = None
    """Where a source of it stood that is not canonical any more."""
    successor: MessageId | None = None
    abandoned: bool = False
    """The operator's word."""
    closed: Closed | None = None
    """What is remembered of evidence that is kept no longer."""


@dataclass(frozen=True, slots=True)
class Rules:
    networks: Networks
    terms: Terms


@dataclass(slots=True)
class _Arrival:
    """What our router on the destination says."""

    applied: list[Place]
    recovered: list[Place]
    stored: list[Place]
    refused: list[Place]


@dataclass(frozen=True, slots=True)
class _Step:
    progress: State | None
    stage: Stage | None
    since: int
    """Unix second at which the stage began."""
    because: tuple[Place, ...]


_NOTHING = _Step(None, None, 0, ())


def judge(subject: Subject, rules: Rules, finalized: Mapping[ChainId, int], now: int) -> Standing | None:
    """`finalized`: the highest final block of each chain. None: nothing is left of it, and it never had a source."""
    if not subject.evidence and subject.lost is None and subject.closed is None:
        return None
    envelope, found = subject.envelope, ByKind(subject.evidence)
    lane = rules.terms.default if envelope is None else rules.terms.of(envelope.source, envelope.destination)
    trace = Trace()
    for places, events in ((trace.sources, found.of(Sent)), (trace.resent, found.of(Resent))):
        for event in events:
            at_home = envelope is None or envelope.source == event.place.chain
            (places if at_home else trace.forged).append(event.place)
    if envelope is None or all(end in rules.networks for end in (envelope.source, envelope.destination)):
        trace_axelar(trace, found, envelope, rules.networks, lane.least_gas)
        trace_ccip(trace, found, envelope, rules.networks)
    else:
        trace.forged += _strangers(found, rules.networks)
    arrival = _arrival(trace, found, envelope)
    if envelope is not None:
        trace.outcomes += [
            (each.place, Outcome.FAILURE)
            for each in found.of(ExecutionReverted)
            if each.place.chain == envelope.destination
        ]
    if subject.closed is not None:
        _recall(trace, arrival, subject.closed)
    step = _step(trace, arrival, finalized)
    if step.progress is None and not trace.forged and subject.lost is None:
        return None  # a payment for nothing that was sent
    _flag(trace, arrival, step)
    return _standing(subject, trace, step, lane, rules.terms.orphan_grace, now)


def _strangers(found: ByKind, networks: Networks) -> list[Place]:
    """Of a message one of whose chains nobody reads, or nobody reads any more: what bridges say of it cannot be
    judged, but for who called them where we do read."""
    sent: list[AxelarCalled | CcipSent] = [*found.of(AxelarCalled), *found.of(CcipSent)]
    return [
        each.place
        for each in sent
        if (chain := each.place.chain) in networks
        and each.sender not in (networks.axelar_adapter(chain), networks.ccip_adapter(chain))
    ]


def _arrival(trace: Trace, found: ByKind, envelope: Envelope | None) -> _Arrival:
    arrival = _Arrival([], [], [], [])
    kinds: tuple[tuple[list[Place], Sequence[Received | Recovered | Stored | Retried]], ...] = (
        (arrival.applied, found.of(Received)),
        (arrival.recovered, found.of(Recovered)),
        (arrival.stored, found.of(Stored)),
        (arrival.stored, found.of(Retried)),
    )
    for places, events in kinds:
        for event in events:
            here = envelope is None or envelope.destination == event.place.chain
            (places if here else trace.forged).append(event.place)
    for refused in found.of(Refused):
        route = (refused.source, refused.place.chain)
        meant = envelope is None or route == (envelope.source, envelope.destination)
        (arrival.refused if meant else trace.forged).append(refused.place)
    return arrival


def _recall(trace: Trace, arrival: _Arrival, closed: Closed) -> None:
    """A log that is read again is the one that is remembered."""
    trace.flags.update(closed.flags)
    if closed.source is not None and closed.source not in trace.sources:
        trace.sources.append(closed.source)
    if closed.forged is not None and closed.forged not in trace.forged:
        trace.forged.append(closed.forged)
    if closed.applied is not None and closed.applied not in (*arrival.applied, *arrival.recovered):
        arrival.applied.append(closed.applied)


def _step(trace: Trace, arrival: _Arrival, finalized: Mapping[ChainId, int]) -> _Step:
    """How far it came, by what the chains say alone: the furthest that is proven."""
    source = min(trace.sources, key=_age, default=None)
    applied = arrival.applied + arrival.recovered
    if applied:
        return _applied(source, applied, arrival, finalized)
    if arrival.stored:
        stored = min(arrival.stored, key=_age)
        return _Step(State.APP_FAILED, Stage.RECOVERY, stored.timestamp, (stored,))
    if arrival.refused:
        refused = min(arrival.refused, key=_age)
        return _Step(State.FAILED, Stage.RETRY, refused.timestamp, (refused,))
    if trace.outcomes:
        place, outcome = max(trace.outcomes, key=lambda each: (each[0].order, each[1].value))
        if outcome is Outcome.FAILURE:
            return _Step(State.FAILED, Stage.RETRY, place.timestamp, (place,))
        return _Step(State.EXECUTING, Stage.APPLICATION, place.timestamp, (place,))
    if trace.accepted:
        accepted, state = min(trace.accepted, key=lambda each: _age(each[0]))
        return _Step(state, Stage.EXECUTION, accepted.timestamp, (accepted,))
    if source is None:
        return _NOTHING
    if not _final(source, finalized):
        return _Step(State.OBSERVED, Stage.SOURCE_FINALITY, source.timestamp, (source,))
    stage = Stage.EXECUTION if trace.silent else Stage.ACCEPTANCE
    return _Step(State.SOURCE_FINAL, stage, source.timestamp, (source,))


def _applied(
    source: Place | None, applied: Sequence[Place], arrival: _Arrival, finalized: Mapping[ChainId, int]
) -> _Step:
    first = min(applied, key=_age)
    if len(applied) > 1:
        return _Step(State.DUPLICATE, None, first.timestamp, tuple(sorted(applied, key=_age)))
    if source is not None and _final(source, finalized) and _final(first, finalized):
        return _Step(State.EXECUTED_FINAL, None, first.timestamp, (source, first))
    state = State.RECOVERED if arrival.recovered else State.EXECUTED
    return _Step(state, Stage.DESTINATION_FINALITY, first.timestamp, (first,))


def _flag(trace: Trace, arrival: _Arrival, step: _Step) -> None:
    flags = trace.flags
    if trace.forged:
        flags.add(Flag.FORGED)
    if step.progress is not None and not trace.sources:
        flags.add(Flag.SOURCE_UNSEEN)
    if trace.resent:
        flags.add(Flag.RESENT)
    if arrival.refused:
        delivered = arrival.applied or arrival.recovered or arrival.stored
        flags.add(Flag.REPLAY_REFUSED if delivered else Flag.REFUSED)
    if any(outcome is Outcome.SUCCESS for _, outcome in trace.outcomes):
        told = (*arrival.applied, *arrival.recovered, *arrival.stored, *arrival.refused)
        heard = {(place.block_hash, place.tx_hash) for place in told}
        for place, outcome in trace.outcomes:
            if outcome is Outcome.SUCCESS and (place.block_hash, place.tx_hash) not in heard:
                flags.add(Flag.SUCCESS_WITHOUT_APPLICATION)
    if step.progress in APPLIED:
        flags -= _GAS  # it got there: nobody has to pay any more


def _standing(subject: Subject, trace: Trace, step: _Step, lane: LaneTerms, grace: int, now: int) -> Standing:
    state, because, due = _verdict(subject, trace, step, lane, grace, now)
    source = min(trace.sources, key=_age, default=None)
    return Standing(
        subject.id,
        state,
        step.progress,
        step.stage,
        tuple(sorted(trace.flags)),
        because,
        subject.envelope,
        None if source is None else source.chain,
        subject.successor if state is State.REORGED_OUT else None,
        due,
    )


def _verdict(
    subject: Subject, trace: Trace, step: _Step, lane: LaneTerms, grace: int, now: int
) -> tuple[State, tuple[Place, ...], int | None]:
    """State, its evidence, and when time alone changes it. The gravest truth first."""
    progress, because = step.progress, step.because
    applied = progress in APPLIED
    if progress is State.DUPLICATE:
        return State.DUPLICATE, because, None
    if not trace.sources and subject.lost is not None:
        return State.REORGED_OUT, (subject.lost, *because), None
    if subject.abandoned and not applied:
        return State.ABANDONED, because or tuple(sorted(trace.forged, key=_age)), None
    if progress is None:
        return State.ORPHAN, tuple(sorted(trace.forged, key=_age)), None
    if not trace.sources:
        patience = step.since + grace
        return (State.ORPHAN, because, None) if now >= patience else (progress, because, patience)
    times: list[tuple[int, State]] = []
    if subject.envelope is not None and subject.envelope.deadline and not applied:
        times.append((subject.envelope.deadline + 1, State.EXPIRED))
    if step.stage is not None:
        allowed = lane.of(step.stage)
        if progress is State.SOURCE_FINAL and step.stage is Stage.EXECUTION:
            allowed += lane.acceptance
        times.append((_since(step, trace) + allowed, State.STUCK))
    passed = [state for at, state in times if now >= at]
    due = min((at for at, _ in times if now < at), default=None)
    if State.EXPIRED in passed:
        return State.EXPIRED, because, None
    return (passed[0] if passed else progress), because, due


def _since(step: _Step, trace: Trace) -> int:
    if step.stage not in _BRIDGES:
        return step.since
    return max([step.since, *(each.timestamp for each in trace.resent)])


def _final(place: Place, finalized: Mapping[ChainId, int]) -> bool:
    return place.block_number <= finalized.get(place.chain, -1)


def _age(place: Place) -> tuple[int, int, int, bytes]:
    """A total order: the same evidence is chosen whatever came first."""
    return (place.timestamp, place.block_number, place.log_index, place.block_hash)
