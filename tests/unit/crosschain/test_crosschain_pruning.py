"""Rule: pruning changes no message, now or after a restart, a replay, or whatever comes later; and it bounds what
strangers can make us keep."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_daemon.crosschain import Evidence, Flag, MessageTracker, Standing, State, TrackerState
from fusion_daemon.crosschain.pruning import Pruned, Pruning
from fusion_daemon.crosschain.tracker import MessageTracker as Tracker
from fusion_daemon.domain.journal import BlockRef
from tests.unit.crosschain.test_crosschain_tracker import World, related, told, worlds
from tests.unit.crosschain.world import NOW, RULES, STRANGER, A, B, Message, at

M = Message()
LATER = NOW + 100_000
BRIDGES_OWN = {Flag.STRAY_APPROVAL, Flag.SUCCESS_WITHOUT_APPLICATION, Flag.REPLAY_REFUSED, Flag.ID_MISMATCH}
"""Told by comparing a bridge's late log with its earlier ones, which a closed message has no more."""


def folded(tracker: MessageTracker, *evidence: Evidence) -> None:
    for each in evidence:
        place = each.place
        tracker.apply(place.chain, BlockRef(place.block_number, place.block_hash, place.timestamp), [each])


def pruned(tracker: MessageTracker, before: int = LATER) -> Pruned:
    """Everything: a round to find it, a second for what became nobody's by the first."""
    found = Pruned()
    for _ in range(40):
        look = tracker.prune(before, 5)
        found.evidence += look.evidence
        found.closed.update(look.closed)
        found.strangers += look.strangers
    return found


def restarted(tracker: MessageTracker) -> MessageTracker:
    rows = msgspec.msgpack.encode(tracker.state())
    again = Tracker.restored(RULES, msgspec.msgpack.decode(rows, type=TrackerState, strict=False))
    assert again.settle(LATER) == []
    return again


def finished(*more: Evidence) -> MessageTracker:
    """Sent and applied over Axelar, both final."""
    call, run = at(A, 1, 2), at(B, 1)
    evidence: list[Evidence] = [
        M.sent(at(A, 1)),
        M.called(call),
        M.paid(at(A, 1, 3)),
        M.approved(at(B, 1, 4), call),
        M.ran(run, call),
    ]
    tracker = MessageTracker(RULES)
    folded(tracker, *evidence, M.received(at(B, 1, 5)), *more)
    tracker.finality(A, 3)
    tracker.finality(B, 3)
    tracker.settle(LATER)
    return tracker


def state_of(tracker: MessageTracker) -> State:
    standing = tracker.standing(M.id)
    assert standing is not None
    return standing.state


def test_an_ended_message_keeps_its_standing_and_none_of_its_evidence() -> None:
    tracker = finished()
    before = told(tracker)
    assert len(pruned(tracker).evidence) == 6
    assert tracker.settle(LATER) == []
    assert told(tracker) == before
    assert tracker.state().evidence == ()
    assert told(restarted(tracker)) == before


def test_what_is_young_or_not_final_stays() -> None:
    tracker = finished()
    assert pruned(tracker, before=NOW).evidence == []
    late = finished(M.refused(at(B, 9)))
    assert pruned(late).closed == {}


@pytest.mark.parametrize("restart", [False, True])
def test_a_second_execution_is_a_duplicate_after_pruning(restart: bool) -> None:
    tracker = finished()
    pruned(tracker)
    again = restarted(tracker) if restart else tracker
    second = at(B, 7)
    folded(again, M.recovered(second))
    (transition,) = again.settle(LATER)
    assert transition.after is not None
    assert (transition.after.state, transition.undone) == (State.DUPLICATE, ())
    assert transition.after.envelope == M.envelope
    # 1 <- 7, and 7 is taken away again: it was executed once
    again.retract(B, BlockRef(7, second.block_hash, NOW))
    again.settle(LATER)
    assert state_of(again) is State.EXECUTED_FINAL


def test_the_same_logs_read_again_count_once() -> None:
    tracker = finished()
    evidence = tracker.state().evidence
    pruned(tracker)
    folded(tracker, *evidence)
    assert tracker.settle(LATER) == []
    assert state_of(tracker) is State.EXECUTED_FINAL
    assert len(pruned(tracker).evidence) == 6


def test_a_dropped_message_keeps_a_closed_successor() -> None:
    # 1 <- 2 is dropped with the first message; 2' holds the same again, which ends and is closed
    heir = M.but(nonce=2)
    gone = at(A, 2)
    tracker = MessageTracker(RULES)
    folded(tracker, M.sent(gone))
    tracker.settle(NOW)
    tracker.retract(A, BlockRef(2, gone.block_hash, NOW))
    folded(tracker, heir.sent(at(A, 2, fork="'")), heir.received(at(B, 2)))
    tracker.finality(A, 3)
    tracker.finality(B, 3)
    tracker.settle(LATER)
    assert set(pruned(tracker).closed) == {heir.id}
    for each in (tracker, restarted(tracker)):
        assert each.settle(LATER) == []
        standing = each.standing(M.id)
        assert standing is not None
        assert (standing.state, standing.successor) == (State.REORGED_OUT, heir.id)


def test_what_may_still_move_keeps_all_its_evidence() -> None:
    tracker = MessageTracker(RULES)
    evidence: list[Evidence] = [M.sent(at(A, 1)), M.called(at(A, 1, 2)), M.stored(at(B, 2))]
    folded(tracker, *evidence)
    tracker.finality(A, 3)
    tracker.finality(B, 3)
    tracker.settle(LATER)
    tracker.abandon(M.id)
    tracker.settle(LATER)
    pruned(tracker)
    assert set(tracker.state().evidence) == set(evidence)


def test_a_forgery_is_remembered_as_one() -> None:
    tracker = MessageTracker(RULES)
    folded(tracker, *[M.called(at(A, 1, log), STRANGER) for log in range(1, 9)])
    tracker.finality(A, 3)
    tracker.settle(LATER)
    assert pruned(tracker).strangers == 8
    assert told(restarted(tracker))[M.id].flags == (Flag.FORGED,)
    folded(tracker, M.sent(at(A, 2)))
    tracker.settle(LATER)
    assert M.id in told(tracker)
    assert Flag.FORGED in told(tracker)[M.id].flags


def test_a_forgery_that_was_given_up_can_be_taken_up_again_without_its_evidence() -> None:
    tracker = MessageTracker(RULES)
    folded(tracker, M.called(at(A, 1, 1), STRANGER))
    tracker.finality(A, 3)
    tracker.abandon(M.id)
    tracker.settle(LATER)
    assert len(pruned(tracker).evidence) == 1
    again = restarted(tracker)
    assert state_of(again) is State.ABANDONED
    again.resume(M.id)
    again.settle(LATER)
    assert state_of(again) is State.ORPHAN


def test_strangers_go_by_age_and_the_oldest_sooner_when_there_are_too_many() -> None:
    tracker = MessageTracker(RULES)
    for block in range(1, 9):
        call = at(A, block, 1)
        folded(tracker, M.ran(at(B, block, 1, timestamp=NOW + block), call))
    tracker.finality(B, 8)
    tracker.settle(NOW)
    pruning = Pruning(tracker._ledger, {}, most=3)
    looks = [pruning.look({B: 8}, NOW + 3, 100) for _ in range(6)]
    assert sum(look.strangers for look in looks) == 5
    assert sum(look.crowded for look in looks) == 3
    assert sorted(each.place.timestamp - NOW for each in tracker.state().evidence) == [6, 7, 8]


def test_too_many_strangers_cost_no_message_of_ours_its_evidence() -> None:
    tracker = finished(M.ran(at(B, 2, 1), at(A, 2, 1)))
    own = len(tracker.state().evidence) - 1
    pruning = Pruning(tracker._ledger, told(tracker), most=0)
    looks = [pruning.look({A: 8, B: 8}, 0, 100) for _ in range(4)]
    assert sum(len(look.evidence) for look in looks) == sum(look.crowded for look in looks) == 1
    assert len(tracker.state().evidence) == own


@settings(max_examples=300)
@given(worlds, st.integers(-1, 6), st.integers(-1, 6), st.integers(0, 7))
def test_whatever_comes_later_a_pruned_tracker_tells_what_a_full_one_does(
    world: World, final_a: int, final_b: int, age: int
) -> None:
    early = world.subset()
    late = [key for key in world.blocks if key not in early]
    replayed = [key for key in early if world.chance.random() < 0.3]
    full, lean = MessageTracker(RULES), MessageTracker(RULES)
    for tracker in (full, lean):
        for key in early:
            tracker.apply(key[0], world.ref(key), world.blocks[key])
        tracker.finality(A, final_a)
        tracker.finality(B, final_b)
        tracker.settle(LATER)
    before = told(lean)
    found = pruned(lean, NOW + age)
    assert lean.settle(LATER) == []
    assert told(lean) == before
    lean = restarted(lean)
    for key in (*late, *replayed):
        for tracker in (full, lean):
            tracker.apply(key[0], world.ref(key), world.blocks[key])
    for tracker in (full, lean):
        tracker.finality(A, 6)
        tracker.finality(B, 6)
        tracker.settle(LATER)
    every = [each for block in world.blocks.values() for each in block]
    # A stranger's that a message claims by a log that is read only now: then its bridge has less to say of it.
    dropped = set(found.evidence)
    for message in before:
        own = {each.key for each in related(message, every)}
        if message in found.closed or not own & dropped:
            _same(told(full)[message], told(lean)[message])


def _same(full: Standing, lean: Standing) -> None:
    assert (lean.envelope, lean.state, lean.progress, lean.stage, lean.successor) == (
        full.envelope,
        full.state,
        full.progress,
        full.stage,
        full.successor,
    )
    assert set(lean.flags) - set(full.flags) <= BRIDGES_OWN
    assert set(full.flags) - set(lean.flags) <= BRIDGES_OWN


def test_the_number_of_strangers_is_brought_down_as_fast_as_blocks_are_walked() -> None:
    """Not by one portion a round: a round of many blocks takes minutes, in which more come than a portion."""
    tracker = MessageTracker(RULES)
    folded(tracker, *(M.ran(at(B, block, 1, timestamp=NOW + block), at(A, block, 1)) for block in range(1, 101)))
    tracker.finality(B, 100)
    tracker.settle(NOW)
    pruning = Pruning(tracker._ledger, {}, most=10)
    for _ in range(20 + 1 + 18):  # one round, its end, and 90 too many by 5
        assert len(pruning.look({B: 100}, 0, 5).evidence) <= 5
    assert sorted(each.place.block_number for each in tracker.state().evidence) == list(range(91, 101))
