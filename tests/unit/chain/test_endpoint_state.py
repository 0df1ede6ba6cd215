"""Which endpoint is asked: the laws of the pool, whatever its endpoints do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_daemon.chain.endpoint_state import (
    DEADLY_FAULTS,
    IDLE_SECONDS,
    LAG_BLOCKS,
    LONGEST_WAIT,
    SHORTEST_WAIT,
    Answered,
    Behind,
    Contradicted,
    Event,
    Faulted,
    Headed,
    Limited,
    OnOtherChain,
    Pool,
    Restored,
    State,
    fresh_pool,
)

FAULT = Faulted("did not answer")


def step(pool: Pool, now: float, *events: Event) -> Pool:
    """One step with whoever is chosen, to whom this happens."""
    number = pool.chosen(now)
    pool = pool.begun(number, now)
    for event in events:
        pool = pool.after(number, event, now, 0.0)
    return pool


def states(pool: Pool) -> list[State]:
    return [condition.state for condition in pool.conditions]


def test_a_fault_moves_on_and_three_kill() -> None:
    pool = fresh_pool(2, 0.0)
    asked = []
    for _ in range(2 * DEADLY_FAULTS):
        asked.append(pool.chosen(0.0))
        pool = step(pool, 0.0, FAULT)
    assert asked == [0, 1, 0, 1, 0, 1]
    assert states(pool) == [State.DEAD, State.DEAD]
    assert pool.conditions[0].reason == "did not answer"


def test_faults_of_one_step_are_one() -> None:
    pool = step(fresh_pool(1, 0.0), 0.0, *[FAULT] * 10)
    assert pool.conditions[0].faults == 1
    assert pool.conditions[0].wait == SHORTEST_WAIT


def test_a_step_without_a_complaint_forgets_the_faults() -> None:
    """And an answer beside a complaint does not: who answers and lies is as bad as one who is silent."""
    pool = step(step(fresh_pool(1, 0.0), 0.0, FAULT), 0.0, Answered(), FAULT, Answered())
    assert pool.begun(0, 0.0).conditions[0].faults == 2
    pool = step(pool, 0.0, Answered())
    assert pool.begun(0, 0.0).conditions[0].faults == 0


def test_the_one_in_use_stays_in_use() -> None:
    """The first came back: no reason to leave the second, which answers."""
    pool = step(fresh_pool(2, 0.0), 0.0, FAULT)
    pool = step(pool, 1.0, Answered()).tried(0).after(0, Headed(7), 1.0, 0.0)
    assert pool.chosen(2.0) == 1


def test_a_limited_one_is_left_alone_while_others_live() -> None:
    pool = step(fresh_pool(2, 0.0), 0.0, Limited(30.0))
    assert (states(pool)[0], pool.chosen(1.0)) == (State.RATE_LIMITED, 1)
    pool = step(step(step(pool, 1.0, FAULT), 1.0, FAULT), 1.0, FAULT)
    assert states(pool)[1] is State.DEAD
    assert pool.chosen(2.0) == 1  # a dead one may be asked too early, a limited one may not
    assert pool.due(2.0) == [0] or pool.due(2.0) == []
    assert pool.wait(0, 10.0) == 20.0
    assert pool.chosen(30.0) == 0


def test_a_fault_does_not_shorten_a_promise() -> None:
    pool = step(fresh_pool(1, 0.0), 0.0, Limited(30.0), FAULT)
    assert pool.wait(0, 0.0) == 30.0


def test_who_does_not_say_how_long_is_left_alone_ever_longer() -> None:
    pool, waits, now = fresh_pool(1, 0.0), [], 0.0
    for _ in range(4):
        pool = step(pool, now, Limited(None))
        waits.append(pool.wait(0, now))
        now += waits[-1]
    assert waits == [SHORTEST_WAIT * 2**n for n in range(4)]


def test_a_dead_one_is_tried_half_open_and_ever_more_seldom() -> None:
    pool, tries, now = fresh_pool(2, 0.0), [], 0.0
    for _ in range(DEADLY_FAULTS):
        pool = pool.tried(0).after(0, FAULT, now, 0.0)
    pool = step(pool, now, Answered())
    while now < 300.0:
        now += 0.25
        assert pool.chosen(now) == 1
        if 0 in pool.due(now):
            tries.append(now)
            pool = pool.tried(0).after(0, FAULT, now, 0.0)
    gaps = [after - before for before, after in pairwise(tries)]
    assert gaps == sorted(gaps)
    assert gaps[-1] == LONGEST_WAIT
    pool = pool.tried(0).after(0, Headed(9), now, 0.0)
    assert states(pool)[0] is State.ALIVE
    pool = pool.tried(0).after(0, FAULT, now, 0.0)
    assert states(pool)[0] is State.DEAD  # on probation until it was of use for a whole step


@pytest.mark.parametrize(("head", "state"), [(100 - LAG_BLOCKS, State.ALIVE), (99 - LAG_BLOCKS, State.LAGGING)])
def test_an_endpoint_far_below_the_best_lags(head: int, state: State) -> None:
    pool = step(fresh_pool(2, 0.0), 0.0, Headed(100), Answered())
    pool = pool.tried(1).after(1, Headed(head), 0.0, 0.0)
    assert states(pool) == [State.ALIVE, state]
    pool = pool.tried(1).after(1, Headed(99), 0.0, 0.0)
    assert states(pool) == [State.ALIVE, State.ALIVE]


def test_a_lagging_one_is_used_when_it_is_the_best_there_is() -> None:
    pool = step(fresh_pool(2, 0.0), 0.0, Behind("below our tip", 50))
    pool = step(step(step(pool, 0.0, FAULT), 0.0, FAULT), 0.0, FAULT)
    assert states(pool)[1] is State.ALIVE or pool.chosen(0.0) == 0
    for _ in range(DEADLY_FAULTS):
        pool = pool.tried(1).after(1, FAULT, 0.0, 0.0)
    assert (states(pool), pool.chosen(0.0)) == ([State.LAGGING, State.DEAD], 0)
    assert states(step(pool, 0.0, Headed(49)))[0] is State.LAGGING
    assert states(step(pool, 0.0, Headed(50)))[0] is State.ALIVE


def test_a_head_that_is_only_claimed_does_not_heal() -> None:
    """Beyond its own head it has nothing: its head says nothing until some time has passed."""
    pool = step(fresh_pool(2, 0.0), 0.0, Headed(10**12), Behind("does not have block 7", None))
    pool = pool.tried(0).after(0, Headed(10**12), 0.1, 0.0)
    assert states(pool)[0] is State.LAGGING
    pool = pool.tried(0).after(0, Headed(10**12), SHORTEST_WAIT, 0.0)
    assert states(pool)[0] is State.ALIVE


def test_a_contradicted_one_is_restored_by_nothing_else() -> None:
    pool = step(fresh_pool(2, 0.0), 0.0, Contradicted("another block 7"))
    for event in (Headed(9), Answered(), Limited(1.0), FAULT, Behind("", None)):
        pool = pool.tried(0).after(0, event, 0.0, 0.0)
        assert states(pool)[0] is State.FORKED
    for _ in range(DEADLY_FAULTS):
        pool = step(pool, 0.0, FAULT)
    assert pool.chosen(0.0) == 1  # the silence of the other does not make it right
    assert states(pool.after(0, Restored(), 0.0, 0.0))[0] is State.ALIVE


def test_another_chain_is_left_until_it_is_ours() -> None:
    pool = step(fresh_pool(2, 0.0), 0.0, OnOtherChain(5))
    assert (states(pool)[0], pool.conditions[0].reason) == (State.WRONG_CHAIN, "It serves chain 5.")
    assert pool.chosen(0.0) == 1
    assert states(pool.tried(0).after(0, Headed(1), 9.0, 0.0))[0] is State.ALIVE


_EVENTS = st.one_of(
    st.sampled_from([Answered(), FAULT, OnOtherChain(5), Contradicted("x"), Restored(), Limited(None)]),
    st.builds(Headed, st.integers(0, 30)),
    st.builds(Limited, st.floats(0.0, 300.0)),
    st.builds(Behind, st.just("behind"), st.none() | st.integers(0, 30)),
)
_DEEDS = st.lists(st.tuples(_EVENTS, st.floats(0.0, 20.0), st.floats(0.0, 1.0), st.integers(0, 3)), max_size=60)


@settings(max_examples=150)
@given(st.integers(1, 4), _DEEDS)
def test_the_laws_hold_whatever_happens(count: int, deeds: list[tuple[Event, float, float, int]]) -> None:
    pool, now = fresh_pool(count, 0.0), 0.0
    promised = [0.0] * count
    for event, pause, jitter, place in deeds:
        now += pause
        chosen = pool.chosen(now)
        alive = [number for number, state in enumerate(states(pool)) if state is State.ALIVE]
        assert not alive or chosen in alive
        assert pool.chosen(now) == chosen
        if pool.wait(chosen, now):  # it is told to wait only when nobody is left that would be believed
            assert set(states(pool)) <= {State.RATE_LIMITED, State.FORKED, State.WRONG_CHAIN}
        elif states(pool)[chosen] is State.RATE_LIMITED:
            assert promised[chosen] <= now
        if not pool.wait(chosen, now):
            pool = pool.begun(chosen, now)
        number = place % count
        if isinstance(event, Limited) and event.retry_after is not None:
            promised[number] = max(promised[number], now + event.retry_after)
        pool = pool.after(number, event, now, jitter)
        if states(pool)[number] is not State.RATE_LIMITED:
            promised[number] = 0.0
    assert_none_starves(pool, now)


def assert_none_starves(pool: Pool, now: float) -> None:
    """From any state: when all of them are sound again, all are alive after the longest wait; but those of another
    branch, about which only their word on the final block decides."""
    forked = [number for number, state in enumerate(states(pool)) if state is State.FORKED]
    end = now + max(300.0, IDLE_SECONDS, LONGEST_WAIT) + LONGEST_WAIT
    while now < end:
        now += 1.0
        chosen = pool.chosen(now)
        if not pool.wait(chosen, now):
            pool = step(pool, now, Headed(1_000), Answered())
        for number in pool.due(now):
            pool = pool.tried(number).after(number, Headed(1_000), now, 0.0)
    assert [number for number, state in enumerate(states(pool)) if state is not State.ALIVE] == forked
    assert all(condition.again <= now + IDLE_SECONDS for condition in pool.conditions)
