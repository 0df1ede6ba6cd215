"""The screen misses nobody, batching changes nothing, and a resumed fold finds what an unbroken one does."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId, Address
from fusion_daemon.domain.margin import Cause, MarginEvent, MarginState
from fusion_daemon.risk import monitor as monitor_module
from fusion_daemon.risk import screen as screen_module
from fusion_daemon.risk.margin import RAY
from fusion_daemon.risk.monitor import MarginMonitor
from fusion_daemon.risk.report import report
from fusion_daemon.risk.screen import Screen
from fusion_daemon.risk.settings import Limits, RiskSettings
from fusion_daemon.risk.valuation import judge, valuation_of
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    TOKENS,
    TWO,
    USD,
    USDC,
    WETH,
    Desk,
    JournalWriter,
    accrual,
    borrow,
    credit,
    deposit,
    listed,
    name,
    opened_market,
    owner,
    told,
    usd,
)


@pytest.fixture
def screened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Screen even a single account."""
    monkeypatch.setattr(monitor_module, "FEW", 0)


AMOUNT = st.one_of(st.integers(0, 40), st.integers(0, 10**6), st.integers(0, 10**25))
LEGS = st.tuples(AMOUNT, AMOUNT, AMOUNT, AMOUNT, st.sampled_from((0, 1, 10**9, 10**15)))
"""WETH and USDC held, WETH and USDC owed, credit line."""
PRICED = st.one_of(st.tuples(st.integers(1, 10**13), st.integers(1, 10**13)), st.none())
"""The two ends of an interval, or no price."""


@given(
    st.lists(LEGS, min_size=1, max_size=12),
    st.lists(st.tuples(PRICED, PRICED), min_size=1, max_size=4),
    st.sampled_from(((0, 0), (6, 6), (18, 6))),
    st.integers(0, 10**20),
    st.data(),
)
def test_the_screen_names_everybody_whose_state_would_change(
    held: list[tuple[int, int, int, int, int]],
    ticks: list[tuple[tuple[int, int] | None, tuple[int, int] | None]],
    decimals: tuple[int, int],
    rate: int,
    data: st.DataObject,
) -> None:
    desk, chain = Desk(), JournalWriter()
    weth, usdc = listed()
    weth, usdc = (
        type(weth)(each.vault, each.token, places, each.ltv_bps, each.liquidation_threshold_bps, each.log_index)
        for each, places in zip((weth, usdc), decimals, strict=True)
    )
    changes = [
        change
        for who, (a, b, c, d, line) in enumerate(held)
        for change in (
            deposit(who, a),
            deposit(who, b, USDC),
            borrow(who, c, WETH),
            borrow(who, d),
            credit(who, line, 10 + who),
        )
    ]
    desk.fold(chain.apply(1, weth, usdc, accrual(RAY, rate, GENESIS, 2), *changes))
    screen = Screen(desk.monitor.rule)
    for seq, (eth, dollar) in enumerate(ticks):
        for asset, interval in ((ETH, eth), (USD, dollar)):
            if interval is not None:
                low, high = sorted(interval)
                price = replace(usd(2 * seq + 1, asset, 1.0), usd=low, usd_low=low, usd_high=high)
                desk.portfolio.set_price(price)
        at = GENESIS + data.draw(st.integers(0, 10**6))
        screen.refresh(desk.portfolio, desk.portfolio.accounts(), desk.monitor.standings)
        found = {account for block in screen.candidates(desk.portfolio, at, patient=False) for account in block}
        changed = []
        for account in desk.portfolio.accounts():
            before = desk.monitor.state(account)
            if judge(valuation_of(desk.portfolio, account, at), before, desk.monitor.rule) is not before:
                changed.append(account)
        assert set(changed) <= found
        desk.monitor.decide(changed, desk.monitor.interest(at).driver)


@pytest.mark.usefixtures("screened")
def test_the_screen_names_few_besides() -> None:
    """At ordinary figures floats leave nobody in doubt: candidates are exactly those who change."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    people = range(1, 401)
    desk.fold(chain.apply(2, *(deposit(who, ETHER) for who in people)))
    desk.fold(chain.apply(3, *(borrow(who, (700 + who) * DOLLAR) for who in people)))
    for dollars in (1_900.13, 1_700.37, 1_650.71, 2_100.99):
        desk.portfolio.set_price(usd(9, ETH, dollars))
        case = desk.monitor.interest(GENESIS)
        candidates = [account for block in desk.monitor.blocks(case) for account in block]
        events = desk.monitor.decide(candidates, case.driver)
        assert len(events) == len(candidates) > 0


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    return draw(
        st.lists(
            st.one_of(
                st.tuples(st.just("eth"), st.integers(200, 4_000), st.just(0)),
                st.tuples(st.just("usd"), st.integers(90, 110), st.just(0)),
                st.tuples(st.just("deposit"), st.integers(1, 6), st.integers(1, 3)),
                st.tuples(st.just("borrow"), st.integers(1, 6), st.integers(100, 4_000)),
                st.tuples(st.just("reorg"), st.integers(1, 3), st.just(0)),
                st.tuples(st.just("interest"), st.integers(0, 10**7), st.just(0)),
                st.tuples(st.just("register"), st.integers(1, 6), st.just(0)),
            ),
            max_size=30,
        )
    )


def play(story: list[tuple[str, int, int]]) -> list[MarginEvent]:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, accrual(RAY, 10**19, GENESIS)))
    canonical = list(chain.entries)
    seq = 2
    for what, one, two in story:
        if what in ("eth", "usd"):
            seq += 1
            desk.price(usd(seq, ETH if what == "eth" else USD, one if what == "eth" else one / 100))
        elif what == "interest":
            desk.conclude(desk.monitor.interest(GENESIS + one))
        elif what == "register":
            record = AccountRecord(AccountId(f"acct-{one}"), "", "", ((ONE, owner(one)),), ())
            desk.conclude(desk.monitor.registration(record, GENESIS))
        elif what == "reorg":
            depth = min(one, len(canonical) - 2)
            for entry in reversed(canonical[len(canonical) - depth :]):
                desk.fold(chain.retract(entry.block.number, *entry.changes))
            del canonical[len(canonical) - depth :]
            canonical.append(chain.apply(canonical[-1].block.number + 1, fork=str(len(chain.entries))))
            desk.fold(canonical[-1])
        else:
            change = deposit(one, two * ETHER) if what == "deposit" else borrow(one, two * DOLLAR)
            canonical.append(chain.apply(canonical[-1].block.number + 1, change, fork=str(len(chain.entries))))
            desk.fold(canonical[-1])
    return desk.events


@settings(max_examples=150)
@given(stories())
def test_screening_and_exact_evaluation_of_all_agree(story: list[tuple[str, int, int]]) -> None:
    exact = play(story)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "FEW", 0)
        patch.setattr(screen_module, "BLOCK", 2)
        assert play(story) == exact


@pytest.mark.usefixtures("screened")
def test_a_market_that_nobody_holds_yet_does_not_stop_the_screen() -> None:
    """1 <- 2(deposit, borrow) <- tick <- 3(a token is listed) <- tick, with nobody to mirror in between."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_000 * DOLLAR)))
    assert desk.price(usd(3, ETH, 1_999.0)) == []
    desk.fold(chain.apply(3, replace(listed()[0], token=Address(b"\x99" * 20))))
    (event,) = desk.price(usd(4, ETH, 1_500.0))
    assert event.after is MarginState.MARGIN_CALL


def test_only_holders_of_the_ticked_asset_are_looked_at() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_000 * DOLLAR), deposit(2, 500 * DOLLAR, USDC)))
    looked = [account for block in desk.monitor.blocks(desk.monitor.price(usd(3, ETH, 1_999.0))) for account in block]
    assert looked == [name(1)]


def test_interest_alone_worsens_a_debt() -> None:
    """1,600 of weighted collateral over 1,050 at 10 % a year: below 1.50 after about five weeks."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    a_year = 365 * 86_400
    desk.fold(chain.apply(2, accrual(RAY, RAY // 10 // a_year, GENESIS), deposit(1, ETHER), borrow(1, 1_050 * DOLLAR)))
    assert desk.conclude(desk.monitor.interest(GENESIS + 30 * 86_400)) == []
    (event,) = desk.conclude(desk.monitor.interest(GENESIS + 60 * 86_400))
    assert event.cause is Cause.INTEREST
    assert event.after is MarginState.WARNING
    # 1,050 x (1 + 0.1 x 60 / 365) = 1,067.26027397..., up to the next of USDC's six decimals
    assert event.figures.debt_usd == 1_067_26027400


def test_a_changed_threshold_looks_at_everybody() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_000 * DOLLAR)))
    strict = RiskSettings(TOKENS, health=Limits(20_000, 12_500, 10_000))
    later = MarginMonitor(strict, desk.portfolio, desk.monitor.standings, GENESIS)
    case = later.configuration(GENESIS)
    (event,) = [each for block in later.blocks(case) for each in later.decide(block, case.driver)]
    assert (event.cause, event.after) == (Cause.CONFIGURATION, MarginState.WARNING)
    assert event.inputs.configuration == strict.fingerprint


def test_a_credit_line_is_shown_and_moves_nobody() -> None:
    """Its collateral is counted where it lies: 1,600 over 1,400 stays a margin call with 9,000 granted."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_400 * DOLLAR)))
    before = report(desk.monitor, name(1), GENESIS)
    case = desk.monitor.entry(chain.apply(3, credit(1, 9_000 * 10**8), credit(2, 5 * 10**8, 1)), GENESIS)
    assert case is not None
    assert not any(desk.monitor.blocks(case))
    after = report(desk.monitor, name(1), GENESIS)
    assert before is not None
    assert after == replace(before, credit_usd=9_000 * 10**8, inputs=desk.monitor.inputs(GENESIS))
    alone = report(desk.monitor, name(2), GENESIS)
    assert alone is not None
    assert (alone.credit_usd, alone.legs) == (5 * 10**8, ())


def test_registering_an_address_in_trouble_moves_the_episode() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_400 * DOLLAR)))
    record = AccountRecord(AccountId("acme"), "ACME", "main", ((ONE, owner(1)),), ())
    events = desk.conclude(desk.monitor.registration(record, GENESIS))
    assert [(event.account, *told([event])[0]) for event in events] == [
        ("acme", "opened", "MARGIN_CALL", 1, 1),
        (name(1), "resolved", "HEALTHY", 1, 2),
    ]
    assert {event.cause for event in events} == {Cause.REGISTRY}


def test_a_changed_parameter_touches_all_holders_of_the_market() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_000 * DOLLAR)))
    (event,) = desk.fold(chain.apply(3, *listed(weth_threshold=7_000)))
    assert (event.cause, event.after) == (Cause.CHAIN, MarginState.WARNING)
    (event,) = desk.fold(chain.retract(3, *listed(weth_threshold=7_000), settles=True))
    assert told([event]) == [("corrected", "HEALTHY", 1, 2)]


def test_an_event_carries_what_it_rests_on() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER)))
    (event,) = desk.fold(chain.apply(3, borrow(1, 1_400 * DOLLAR)))
    assert event.inputs.price_seq == 2
    assert [(each.chain, each.seq, each.block) for each in event.inputs.chains] == [(ONE, 3, 3), (TWO, 0, 0)]
    assert event.inputs.as_of == GENESIS + 36


def test_a_report_shows_legs_figures_and_strangers_not_at_all() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(1, ETHER), borrow(1, 1_400 * DOLLAR)))
    shown = report(desk.monitor, name(1), GENESIS + 60)
    assert shown is not None
    assert shown.figures is not None
    assert (shown.state, shown.figures.debt_usd) == (MarginState.MARGIN_CALL, 1_400 * 10**8)
    assert sorted((leg.asset or "", leg.usd or 0) for leg in shown.legs) == [
        ("ETH", 2_000 * 10**8),
        ("USDC", 1_400 * 10**8),
    ]
    assert sum(leg.usd or 0 for leg in shown.legs if leg.side.value == "debt") == shown.figures.debt_usd
    assert report(desk.monitor, name(2), GENESIS) is None


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_loading_does_not_show_in_the_events(seed: int) -> None:
    def run(people: list[int]) -> list[MarginEvent]:
        desk, chain = Desk(), JournalWriter()
        opened_market(desk, chain)
        changes = [change for who in people for change in (deposit(who, ETHER), borrow(who, 1_200 * DOLLAR))]
        desk.fold(chain.apply(2, *changes))
        return desk.events

    people = list(range(1, 300))
    expected = run(people)
    random.Random(seed).shuffle(people)
    assert run(people) == expected
