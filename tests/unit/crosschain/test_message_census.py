"""Rule: the figures are those of the standings that were told last, however they came about."""

from __future__ import annotations

from actors.message_census import MessageCensus
from fusion_daemon.crosschain import Flag, Standing, State, Transition
from tests.unit.crosschain.world import ENVELOPE, NOW, STRANGER, TERMS, A, B, Message, at, judged

M = Message()
SENT = (M.sent(at(A, 1)), M.called(at(A, 1, 2)), M.paid(at(A, 1, 3)))
STUCK_AT = NOW + TERMS.default.source_finality


def changed(before: Standing | None, after: Standing | None) -> Transition:
    return Transition(M.id, before, after, ())


def test_a_message_is_counted_where_it_stands() -> None:
    census = MessageCensus()
    sent, stuck = judged(SENT), judged(SENT, STUCK_AT)
    arrived = judged((*SENT, M.received(at(B, 1))), final={A: 1, B: 1})
    census.changed(changed(None, sent))
    assert census.figures().waiting_since == {(A, B): NOW}
    assert census.figures().credit == {(A, B): ENVELOPE.amount}
    census.changed(changed(sent, stuck))
    found = census.figures()
    assert {key for key, count in found.lanes.items() if count} == {(A, B, State.STUCK)}
    assert found.stuck == {(A, B, "source_finality"): 1}
    census.changed(changed(stuck, arrived))
    found = census.figures()
    assert {key: count for key, count in found.lanes.items() if count} == {(A, B, State.EXECUTED_FINAL): 1}
    assert (sum(found.stuck.values()), sum(found.credit.values()), found.waiting_since) == (0, 0, {})
    census.changed(changed(arrived, None))
    assert not any(census.figures().lanes.values())


def test_what_was_judged_anew_without_a_change_is_taken_off_where_it_was_counted() -> None:
    census = MessageCensus()
    bare = judged([M.recovered(at(B, 1))], message=M)
    census.count(bare)
    census.changed(changed(judged(SENT), None))
    assert not any(census.figures().lanes.values())


def test_each_flag_is_counted_when_it_appears_and_every_flag_is_there_from_the_start() -> None:
    census = MessageCensus()
    assert census.figures().flagged == dict.fromkeys((flag.value for flag in Flag), 0)
    sent, forged = judged(SENT), judged((*SENT, M.called(at(A, 2, 5), STRANGER)))
    census.count(sent)
    census.changed(changed(sent, forged))
    census.changed(changed(forged, forged))
    assert census.figures().flagged[Flag.FORGED.value] == 1
