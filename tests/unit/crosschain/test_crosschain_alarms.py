"""An alarm follows from one change, says the gravest thing, and is taken back when the trouble is over."""

from __future__ import annotations

import orjson
import pytest

from fusion_daemon.crosschain import ALARMING, Flag, Standing, State, Transition
from fusion_daemon.crosschain.alarms import alarm_of
from fusion_daemon.domain.alert import Severity
from fusion_daemon.domain.identifiers import hex_of
from tests.unit.crosschain.world import NOW, A, B, Message, at

MESSAGE = Message()
PLACE = at(B, 5)
SILENT = frozenset({Flag.SOURCE_UNSEEN, Flag.GAS_LOW, Flag.RESENT})
"""What passes by itself, or costs nothing yet."""


def standing(state: State, *flags: Flag) -> Standing:
    return Standing(MESSAGE.id, state, state, None, flags, (PLACE,), MESSAGE.envelope, A)


def change(before: Standing | None, after: Standing | None) -> Transition:
    return Transition(MESSAGE.id, before, after, ())


@pytest.mark.parametrize("state", State)
def test_every_alarming_state_and_no_other_is_told(state: State) -> None:
    alert = alarm_of(change(standing(State.OBSERVED), standing(state)), 3, NOW)
    if state not in ALARMING:
        assert alert is None
        return
    assert alert is not None
    assert alert.type == f"message.{state.value}"
    grave = state in {State.ORPHAN, State.DUPLICATE}
    assert alert.severity is (Severity.CRITICAL if grave else Severity.WARNING)


@pytest.mark.parametrize("flag", Flag)
def test_every_flag_but_the_silent_ones_is_told(flag: Flag) -> None:
    alert = alarm_of(change(standing(State.EXECUTED), standing(State.EXECUTED, flag)), 3, NOW)
    assert (alert is None) == (flag in SILENT)
    if alert is not None:
        assert alert.type == f"message.{flag.value}"


@pytest.mark.parametrize(
    ("state", "flag"), [(each, flag) for each in (State.FAILED, State.ORPHAN) for flag in (Flag.FORGED, Flag.REFUSED)]
)
def test_the_gravest_names_the_alarm_and_all_are_in_its_words(state: State, flag: Flag) -> None:
    alert = alarm_of(change(None, standing(state, flag)), 3, NOW)
    assert alert is not None
    graver = flag if (state, flag) == (State.FAILED, Flag.FORGED) else state
    assert alert.type == f"message.{graver.value}"
    alone = [alarm_of(change(None, each), 3, NOW) for each in (standing(state), standing(State.OBSERVED, flag))]
    for each in alone:
        assert each is not None
        assert each.summary.partition(": ")[2].rstrip(".") in alert.summary


def test_trouble_that_stays_is_not_told_twice() -> None:
    forged = standing(State.OBSERVED, Flag.FORGED)
    assert alarm_of(change(forged, standing(State.EXECUTED, Flag.FORGED)), 3, NOW) is None
    refused = alarm_of(change(forged, standing(State.EXECUTED, Flag.FORGED, Flag.REPLAY_REFUSED)), 3, NOW)
    assert refused is not None
    assert (refused.type, refused.severity) == ("message.replay_refused", Severity.WARNING)


def test_the_replay_of_what_was_resent_is_no_trouble() -> None:
    replayed = standing(State.EXECUTED, Flag.REPLAY_REFUSED, Flag.RESENT)
    assert alarm_of(change(standing(State.EXECUTED, Flag.RESENT), replayed), 3, NOW) is None


@pytest.mark.parametrize("after", [None, standing(State.EXECUTED_FINAL)])
def test_the_end_of_trouble_is_told_as_gravely_as_its_beginning(after: Standing | None) -> None:
    alert = alarm_of(change(standing(State.ORPHAN), after), 3, NOW)
    assert alert is not None
    assert (alert.type, alert.severity) == ("message.resolved", Severity.CRITICAL)


def test_less_trouble_is_not_the_end_of_it() -> None:
    before, after = standing(State.FAILED, Flag.FORGED), standing(State.EXECUTED, Flag.FORGED)
    assert alarm_of(change(before, after), 3, NOW) is None


def test_an_alarm_names_the_message_its_change_and_its_evidence() -> None:
    transition = change(standing(State.APPROVED), standing(State.APP_FAILED))
    alert = alarm_of(transition, 3, NOW + 50)
    assert alert == alarm_of(transition, 3, NOW + 50)
    assert alert is not None
    assert (alert.id, alert.occurred_at) == ("msg_3", PLACE.timestamp)
    assert orjson.loads(alert.data) == {
        "alert": "msg_3",
        "summary": alert.summary,
        "message": hex_of(MESSAGE.id),
        "before": "approved",
        "after": "app_failed",
        "stage": None,
        "flags": [],
        "evidence": [{"chain": B, "block": 5, "transaction": hex_of(PLACE.tx_hash)}],
    }
