"""A block is never judged at prices much later than itself: whom history touches is judged when it is level."""

from __future__ import annotations

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId, Hash32
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.domain.margin import Cause
from fusion_daemon.risk.history import STEADY_SECONDS, TOLERANCE, Paces
from fusion_daemon.risk.margin import RAY
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    TWO,
    USD,
    Desk,
    JournalWriter,
    accrual,
    borrow,
    deposit,
    listed,
    owner,
    told,
    usd,
)

BLOCK_NOW = 100_000
NOW = GENESIS + 12 * BLOCK_NOW
"""About two weeks after block 0."""


def first_sync() -> tuple[Desk, JournalWriter]:
    """The poller is first: ETH is 1,000 today. Then the listing arrives, two weeks old."""
    desk, chain = Desk(started_at=NOW - 10), JournalWriter()
    desk.now = NOW
    desk.price(usd(1, ETH, 1_000.0, at=NOW))
    desk.price(usd(2, USD, 1.0, at=NOW))
    desk.fold(chain.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2)))
    return desk, chain


def test_a_loan_of_long_ago_that_was_repaid_is_never_called() -> None:
    """2(1 WETH; owes 1,000) <- 3(repays)  <- … <- a block of today: at 1,000 it would have been a liquidation.
    Ticks of prices and of interest in between leave it alone."""
    desk, chain = first_sync()
    desk.fold(chain.apply(2, deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    desk.price(usd(3, ETH, 990.0, at=NOW + 60))
    desk.conclude(desk.monitor.interest(NOW + 60))
    assert list(desk.monitor.history) == [ONE]
    desk.fold(chain.apply(3, borrow(7, -1_000 * DOLLAR)))
    desk.fold(chain.apply(BLOCK_NOW))
    assert desk.events == []
    assert desk.monitor.history == {}


def test_a_loan_of_long_ago_that_stands_is_called_once_when_the_chain_is_level() -> None:
    desk, chain = first_sync()
    desk.fold(chain.apply(2, deposit(7, ETHER), borrow(7, 500 * DOLLAR)))
    desk.fold(chain.apply(3, borrow(7, 400 * DOLLAR)))
    (event,) = desk.fold(chain.apply(BLOCK_NOW))
    assert (told([event]), event.cause) == ([("opened", "LIQUIDATION", 1, 1)], Cause.CHAIN)
    assert (event.past, event.confirmed, event.inputs.as_of) == (False, True, NOW)


def test_a_chain_that_stands_still_is_level_where_it_stands() -> None:
    desk, chain = first_sync()
    desk.fold(chain.apply(2, deposit(7, ETHER), borrow(7, 900 * DOLLAR)))
    (event,) = desk.conclude(desk.monitor.level(ONE, NOW + 30))
    assert (event.inputs.as_of, event.past, event.inputs.chains[0].block) == (NOW + 30, False, 2)


def test_the_tolerance_leaves_ordinary_lags_untouched() -> None:
    for lag, judged in ((TOLERANCE, True), (TOLERANCE + 12, False)):
        desk, chain = first_sync()
        desk.fold(chain.apply(BLOCK_NOW))
        loan = chain.apply(BLOCK_NOW - lag // 12, deposit(7, ETHER), borrow(7, 900 * DOLLAR))
        assert bool(desk.fold(loan)) is judged


def test_prices_of_the_time_judge_whatever_the_clock_says() -> None:
    """A restart folds prices and blocks of its backlog in order: the crossing is found, and past."""
    desk, chain = Desk(started_at=NOW), JournalWriter()
    desk.now = NOW
    desk.price(usd(1, ETH, 1_000.0))
    desk.price(usd(2, USD, 1.0))
    desk.fold(chain.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2)))
    (event,) = desk.fold(chain.apply(2, deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    assert event.past
    assert told(desk.fold(chain.apply(3, borrow(7, -1_000 * DOLLAR)))) == [("resolved", "HEALTHY", 1, 2)]


def test_a_price_that_bears_a_time_to_come_makes_no_block_history() -> None:
    desk, chain = first_sync()
    desk.fold(chain.apply(BLOCK_NOW))
    desk.price(usd(3, ETH, 1_000.0, at=NOW + 365 * 86_400))
    assert desk.fold(chain.apply(BLOCK_NOW + 1, deposit(7, ETHER), borrow(7, 900 * DOLLAR)))


def test_before_the_first_price_the_clock_tells_history() -> None:
    desk, chain = Desk(), JournalWriter()
    desk.now = NOW
    desk.fold(chain.apply(1, *listed(), deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    desk.price(usd(1, ETH, 1_000.0, at=NOW))
    desk.price(usd(2, USD, 1.0, at=NOW))
    assert desk.events == []


def test_the_other_chain_and_the_other_accounts_are_judged_meanwhile() -> None:
    """Account 8 lives on TWO, which is level; it is called while ONE is history."""
    desk, one = first_sync()
    two = JournalWriter(TWO)
    desk.fold(one.apply(2, deposit(7, ETHER), borrow(7, 900 * DOLLAR)))
    fresh = (*listed(), accrual(RAY, 0, GENESIS, 2), deposit(8, ETHER), borrow(8, 600 * DOLLAR))
    desk.fold(two.apply(BLOCK_NOW, *fresh))
    desk.price(usd(3, ETH, 800.0, at=NOW))
    assert {event.account[-1] for event in desk.events} == {"8"}


def test_registering_an_address_that_is_history_calls_nobody() -> None:
    desk, chain = first_sync()
    desk.fold(chain.apply(2, deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    record = AccountRecord(AccountId("acme"), "", "", ((ONE, owner(7)),), ())
    desk.conclude(desk.monitor.registration(record, NOW))
    desk.price(usd(3, ETH, 990.0, at=NOW))
    assert desk.events == []
    (event,) = desk.fold(chain.apply(BLOCK_NOW))
    assert event.account == "acme"


def test_a_reorg_in_history_is_a_reorg_when_it_is_level() -> None:
    """Judged: 3a(borrow) of today. A long outage; then 3a goes and 3b <- 4b come, all of them old by now."""
    desk, chain = Desk(), JournalWriter()
    desk.price(usd(1, ETH, 2_000.0))
    desk.price(usd(2, USD, 1.0))
    taken = borrow(7, 1_400 * DOLLAR)
    desk.fold(chain.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2), deposit(7, ETHER)), chain.apply(3, taken))
    desk.now = NOW
    desk.price(usd(3, ETH, 2_000.0, at=NOW))
    desk.fold(chain.retract(3, taken), chain.apply(3, fork="b"), chain.apply(4, fork="b"))
    assert told(desk.events) == [("opened", "MARGIN_CALL", 1, 1)]
    desk.fold(chain.apply(BLOCK_NOW, fork="b"))
    assert told(desk.events[1:]) == [("corrected", "HEALTHY", 1, 2)]


def _at(seconds: float) -> BlockRef:
    return BlockRef(1, Hash32(bytes(32)), GENESIS + int(seconds))


def test_level_is_who_advances_no_faster_than_the_clock() -> None:
    """Blocks' seconds against the clock's: a chain that catches up, one that stands, one with a constant lag."""
    paces = Paces()
    for step in range(4):
        assert paces.level({ONE: _at(10_000 * step)}, step * STEADY_SECONDS) is None
    for speed in (0, 1):
        paces = Paces()
        assert paces.level({ONE: _at(0)}, 0.0) is None
        assert paces.level({ONE: _at(speed * 29)}, STEADY_SECONDS - 1) is None
        assert paces.level({ONE: _at(speed * 30)}, STEADY_SECONDS) == ONE


def test_a_watch_begins_anew_when_a_chain_becomes_history_again() -> None:
    paces = Paces()
    assert paces.level({ONE: _at(0)}, 0.0) is None
    assert paces.level({}, 1.0) is None
    assert paces.level({ONE: _at(0)}, 2 * STEADY_SECONDS) is None
    assert paces.level({ONE: _at(0), TWO: _at(0)}, 3 * STEADY_SECONDS) == ONE
