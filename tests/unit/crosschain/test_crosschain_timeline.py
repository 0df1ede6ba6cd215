"""A message's evidence as people and programs read it."""

from __future__ import annotations

from itertools import permutations

from fusion_daemon.crosschain import Evidence, State, Transition
from fusion_daemon.crosschain.records import Cause, cause_of, change_row
from fusion_daemon.crosschain.timeline import timeline
from fusion_daemon.domain.identifiers import hex_of
from tests.unit.crosschain.world import CCIP, NOW, A, B, Message, at, judged

MESSAGE = Message()
SENT = MESSAGE.sent(at(A, 9, 4), CCIP)
CALLED = MESSAGE.called(at(A, 9, 2))
RECEIVED = MESSAGE.received(at(B, 3, 1, timestamp=NOW + 60))


def test_a_timeline_is_the_same_whatever_came_first() -> None:
    # The destination's block has the lower number: only the clock orders two chains.
    evidence: list[Evidence] = [SENT, CALLED, RECEIVED]
    told = [timeline(order) for order in permutations(evidence)]
    assert [each["event"] for each in told[0]] == ["AxelarCalled", "Sent", "Received"]
    assert all(each == told[0] for each in told)


def test_a_line_says_where_it_stands_and_leaves_the_payload_out() -> None:
    [line] = timeline([SENT])
    place = SENT.place
    assert line == {
        "event": "Sent",
        "chain": A,
        "block": 9,
        "block_hash": hex_of(place.block_hash),
        "transaction": hex_of(place.tx_hash),
        "log_index": 4,
        "receipt_index": 3,
        "at": NOW,
        "says": {"id": hex_of(MESSAGE.id), "bridge": hex_of(CCIP), "app": hex_of(SENT.app), "seq": 1},
    }


def test_integers_beyond_those_of_json_are_text() -> None:
    paid = [timeline([MESSAGE.paid(at(A, 1), fee)])[0]["says"] for fee in (2**53 - 1, 2**53)]
    assert [says["fee"] if isinstance(says, dict) else None for says in paid] == [2**53 - 1, str(2**53)]


def test_a_change_says_what_made_it() -> None:
    standing = judged([SENT])
    undone = Transition(MESSAGE.id, standing, None, (SENT.place,))
    plain = Transition(MESSAGE.id, None, standing, ())
    causes = [cause_of(undone, True), cause_of(plain, True), cause_of(plain, False)]
    assert causes == [Cause.REORG, Cause.CHAIN, Cause.TIME]
    message, before, after, flags, cause, *_ = change_row(undone, Cause.REORG, NOW)
    assert (message, before, after, flags, cause) == (MESSAGE.id, State.OBSERVED.value, None, [], "reorg")
