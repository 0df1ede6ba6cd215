"""Late history of a contract: folded as it comes between the blocks of the head, judged once when it is whole."""

from __future__ import annotations

from fusion_daemon.domain.journal import REPAIR_VERSION, IndexUpdate
from fusion_daemon.domain.margin import ChainInput
from fusion_daemon.risk.margin import RAY
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    USD,
    USDC,
    VAULT,
    Desk,
    JournalWriter,
    accrual,
    borrow,
    deposit,
    opened_market,
    told,
    usd,
)


def test_whom_it_touches_is_judged_once_when_it_is_whole() -> None:
    """``1 <- 2 <- … <- 20``; late come 2 (7 borrows), then a block of the head, then 3 (7 deposits), then the end of
    it. Half of it would be a loan without collateral."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    assert desk.fold(chain.apply(20)) == []
    assert desk.fold(chain.late(2, borrow(7, 1_950 * DOLLAR))) == []
    assert desk.fold(chain.apply(21)) == []
    assert desk.price(usd(3, ETH, 2_000.0)) == []
    assert desk.fold(chain.late(3, deposit(7, ETHER))) == []
    (event,) = desk.fold(chain.late(21, whole=True))
    assert told([event]) == [("opened", "LIQUIDATION", 1, 1)]
    assert event.inputs.as_of == GENESIS + 12 * 21


def test_a_repair_beside_it_is_judged_for_itself() -> None:
    """``1 <- 2 <- … <- 20``; late comes 2 (7 borrows); then a repair: 3 had a loan of 8, 4 its collateral."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(20), chain.late(2, borrow(7, 1_950 * DOLLAR)))
    assert desk.fold(chain.late(3, borrow(8, 1_950 * DOLLAR), version=REPAIR_VERSION)) == []
    assert desk.fold(chain.late(4, deposit(8, ETHER), version=REPAIR_VERSION)) == []
    (event,) = desk.fold(chain.late(20, whole=True, version=REPAIR_VERSION))
    assert told([event]) == [("opened", "LIQUIDATION", 1, 1)]
    assert desk.portfolio.chains[ONE] == ChainInput(ONE, 6, 20)


def test_it_moves_no_tip() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(20), chain.late(2, deposit(7, ETHER)))
    assert desk.portfolio.chains[ONE] == ChainInput(ONE, 3, 20)


def test_a_life_that_begins_in_the_midst_of_it_judges_nobody_before_it_is_whole() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(20), chain.late(2, borrow(7, 1_950 * DOLLAR)))
    reborn = Desk()
    reborn.price(usd(1, ETH, 2_000.0))
    reborn.price(usd(2, USD, 1.0))
    for entry in chain.entries:
        reborn.portfolio.fold(entry)
    reborn.monitor.resume_late(ONE, 2, [VAULT])
    assert reborn.conclude(reborn.monitor.interest(GENESIS + 300)) == []
    assert len(reborn.fold(chain.late(20, whole=True))) == 1


def test_a_register_keeps_the_value_of_the_highest_block() -> None:
    """The index of block 20 stays in force when that of block 2 comes after it."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(20, accrual(2 * RAY, 5, GENESIS + 240)), chain.late(2, accrual(RAY, 3, GENESIS + 24)))
    last = desk.portfolio.market(ONE, VAULT, USDC).index.last
    assert isinstance(last, IndexUpdate)
    assert last.borrow_index == 2 * RAY
