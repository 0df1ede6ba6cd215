"""Rule: explorers are asked about our own sends that are not done, and what they say is shown for what it is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fusion_daemon.crosschain import Evidence, State
from fusion_daemon.crosschain.evidence import CcipVersion
from fusion_daemon.crosschain.hints import (
    AxelarCall,
    CcipMessage,
    Hint,
    Opinion,
    Outcome,
    Question,
    Source,
    opinion_view,
    questions_of,
)
from tests.unit.crosschain.world import CCIP, NETWORKS, NOW, STRANGER, A, B, Message, at, judged

MESSAGE = Message()
CALL = at(A, 10, 3)


def asked(*evidence: Evidence, final: int = 0) -> list[Question]:
    return list(questions_of(judged(evidence, NOW, {A: final, B: final}), evidence, NETWORKS))


def test_axelarscan_is_asked_by_the_logs_place_in_its_block() -> None:
    assert CALL.receipt_index != CALL.log_index
    assert asked(MESSAGE.sent(at(A, 10, 4)), MESSAGE.called(CALL)) == [AxelarCall(CALL.tx_hash, CALL.log_index)]


@pytest.mark.parametrize("version", CcipVersion)
def test_the_ccip_api_is_asked_by_ccips_own_id(version: CcipVersion) -> None:
    message = Message(version=version)
    evidence = message.sent(at(A, 10, 4), CCIP), message.ccip(at(A, 10, 3))
    assert message.ccip_id != message.id
    assert asked(*evidence) == [CcipMessage(message.ccip_id)]


def test_a_strangers_call_with_the_same_payload_is_not_asked_about() -> None:
    sent, ours = MESSAGE.sent(at(A, 10, 4)), MESSAGE.called(CALL)
    forged = [MESSAGE.called(at(A, block, 1), STRANGER) for block in (9, 11)]
    stray = MESSAGE.ccip(at(A, 12), STRANGER)
    assert asked(sent, forged[0], ours, forged[1], stray) == [AxelarCall(CALL.tx_hash, CALL.log_index)]
    assert asked(forged[0], stray) == []


def test_of_several_calls_the_last_is_asked_about() -> None:
    again = at(A, 12, 3)
    found = asked(MESSAGE.sent(at(A, 10, 4)), MESSAGE.called(CALL), MESSAGE.called(again))
    assert found == [AxelarCall(again.tx_hash, again.log_index)]


def test_what_is_done_needs_no_explanation() -> None:
    evidence = MESSAGE.sent(at(A, 10, 4)), MESSAGE.called(CALL), MESSAGE.received(at(B, 20))
    assert judged(evidence, NOW, {A: 99, B: 99}).state is State.EXECUTED_FINAL
    assert asked(*evidence, final=99) == []
    assert asked(*evidence) != []


def test_an_answer_is_shown_in_the_explorers_words() -> None:
    opinion = Opinion(Source.AXELARSCAN, Outcome.ANSWERED, 60.0, Hint("error", "gas_paid", "out of gas"))
    assert opinion_view(opinion) == {
        "source": "axelarscan",
        "outcome": "answered",
        "status": "error",
        "gas": "gas_paid",
        "error": "out of gas",
        "ready_for_manual_execution": None,
        "asked_at": datetime(1970, 1, 1, 0, 1, tzinfo=UTC),
    }


def test_no_answer_is_shown_as_none() -> None:
    view = opinion_view(Opinion(Source.CCIP_API, Outcome.UNAVAILABLE, 60.0, trouble="It hangs."))
    assert (view["outcome"], view["status"], view["error"]) == ("unavailable", None, "It hangs.")
    view = opinion_view(Opinion(Source.CCIP_API, Outcome.UNKNOWN, 60.0))
    assert (view["outcome"], view["status"], view["error"]) == ("unknown", None, None)
