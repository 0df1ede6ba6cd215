"""Rule: the figures are those of the standings that were told last, however they came about."""

from __future__ import annotations

import sys
from threading import Thread

import msgspec

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


def test_forgeries_are_of_no_lane_whatever_chains_they_name() -> None:
    """Or anybody could give the metrics as many series as he likes."""
    census = MessageCensus()
    for chain in range(50):
        said = M.but(source=chain, destination=chain + 1)
        call = msgspec.structs.replace(M.called(at(A, 1, chain), STRANGER), id=said.id, payload=said.payload)
        census.count(judged([call], message=said))
    assert census.figures().lanes == {(0, 0, State.ORPHAN): 50}
    dropped = judged([], lost=at(A, 1))
    census.count(dropped)
    assert census.figures().lanes[(A, B, State.REORGED_OUT)] == 1


def test_a_scrape_bears_the_tracker_writing() -> None:
    """A scrape runs on a thread of its own, and sees those that wait come and go."""
    census, rounds = MessageCensus(), 300
    waiting = [judged([each.sent(at(A, 1))], message=each) for each in (M.but(nonce=n) for n in range(2_000))]
    for standing in waiting[1:]:
        census.count(standing)

    def write() -> None:
        for _ in range(20 * rounds):
            census.count(waiting[0])
            census.changed(Transition(waiting[0].id, waiting[0], None, ()))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    writer = Thread(target=write)
    writer.start()
    try:
        for _ in range(rounds):
            assert census.figures().waiting_since == {(A, B): NOW}
    finally:
        writer.join()
        sys.setswitchinterval(interval)
