"""The picture is the fold of the journals: folding and unwinding are inverses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId, unregistered
from fusion_daemon.domain.journal import BalanceChange, Change, JournalEntry, Op, Side, journal_stream
from fusion_daemon.domain.margin import ChainInput
from fusion_daemon.risk.margin import RAY
from fusion_daemon.risk.portfolio import Portfolio
from fusion_daemon.risk.registers import KEPT, History, JournalMismatch
from fusion_daemon.risk.snapshot import Position, RegisterValue, Snapshot, restore
from fusion_daemon.risk.valuation import valuation_of, value_at
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
    VAULT,
    WETH,
    JournalWriter,
    accrual,
    borrow,
    credit,
    deposit,
    listed,
    name,
    owner,
    usd,
)


def pictured(portfolio: Portfolio) -> dict[str, object]:
    """Everything that can be read from a portfolio, independent of the order in which it came."""
    accounts = [account for account in portfolio.accounts() if any(portfolio.legs(account))]
    return {
        "legs": {
            account: sorted(
                (leg.market.chain, leg.market.token, leg.side.value, leg.owner, leg.amount)
                for leg in portfolio.legs(account)
            )
            for account in accounts
        },
        "credit": {
            account: portfolio.credit(account) for account in sorted(portfolio.accounts()) if portfolio.credit(account)
        },
        "registers": {
            (market.chain, market.token): (market.parameters.last, market.index.last)
            for market in portfolio.markets
            if market.parameters.last or market.index.last
        },
        "holders": {
            (market.chain, market.token): sorted(portfolio.holders([market]))
            for market in portfolio.markets
            if portfolio.holder_count([market])
        },
    }


def fold(entries: list[JournalEntry]) -> Portfolio:
    portfolio = Portfolio(TOKENS, (ONE, TWO))
    for entry in entries:
        portfolio.fold(entry)
    return portfolio


def changes_at(log_index: int) -> st.SearchStrategy[Change]:
    who, amount, token = st.integers(1, 4), st.integers(-5, 9), st.sampled_from((WETH, USDC))
    indexes, rates = st.integers(RAY, 2 * RAY), st.integers(0, 9)
    parameters = st.sampled_from([replace(each, log_index=log_index) for each in listed()])
    return st.one_of(
        st.builds(deposit, who, amount, token),
        st.builds(borrow, who, amount, token),
        st.builds(credit, who, st.integers(0, 9), st.just(log_index)),
        st.builds(accrual, indexes, rates, st.just(GENESIS), st.just(log_index)),
        parameters,
    )


BLOCKS = st.integers(0, 4).flatmap(lambda count: st.tuples(*(changes_at(each) for each in range(count))))
STEPS = st.tuples(st.booleans(), st.booleans(), BLOCKS)


def drawn(steps: list[tuple[bool, bool, tuple[Change, ...]]]) -> list[JournalEntry]:
    """A chain with reorgs: a retract takes the tip, with the very changes that it applied."""
    writer = JournalWriter(TWO)
    held: list[JournalEntry] = []
    for retract, settles, changes in steps:
        if retract and held:
            lost = held.pop()
            writer.retract(lost.block.number, *lost.changes, settles=settles)
        else:
            fork = str(len(writer.entries))
            held.append(writer.apply(len(held) + 1, *changes, fork=fork))
    return writer.entries


def journals() -> st.SearchStrategy[list[JournalEntry]]:
    return st.lists(STEPS, min_size=1, max_size=20).map(drawn)


@given(journals(), st.data())
def test_unwinding_is_the_inverse_of_folding(entries: list[JournalEntry], data: st.DataObject) -> None:
    cursor = data.draw(st.integers(0, len(entries)))
    there_and_back = fold(entries)
    there_and_back.unwind(entries[cursor:])
    assert pictured(there_and_back) == pictured(fold(entries[:cursor]))


@given(journals(), st.data())
def test_a_snapshot_at_the_head_unwinds_to_the_cursor(entries: list[JournalEntry], data: st.DataObject) -> None:
    """What the database holds at the head, canonical registers only, is enough to stand at a cursor."""
    cursor = data.draw(st.integers(1, len(entries)))
    chain, vault = entries[0].chain, VAULT
    at_head = fold(entries)
    applied: list[JournalEntry] = []
    for entry in entries:
        if entry.op is Op.APPLY:
            applied.append(entry)
        else:
            applied.pop()
    snapshot = Snapshot(
        positions=[
            Position(chain, vault, each[1], market.token, side, amount)
            for each, legs in at_head._legs.items()
            for (market, side), amount in legs.items()
        ],
        registers=[
            RegisterValue(chain, entry.block.number, change)
            for entry in applied
            for change in entry.changes
            if not isinstance(change, BalanceChange)
        ],
        backlog={chain: entries[cursor:]},
        places=[ChainInput(chain, cursor, 0)],
        prices=[],
        price_seq=0,
        records=[],
        standings={},
        heads={},
        fingerprint=None,
    )
    restored = Portfolio(TOKENS, (ONE, TWO))
    for _ in restore(snapshot, restored):
        pass
    assert pictured(restored) == pictured(fold(entries[:cursor]))
    for entry in entries[cursor:]:
        restored.fold(entry)
    assert pictured(restored) == pictured(at_head)


def test_a_register_falls_back_to_its_last_canonical_value() -> None:
    """1(index 1.0) <- 2a(1.1) <- 3a(1.2); 3a and 2a retracted; a late backfill puts a value into block 0."""
    chain = JournalWriter()
    one, two, three = (accrual(RAY + step * RAY // 10, 0, GENESIS) for step in range(3))
    portfolio = fold([chain.apply(1, one), chain.apply(2, two), chain.apply(3, three)])
    market = portfolio.market(ONE, VAULT, USDC)
    for lost, value, left in ((3, three, two), (2, two, one)):
        portfolio.fold(chain.retract(lost, value))
        assert market.index.last == left
    portfolio.fold(chain.apply(0, accrual(7 * RAY, 0, GENESIS)))
    assert market.index.last == one


def test_retracting_what_was_never_applied_is_refused() -> None:
    chain = JournalWriter()
    with pytest.raises(JournalMismatch):
        fold([chain.retract(1, accrual(RAY, 0, GENESIS))])


def test_a_trimmed_history_keeps_the_newest_values() -> None:
    history: History[int] = History()
    for block in range(5_000):
        history.put(block, 0, block)
        history.trim()
    assert history.last == 4_999
    for block in range(4_999, 4_999 - 1_000, -1):
        history.take(block, 0)
    assert history.last == 3_999


def test_a_reorg_deeper_than_what_is_kept_restarts_once_and_not_for_ever() -> None:
    """1 <- 2 … 2070, an accrual each, none final; then 1,100 of them are retracted and 971b comes.

    The life that was there when it happened has forgotten too much: it ends. The next one reads from the
    store what is canonical, unwinds to the cursor, and folds the whole reorg."""
    chain, depth, top = JournalWriter(), KEPT + 76, 2_070
    accruals = {number: accrual(RAY + number, 0, GENESIS + 12 * number) for number in range(2, top + 1)}
    listing = (*listed(), accrual(RAY, 0, GENESIS, 2))
    before = [chain.apply(1, *listing), *(chain.apply(number, value) for number, value in accruals.items())]
    reorg = [chain.retract(number, accruals[number]) for number in range(top, top - depth, -1)]
    reorg.append(chain.apply(top - depth + 1, accrual(3 * RAY, 0, GENESIS), fork="b"))
    with pytest.raises(JournalMismatch):
        fold([*before, *reorg])
    kept = [(1, value) for value in listing] + [(number, accruals[number]) for number in range(2, top - depth + 1)]
    registers = [RegisterValue(ONE, number, value) for number, value in kept]
    registers.append(RegisterValue(ONE, top - depth + 1, accrual(3 * RAY, 0, GENESIS)))
    heads = {journal_stream(ONE): len(chain.entries)}
    place = ChainInput(ONE, len(before), top)
    snapshot = Snapshot([], registers, {ONE: reorg}, [place], [], 0, [], {}, heads, None)
    restored = Portfolio(TOKENS, (ONE, TWO))
    for _ in restore(snapshot, restored):
        pass
    index = restored.market(ONE, VAULT, USDC).index
    assert index.last == accruals[top]
    for entry in reorg:
        restored.fold(entry)
    assert index.last == accrual(3 * RAY, 0, GENESIS)
    # Past the head of the start it forgets again what no reorg should reach.
    for number in range(top, top + 2_000):
        restored.fold(chain.apply(number, accrual(RAY + number, 0, GENESIS)))
    assert len(index._values) <= 2 * KEPT


def test_an_accrual_as_foretold_touches_nobody_and_a_surprise_touches_the_market() -> None:
    chain = JournalWriter()
    portfolio = fold([chain.apply(0, *listed(), accrual(RAY, 10**18, GENESIS, 2)), chain.apply(1, borrow(1, DOLLAR))])
    foretold = RAY + 10**18 * 24
    assert not portfolio.fold(chain.apply(2, accrual(foretold, 5, GENESIS + 24))).markets
    assert portfolio.fold(chain.apply(3, accrual(2 * RAY, 5, GENESIS + 36))).markets
    assert portfolio.fold(chain.apply(4, *listed())).markets


def test_addresses_on_several_chains_are_one_account() -> None:
    portfolio = Portfolio(TOKENS, (ONE, TWO))
    one, two = JournalWriter(ONE), JournalWriter(TWO)
    for seq, (asset, dollars) in enumerate(((ETH, 2_000.0), (USD, 1.0)), 1):
        portfolio.set_price(usd(seq, asset, dollars))
    portfolio.fold(one.apply(1, *listed(), deposit(1, 3 * ETHER)))
    portfolio.fold(two.apply(1, *listed(), borrow(2, 1_000 * DOLLAR), credit(2, 55)))
    both = AccountId("acme")
    record = AccountRecord(both, "ACME", "main", ((ONE, owner(1)), (TWO, owner(2))), ())
    touched = portfolio.register(record)
    assert list(touched.accounts) == [unregistered(ONE, owner(1)), both, unregistered(TWO, owner(2))]
    sums = valuation_of(portfolio, both, GENESIS).sums
    assert (sums.collateral, sums.debt, portfolio.credit(both)) == (6_000 * 10**8, 1_000 * 10**8, 55)
    assert valuation_of(portfolio, unregistered(ONE, owner(1)), GENESIS).sums.collateral == 0
    # The second address is given up: it is on its own again.
    touched = portfolio.register(AccountRecord(both, "ACME", "main", ((ONE, owner(1)),), ()))
    assert list(touched.accounts) == [both, unregistered(TWO, owner(2))]
    assert portfolio.credit(unregistered(TWO, owner(2))) == 55
    assert not portfolio.register(AccountRecord(both, "ACME", "renamed", ((ONE, owner(1)),), ())).accounts


def test_what_has_no_value_counts_as_nothing_and_is_named() -> None:
    stranger = type(WETH)(b"\x99" * 20)
    portfolio = Portfolio(TOKENS, (ONE,))
    chain = JournalWriter()
    portfolio.fold(chain.apply(1, *listed(), deposit(1, ETHER), deposit(1, 5, stranger), borrow(1, DOLLAR)))
    portfolio.set_price(usd(1, USD, 1.0))
    found = valuation_of(portfolio, name(1), GENESIS)  # ETH was never priced
    assert (found.sums.collateral, found.sums.debt) == (0, 10**8)
    assert ([leg.market.asset for leg in found.unpriced], found.owes_unpriced) == ([ETH], False)
    portfolio.set_price(usd(2, ETH, 2_000.0))
    found = valuation_of(portfolio, name(1), GENESIS)
    assert found.sums.collateral == 2_000 * 10**8
    assert found.unpriced == ()  # the stranger's token is worth nothing here
    portfolio.fold(chain.apply(2, borrow(1, 5, stranger)))
    found = valuation_of(portfolio, name(1), GENESIS)
    assert ([leg.market.token for leg in found.unpriced], found.owes_unpriced) == ([stranger], True)
    assert [market.token for market in portfolio.unvalued()] == [stranger]


def test_a_balance_below_zero_counts_as_nothing_and_comes_back() -> None:
    chain = JournalWriter()
    portfolio = fold([chain.apply(1, *listed(), deposit(1, -5))])
    assert list(portfolio.legs(name(1))) == []
    portfolio.fold(chain.apply(2, deposit(1, 8)))
    (leg,) = portfolio.legs(name(1))
    assert (leg.amount, leg.side) == (3, Side.COLLATERAL)
    portfolio.set_price(usd(1, ETH, 2_000.0))
    assert value_at(portfolio, leg, GENESIS) == 0


def test_a_chain_stands_at_the_block_or_below_the_retracted_one() -> None:
    chain = JournalWriter()
    portfolio = fold([chain.apply(4), chain.apply(5)])
    assert portfolio.chains[ONE] == ChainInput(ONE, 2, 5)
    portfolio.fold(chain.retract(5))
    assert portfolio.chains[ONE] == ChainInput(ONE, 3, 4)
