"""When a change of a message is a human's business, and in which words.

INVARIANT: an alarm follows from one change, so the same change makes the same alarm under the same id. Whoever was
told that a message is in trouble is told when it no longer is.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from fusion_daemon.crosschain.standing import ALARMING, Flag, Standing, State, Transition
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.identifiers import hex_of

_GRAVE_STATES = frozenset({State.ORPHAN, State.DUPLICATE})
_GRAVE_FLAGS = frozenset({Flag.FORGED, Flag.SUCCESS_WITHOUT_APPLICATION, Flag.STRAY_APPROVAL})
_NOTED_FLAGS = frozenset({Flag.REFUSED, Flag.REPLAY_REFUSED, Flag.ID_MISMATCH, Flag.GAS_UNPAID})
ALARMING_FLAGS = _GRAVE_FLAGS | _NOTED_FLAGS

_STATES: Mapping[State, str] = {
    State.FAILED: "its execution failed on the destination; it can be executed again",
    State.APP_FAILED: "it arrived, the application refused it, and it waits for a retry",
    State.STUCK: "it has waited too long for: {stage}",
    State.REORGED_OUT: "a reorganisation took its source away",
    State.ORPHAN: "the destination shows it and no source is known: forged, or a source that is not read",
    State.DUPLICATE: "it was executed more than once",
    State.EXPIRED: "its deadline passed before it was applied",
}
_FLAGS: Mapping[Flag, str] = {
    Flag.FORGED: "somebody else's sender, chain or router carried its payload",
    Flag.SUCCESS_WITHOUT_APPLICATION: "the bridge reports success and the application never ran",
    Flag.STRAY_APPROVAL: "its payload was approved for a source transaction that is not on the chain",
    Flag.REFUSED: "the router dropped it without applying it",
    Flag.REPLAY_REFUSED: "it came again, and was dropped",
    Flag.ID_MISMATCH: "a bridge's id for it is not the hash of what it stands for",
    Flag.GAS_UNPAID: "nobody paid for its execution",
}


def alarm_of(transition: Transition, seq: int, now: int) -> Alert | None:
    """The alert of a change, or None where nobody has to know. `seq`: of the change in its stream. `now`: unix
    seconds."""
    before, after = transition.before, transition.after
    new = _troubles(after) - _troubles(before)
    if new:
        return _alert(transition, seq, now, "message." + _worst(new), _severity(new), _words(new, after))
    if _troubles(before) and not _troubles(after):
        state = "gone" if after is None else after.state.value.replace("_", " ")
        severity = _severity(_troubles(before))
        return _alert(transition, seq, now, "message.resolved", severity, f"resolved: it is {state}")
    return None


def _troubles(standing: Standing | None) -> frozenset[State | Flag]:
    if standing is None:
        return frozenset()
    flags = frozenset(flag for flag in standing.flags if flag in ALARMING_FLAGS)
    if Flag.RESENT in standing.flags:
        flags -= {Flag.REPLAY_REFUSED}  # nobody has to look at what somebody has asked for
    return flags | ({standing.state} if standing.state in ALARMING else frozenset())


def _severity(troubles: frozenset[State | Flag]) -> Severity:
    return Severity.CRITICAL if troubles & (_GRAVE_STATES | _GRAVE_FLAGS) else Severity.WARNING


def _worst(troubles: frozenset[State | Flag]) -> str:
    """One word for the alert's type: the gravest, states before flags, in alphabetical order."""
    return min(troubles, key=lambda each: (-_severity(frozenset({each})), isinstance(each, Flag), each.value)).value


def _words(troubles: frozenset[State | Flag], standing: Standing | None) -> str:
    stage = "" if standing is None or standing.stage is None else standing.stage.value.replace("_", " ")
    texts = [_STATES[each].format(stage=stage) if isinstance(each, State) else _FLAGS[each] for each in troubles]
    return "; ".join(sorted(texts))


def _alert(transition: Transition, seq: int, now: int, kind: str, severity: Severity, words: str) -> Alert:
    shown = transition.after or transition.before
    assert shown is not None
    name = hex_of(transition.id)
    envelope = shown.envelope
    way = "" if envelope is None else f" from chain {envelope.source} to {envelope.destination}"
    summary = f"Message {name[:14]}…{way}: {words}."
    data = {
        "alert": f"msg_{seq}",
        "summary": summary,
        "message": name,
        "before": None if transition.before is None else transition.before.state.value,
        "after": None if transition.after is None else transition.after.state.value,
        "stage": shown.stage,
        "flags": list(shown.flags),
        "evidence": [
            {"chain": each.chain, "block": each.block_number, "transaction": hex_of(each.tx_hash)}
            for each in shown.because
        ],
    }
    return Alert(
        id=f"msg_{seq}",
        type=kind,
        severity=severity,
        account=None,
        occurred_at=max((each.timestamp for each in shown.because), default=now),
        summary=summary,
        data=orjson.dumps(data),
    )
