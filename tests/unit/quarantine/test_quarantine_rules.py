"""What may be done with a message that was set aside, and what a stream's consumer does about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.account import ACCOUNT_STREAM
from fusion_daemon.domain.price import PRICE_STREAM
from fusion_daemon.quarantine.rules import (
    AlreadySettled,
    Entry,
    Kept,
    NotReplayable,
    Phase,
    State,
    check_discard,
    check_replay,
    discard_means,
    held_text,
    orders_of,
    replay_means,
)

JOURNAL = "journal:1"
STREAMS = (PRICE_STREAM, ACCOUNT_STREAM, JOURNAL, "journal:2")


def entry(stream: str, seq: int, resting: int | None = None, phase: Phase = Phase.FOLD) -> Entry:
    return Entry(stream, seq, seq - 1 if resting is None else resting, phase)


def kept(place: Entry | None, state: State = State.HELD, payload: bytes | None = b"acme") -> Kept:
    return Kept(7, "margin_requests" if place is None else "risk_calculator", place, payload, state)


def test_what_is_held_may_be_replayed_and_discarded() -> None:
    for each in (kept(None), kept(entry(ACCOUNT_STREAM, 3)), kept(entry(JOURNAL, 3))):
        check_replay(each)
        check_discard(each)


def test_a_decision_is_final() -> None:
    for state in (State.REPLAYED, State.DISCARDED):
        for check in (check_replay, check_discard):
            with pytest.raises(AlreadySettled, match=state):
                check(kept(None, state))


def test_what_cannot_be_handled_again_is_not_replayed() -> None:
    for each in (kept(entry(PRICE_STREAM, 3)), kept(None, payload=None)):
        with pytest.raises(NotReplayable):
            check_replay(each)
        check_discard(each)


def test_the_answer_says_what_it_means_for_balances() -> None:
    assert "balances are right" in discard_means(kept(entry(JOURNAL, 3)))
    assert "keeps the record" in discard_means(kept(entry(ACCOUNT_STREAM, 3)))
    assert "passed over" in discard_means(kept(entry(PRICE_STREAM, 3)))
    assert "not handled" in discard_means(kept(None))
    assert "folds journal:1 on" in replay_means(kept(entry(JOURNAL, 3)))
    assert "in the mailbox margin_requests again" in replay_means(kept(None))


def test_prices_are_passed_over_whatever_became_of_them() -> None:
    orders = orders_of([(entry(PRICE_STREAM, 3), State.HELD), (entry(PRICE_STREAM, 5), State.DISCARDED)])
    assert orders.skipped == {PRICE_STREAM: frozenset({3, 5})}
    assert (orders.held, orders.passed) == ({}, {})


def test_a_journal_stops_before_the_first_that_is_held() -> None:
    first, second = entry(JOURNAL, 4, 2), entry(JOURNAL, 9)
    assert orders_of([(second, State.HELD), (first, State.HELD)]).held == {JOURNAL: first}


def test_what_a_start_cannot_take_back_decides_over_the_same_place() -> None:
    folded, begun = entry(JOURNAL, 4, 2), entry(JOURNAL, 9, 2, Phase.START)
    for both in ([folded, begun], [begun, folded]):
        assert orders_of((each, State.HELD) for each in both).held == {JOURNAL: begun}


def test_discarded_account_changes_are_skipped_and_journal_entries_are_passed() -> None:
    orders = orders_of([(entry(ACCOUNT_STREAM, 3), State.DISCARDED), (entry(JOURNAL, 4), State.DISCARDED)])
    assert orders.skipped == {ACCOUNT_STREAM: frozenset({3})}
    assert orders.passed == {JOURNAL: 4}


def test_what_was_passed_is_held_no_more() -> None:
    held = [(entry(JOURNAL, 4), State.HELD), (entry("journal:2", 4), State.HELD)]
    orders = orders_of(held).after({JOURNAL: 9, "journal:2": 3})
    assert set(orders.held) == {"journal:2"}


@given(
    st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(1, 30), st.integers(0, 3), st.sampled_from(State))),
    st.randoms(use_true_random=False),
)
def test_the_order_in_which_they_were_set_aside_does_not_matter(found, random) -> None:  # type: ignore[no-untyped-def]
    settled = [(entry(stream, seq, max(0, seq - 1 - back)), state) for stream, seq, back, state in found]
    shuffled = settled[:]
    random.shuffle(shuffled)
    one, other = orders_of(settled), orders_of(shuffled)
    assert (one.skipped, one.passed) == (other.skipped, other.passed)
    assert {stream: each.resting for stream, each in one.held.items()} == {
        stream: each.resting for stream, each in other.held.items()
    }


def test_a_held_stream_says_what_to_do() -> None:
    for phase in Phase:
        text = held_text(entry(JOURNAL, 5, 3, phase))
        assert "journal:1 is held before entry 4: entry 5 killed this actor twice" in text
        assert "fusion-daemon deadletters list" in text
