"""Episodes, drawn as the journal draws them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import Cause, MarginInputs, MarginKind, MarginState
from fusion_daemon.risk.episodes import RESUMABLE_BLOCKS, UNKNOWN, Assessment, Driver, Place, Retracted, transition
from fusion_daemon.risk.margin import RAY, Totals, figures, rule_of
from fusion_daemon.risk.settings import RiskSettings
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    TWO,
    Desk,
    JournalWriter,
    accrual,
    borrow,
    deposit,
    listed,
    name,
    opened_market,
    owner,
    told,
    usd,
)


def scene() -> tuple[Desk, JournalWriter]:
    """Account 7 holds 1 WETH at 2,000 since block 2 and owes nothing: health 1,600 over debt."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(7, ETHER)))
    return desk, chain


def test_a_price_falls_and_rises() -> None:
    desk, chain = scene()
    desk.fold(chain.apply(3, borrow(7, 1_000 * DOLLAR)))  # health 1.6
    assert desk.events == []
    for seq, dollars in enumerate((1_800.0, 1_500.0, 1_200.0, 1_900.0, 2_000.0), 3):
        desk.price(usd(seq, ETH, dollars))
    # health            1.44       1.2            0.96         1.52 (not 1.53)  1.6
    assert told(desk.events) == [
        ("opened", "WARNING", 1, 1),
        ("worsened", "MARGIN_CALL", 1, 2),
        ("worsened", "LIQUIDATION", 1, 3),
        ("improved", "WARNING", 1, 4),
        ("resolved", "HEALTHY", 1, 5),
    ]
    desk.price(usd(8, ETH, 1_500.0))
    assert told(desk.events[-1:]) == [("opened", "MARGIN_CALL", 2, 1)]
    assert desk.events[-1].inputs.price_seq == 8
    assert desk.events[-1].cause is Cause.PRICE


def test_a_reorg_takes_the_cause_away_and_the_same_transaction_comes_back_later() -> None:
    """1 <- 2 <- 3a(borrow)          retracted
    `<- 3b <- 4b(borrow)     the same borrow, one block later"""
    desk, chain = scene()
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(3, taken))
    desk.fold(chain.retract(3, taken), chain.apply(3, fork="b"))
    desk.fold(chain.apply(4, taken, fork="b"))
    assert told(desk.events) == [
        ("opened", "MARGIN_CALL", 1, 1),
        ("corrected", "HEALTHY", 1, 2),
        ("reinstated", "MARGIN_CALL", 1, 3),
    ]
    assert [event.cause for event in desk.events] == [Cause.CHAIN, Cause.REORG, Cause.CHAIN]


def test_a_reorg_that_takes_the_transaction_along_says_nothing() -> None:
    """1 <- 2 <- 3a(borrow)
    `<- 3b <- 4b(borrow)     both in the reorg's own transaction: only the last entry settles"""
    desk, chain = scene()
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(3, taken))
    said = desk.fold(chain.retract(3, taken), chain.apply(3, fork="b", settles=False), chain.apply(4, taken, fork="b"))
    assert said == []


def test_a_to_b_and_back_to_a_opens_nothing_twice() -> None:
    """2 <- 3a(borrow)  ->  2 <- 3b  ->  2 <- 3a(borrow)  ->  2 <- 3b  ->  2 <- 3a(borrow)"""
    desk, chain = scene()
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(3, taken))
    for _ in range(2):
        desk.fold(chain.retract(3, taken), chain.apply(3, fork="b"))
        desk.fold(chain.retract(3, fork="b"), chain.apply(3, taken))
    assert told(desk.events) == [
        ("opened", "MARGIN_CALL", 1, 1),
        ("corrected", "HEALTHY", 1, 2),
        ("reinstated", "MARGIN_CALL", 1, 3),
        ("corrected", "HEALTHY", 1, 4),
        ("reinstated", "MARGIN_CALL", 1, 5),
    ]


def test_a_cause_that_comes_back_too_late_or_elsewhere_opens_a_new_episode() -> None:
    taken = borrow(7, 1_400 * DOLLAR)
    for block, episode in ((3 + RESUMABLE_BLOCKS, 1), (4 + RESUMABLE_BLOCKS, 2)):
        desk, chain = scene()
        desk.fold(chain.apply(3, taken))
        desk.fold(chain.retract(3, taken), chain.apply(3, fork="b"))
        assert desk.fold(chain.apply(block, taken))[0].episode == episode
    desk, chain = scene()
    desk.fold(chain.apply(3, taken))
    desk.fold(chain.retract(3, taken), chain.apply(3, borrow(7, 900 * DOLLAR), fork="b"))
    # A price, not the chain, is what now makes it worse.
    assert told(desk.price(usd(3, ETH, 1_000.0))) == [("opened", "LIQUIDATION", 2, 1)]


def test_a_recovery_in_between_does_not_make_the_withdrawn_cause_a_new_one() -> None:
    """WARNING by price; 3a(borrow) LIQUIDATION; 3b takes it away; the price recovers; 4b brings it back."""
    desk, chain = scene()
    desk.fold(chain.apply(3, borrow(7, 1_000 * DOLLAR)))
    desk.price(usd(3, ETH, 1_800.0))
    more = borrow(7, 700 * DOLLAR)
    desk.fold(chain.apply(4, more))
    desk.fold(chain.retract(4, more), chain.apply(4, fork="b"))
    desk.price(usd(4, ETH, 2_000.0))
    desk.fold(chain.apply(5, more, fork="b"))
    assert told(desk.events) == [
        ("opened", "WARNING", 1, 1),
        ("worsened", "LIQUIDATION", 1, 2),
        ("corrected", "WARNING", 1, 3),
        ("resolved", "HEALTHY", 1, 4),
        ("reinstated", "LIQUIDATION", 1, 5),
    ]


def test_a_reorg_that_takes_a_deposit_away_opens_an_episode() -> None:
    """2(1 WETH) <- 3a(1 WETH, borrow): health 1.6; 3b holds the borrow without the deposit."""
    desk, chain = scene()
    rescue, taken = deposit(7, ETHER), borrow(7, 1_900 * DOLLAR)
    desk.fold(chain.apply(3, rescue, taken))
    assert desk.events == []
    desk.fold(chain.retract(3, rescue, taken), chain.apply(3, taken, fork="b"))
    assert told(desk.events) == [("opened", "LIQUIDATION", 1, 1)]
    assert desk.events[0].cause is Cause.REORG


def test_another_chain_does_not_reinstate() -> None:
    desk, chain = scene()
    other = JournalWriter(TWO)
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(3, taken))
    desk.fold(chain.retract(3, taken), chain.apply(3, fork="b"))
    elsewhere = Driver(Cause.CHAIN, GENESIS, past=False, place=Place(TWO, 4))
    assert other.chain != ONE
    standing = desk.monitor.standings[name(7)]
    step = transition(name(7), standing, _assessment(MarginState.WARNING), elsewhere, INPUTS)
    assert step is not None
    assert step[1].kind is MarginKind.OPENED


def test_a_customer_who_repays_in_the_new_branch_has_cured_and_not_been_corrected() -> None:
    """2 <- 3(borrow); a price opens the call; 4a(empty) is replaced by 4b(repays 900); much later a new loan."""
    desk, chain = scene()
    desk.fold(chain.apply(3, borrow(7, 1_000 * DOLLAR)))
    desk.price(usd(3, ETH, 1_300.0))
    desk.fold(chain.apply(4))
    desk.fold(chain.retract(4), chain.apply(4, borrow(7, -900 * DOLLAR), fork="b"))
    desk.fold(chain.apply(5, borrow(7, 1_000 * DOLLAR), fork="b"))
    assert told(desk.events) == [
        ("opened", "MARGIN_CALL", 1, 1),
        ("resolved", "HEALTHY", 1, 2),
        ("opened", "LIQUIDATION", 2, 1),
    ]
    assert [event.cause for event in desk.events] == [Cause.PRICE, Cause.REORG, Cause.CHAIN]


def test_only_a_reorg_that_reaches_the_cause_corrects() -> None:
    """3(borrow) is the cause; 4a becomes 4b, which holds a deposit: it stands. Then 3 goes: it does not."""
    desk, chain = scene()
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(3, taken))
    desk.fold(chain.apply(4))
    desk.fold(chain.retract(4), chain.apply(4, deposit(7, ETHER // 4), fork="b"))
    desk.fold(chain.retract(4, deposit(7, ETHER // 4), fork="b"), chain.retract(3, taken), chain.apply(3, fork="c"))
    assert told(desk.events) == [
        ("opened", "MARGIN_CALL", 1, 1),
        ("improved", "WARNING", 1, 2),
        ("corrected", "HEALTHY", 1, 3),
    ]


def test_a_cause_that_a_reorg_took_along_is_followed() -> None:
    """3a(borrow), then 3b <- 4b(borrow) in one reorg: nothing is said. Then 4b alone goes: that corrects."""
    desk, chain = scene()
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(3, taken))
    desk.fold(chain.retract(3, taken), chain.apply(3, fork="b", settles=False), chain.apply(4, taken, fork="b"))
    assert list(desk.monitor.unsaved) == [name(7)]
    desk.fold(chain.retract(4, taken, fork="b"), chain.apply(4, fork="c"))
    assert told(desk.events) == [("opened", "MARGIN_CALL", 1, 1), ("corrected", "HEALTHY", 1, 2)]


def test_what_two_chains_withdrew_comes_back_on_both_in_one_episode() -> None:
    """ONE: 3a(borrow) goes and is back in 4. TWO: 2a(borrow) goes and is back in 3. One account, one episode."""
    desk, one = scene()
    two = JournalWriter(TWO)
    both = AccountRecord(AccountId("acme"), "", "", ((ONE, owner(7)), (TWO, owner(7))), ())
    desk.conclude(desk.monitor.registration(both, GENESIS))
    desk.fold(two.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2)))
    here, there = borrow(7, 1_100 * DOLLAR), borrow(7, 1_100 * DOLLAR)
    desk.fold(one.apply(3, here))
    desk.fold(two.apply(2, there))
    desk.fold(two.retract(2, there), two.apply(2, fork="b"))
    desk.fold(one.retract(3, here), one.apply(3, fork="b"))
    desk.fold(two.apply(3, there, fork="b"))
    desk.fold(one.apply(4, here, fork="b"))
    assert told(desk.events) == [
        ("opened", "WARNING", 1, 1),
        ("worsened", "LIQUIDATION", 1, 2),
        ("corrected", "WARNING", 1, 3),
        ("corrected", "HEALTHY", 1, 4),
        ("reinstated", "WARNING", 1, 5),
        ("reinstated", "LIQUIDATION", 1, 6),
    ]


def test_what_lies_before_the_start_is_past() -> None:
    desk, chain = Desk(started_at=GENESIS + 40), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(3, deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    (event,) = desk.price(usd(3, ETH, 1_500.0, at=GENESIS + 39))
    assert event.past
    (event,) = desk.price(usd(4, ETH, 1_200.0, at=GENESIS + 40))
    assert not event.past


RULE = rule_of(RiskSettings({}))
INPUTS = MarginInputs(1, (), "", GENESIS)
CHAIN_DRIVERS = st.builds(
    lambda chain, block: Driver(Cause.CHAIN, GENESIS, past=False, place=Place(chain, block)),
    st.sampled_from((ONE, TWO)),
    st.integers(1, 200),
)
REORG_DRIVERS = st.builds(
    lambda chain, block, lowest, depth: Driver(
        Cause.REORG,
        GENESIS,
        past=False,
        place=Place(chain, block),
        retracted=Retracted(chain, lowest, lowest + depth),
    ),
    st.sampled_from((ONE, TWO)),
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(0, 20),
)
OTHERS = st.sampled_from(
    [Driver(cause, GENESIS, past=False) for cause in (Cause.PRICE, Cause.INTEREST, Cause.CONFIGURATION)]
)


def _assessment(state: MarginState) -> Assessment:
    return Assessment(state, figures(Totals(1, 1, 1), state, RULE), True, None, None)


@given(st.lists(st.tuples(st.sampled_from(MarginState), st.one_of(CHAIN_DRIVERS, REORG_DRIVERS, OTHERS))))
def test_whatever_happens_identities_are_unique_and_states_chain(
    story: list[tuple[MarginState, Driver]],
) -> None:
    standing, seen, before = UNKNOWN, [], MarginState.HEALTHY
    for state, driver in story:
        step = transition(AccountId("a"), standing, _assessment(state), driver, INPUTS)
        if step is None:
            assert state is standing.state
            continue
        standing, event = step
        assert event.before is before
        assert event.after is state is standing.state
        before = state
        seen.append((event.episode, event.step))
        assert (event.kind is MarginKind.OPENED) == (event.step == 1)
    assert seen == sorted(set(seen))
    for (episode, step_number), (later, later_step) in pairwise(seen):
        assert (later, later_step) in ((episode, step_number + 1), (episode + 1, 1))
