"""The risk calculator on a real Postgres: what commits together, and what a kill at any commit leaves."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio

import actors.margin_commits as commits_module
from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import Cause, MarginKind, MarginState
from fusion_daemon.risk.margin import RAY
from fusion_daemon.risk.repository import events_of_account, margin_events_after
from fusion_daemon.risk.settings import Limits, RiskSettings
from fusion_daemon.store import Fenced, Reader, Row, Store
from tests.integration.risk.calculator_bench import DEADLINE, Bench, CutStore, Fate
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    TOKENS,
    TWO,
    USD,
    accrual,
    borrow,
    credit,
    deposit,
    listed,
    name,
    owner,
    usd,
)

PROBE = AccountRecord(AccountId("probe"), "probe", "probe", (), ())
ACME = AccountRecord(AccountId("acme"), "ACME", "main", ((ONE, owner(1)), (TWO, owner(2))), ())


async def rows(store: Store, sql: str) -> list[Row]:
    async def query(reader: Reader) -> list[Row]:
        return await reader.fetch(sql)

    return await store.read(query)


async def listing(bench: Bench) -> None:
    """Both chains list both tokens, the accounts are registered, ETH costs 2,000 and USDC a dollar."""
    await bench.write_accounts(PROBE, ACME)
    await bench.write_prices(usd(1, ETH, 2_000.0), usd(2, USD, 1.0))
    for chain in (ONE, TWO):
        bench.writers[chain].apply(1, *listed(), accrual(RAY, 0, GENESIS, 2))
        await bench.write_journal(chain)


async def lending(bench: Bench) -> None:
    """ACME holds 2 WETH on chain one and owes 1,000 on chain two; account 7 holds and owes on chain one."""
    bench.writers[ONE].apply(2, deposit(1, 2 * ETHER), deposit(7, ETHER), borrow(7, 1_000 * DOLLAR))
    bench.writers[TWO].apply(2, borrow(2, 1_900 * DOLLAR), credit(2, 200 * 10**8))
    for chain in (ONE, TWO):
        await bench.write_journal(chain)


async def crash(bench: Bench) -> None:
    for seq, dollars in enumerate((1_800.0, 1_500.0, 1_490.0, 1_200.0, 1_900.0), 3):
        await bench.write_prices(usd(seq, ETH, dollars, at=GENESIS + 25 + seq))


async def reorgs(bench: Bench) -> None:
    """Chain one: 2 <- 3a(borrow 8) <- 4a, then 2 <- 3b <- 4b, then 5b(borrow 8), which becomes
    5c <- 6c(borrow 8): nobody's state changes, but the cause has moved. Chain two goes on beside."""
    one, taken = bench.writers[ONE], borrow(8, 1_400 * DOLLAR)
    one.apply(3, deposit(8, ETHER), taken, accrual(RAY + 5, 0, GENESIS + 36, 9))
    one.apply(4, accrual(RAY + 9, 0, GENESIS + 48))
    await bench.write_journal(ONE)
    one.retract(4, accrual(RAY + 9, 0, GENESIS + 48))
    one.retract(3, deposit(8, ETHER), taken, accrual(RAY + 5, 0, GENESIS + 36, 9))
    one.apply(3, deposit(8, ETHER), fork="b", settles=False)
    one.apply(4, fork="b")
    one.apply(5, taken, fork="b")
    await bench.write_journal(ONE)
    one.retract(5, taken, fork="b")
    one.apply(5, fork="c", settles=False)
    one.apply(6, taken, fork="c")
    await bench.write_journal(ONE)
    bench.writers[TWO].apply(3, borrow(2, 300 * DOLLAR), accrual(RAY + RAY // 50, 7, GENESIS + 36, 5))
    await bench.write_journal(TWO)


async def aftermath(bench: Bench) -> None:
    await bench.write_accounts(AccountRecord(AccountId("zeta"), "", "", ((ONE, owner(7)),), ()))
    late = GENESIS + 100
    await bench.write_prices(usd(8, ETH, 1_300.0, late), usd(9, USD, 0.97, late), usd(10, ETH, 2_200.0, late))
    bench.writers[TWO].apply(4, borrow(2, -2_200 * DOLLAR))
    await bench.write_journal(TWO)


STORY: Sequence[Callable[[Bench], Awaitable[None]]] = (listing, lending, crash, reorgs, aftermath)

EVENTS = """
SELECT seq, account, episode, step, kind, before, after, cause, confirmed, figures, inputs, at
FROM margin_events ORDER BY seq"""
DELIVERIES = """
SELECT d.id, a.id AS alert, a.type, a.severity FROM deliveries d JOIN alerts a ON a.id = d.alert_id ORDER BY 1"""
ALERTS = "SELECT id, type, severity, state FROM alerts ORDER BY id"
STATES = "SELECT * FROM margin_states ORDER BY account"


async def outcome(store: Store) -> list[list[object]]:
    found = [await rows(store, sql) for sql in (EVENTS, ALERTS, DELIVERIES, STATES)]
    return [[tuple(row._cells.values()) for row in table] for table in found]  # type: ignore[attr-defined]


async def play(bench: Bench, cut: int | None) -> tuple[int, int]:
    """The story, one life cut off after commit number `cut`. Gives the numbers of commits and of lives."""
    fate, lives = Fate(cut), 0
    for act in STORY:
        await act(bench)
        finished = False
        while not finished:
            lives += 1
            store = CutStore(bench.store, fate)
            with store.scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(bench.live, store)
                    await bench.caught_up()
                    finished = True
                    nursery.cancel_scope.cancel()
    return fate.commits, lives


async def wipe(store: Store) -> None:
    async def truncate(writer: Reader) -> None:
        await writer.fetch(
            "TRUNCATE streams, cursors, prices, account_changes, positions, chain_registers, chain_journal, "
            "margin_events, margin_states, risk_configuration, alerts, deliveries, delivery_attempts"
        )

    await store.transact(truncate)


async def test_a_kill_after_any_commit_changes_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule: cursors and effects commit together, so a life that ends after any of its commits, before it
    could publish, is continued by the next one to the very same events, standings, alerts and deliveries."""
    monkeypatch.setattr(commits_module, "UNCOMMITTED_ENTRIES", 1)
    commits, _ = await play(Bench(store), None)
    expected = await outcome(store)
    assert len(expected[0]) >= 15
    assert {row[4] for row in expected[0]} == {kind.value for kind in MarginKind}  # type: ignore[index]
    assert commits >= 15
    assert [json.loads(row[4]) for row in expected[3] if row[0] == name(8)] == [[[ONE, 6]]]  # type: ignore[index]
    kills = 0
    for cut in range(1, commits + 1):
        await wipe(store)
        _, lives = await play(Bench(store), cut)
        assert await outcome(store) == expected, f"cut after commit {cut}"
        kills += lives - len(STORY)
    # A cursor that moves while an act ends may be committed or not; every other cut has cut.
    assert kills >= commits - len(STORY)


async def test_one_commit_holds_all_that_cross_on_one_tick(store: Store) -> None:
    bench = Bench(store)
    await listing(bench)
    people = range(100, 400)
    bench.writers[ONE].apply(
        2, *(change for who in people for change in (deposit(who, ETHER), borrow(who, 1_000 * DOLLAR)))
    )
    await bench.write_journal(ONE)
    async with bench.running():
        await bench.caught_up()
        before = store.statistics().commits
        await bench.write_prices(usd(3, ETH, 1_500.0))
        await bench.caught_up()
        # the test's own write of the price is the other one
        assert store.statistics().commits == before + 2
    events = await store.read(margin_events_after, 0, 1_000)
    assert len(events) == len(people)
    assert {event.after for event in events} == {MarginState.MARGIN_CALL}
    assert len(await rows(store, "SELECT 1 FROM deliveries")) == len(people)
    assert bench.margin.head == len(people)


async def test_what_is_published_is_what_is_read_back(store: Store) -> None:
    bench = Bench(store)
    published: list[object] = []

    async def fill(after: int, limit: int) -> Sequence[object]:
        return list(await store.read(margin_events_after, after, limit))

    subscription = bench.margin.subscribe("test", 0, fill, bench.dispatcher)  # type: ignore[arg-type]
    await listing(bench)
    await lending(bench)
    async with bench.running():
        await bench.caught_up()
        await crash(bench)
        await bench.caught_up()
        while subscription.ready:
            published += await subscription.take(100)
    assert published == list(await store.read(margin_events_after, 0, 1_000))
    mine = await store.read(events_of_account, name(7), 2**62, 2)
    assert [recorded.event.step for recorded in mine] == [4, 3]
    with trio.fail_after(DEADLINE):
        await bench.dispatcher.wait()  # it was rung


async def test_a_changed_limit_is_applied_at_the_start_and_only_once(store: Store) -> None:
    bench = Bench(store)
    await listing(bench)
    await lending(bench)
    async with bench.running():
        await bench.caught_up()
        await crash(bench)  # its last tick moves both accounts, so every cursor is committed with it
        await bench.caught_up()
    known = len(await store.read(margin_events_after, 0, 100))
    bench.settings = RiskSettings(TOKENS, health=Limits(20_000, 12_500, 10_000))
    for _ in range(2):
        async with bench.running():
            await bench.caught_up()
    events = (await store.read(margin_events_after, 0, 100))[known:]
    assert [(event.account, event.cause, event.after) for event in events] == [
        ("acme", Cause.CONFIGURATION, MarginState.WARNING)
    ]


async def test_a_crossing_that_recovered_while_it_was_down_is_found_and_past(store: Store) -> None:
    """The first life folds the loans but ends before it moved its cursors: the second one starts behind
    them, and yet meets the prices with the loans, because it folds its backlog in the order of time."""
    bench = Bench(store)
    await listing(bench)
    await lending(bench)
    async with bench.running():
        await bench.caught_up()
    known = len(await store.read(margin_events_after, 0, 100))
    await bench.write_prices(usd(3, ETH, 1_300.0, GENESIS + 100), usd(4, ETH, 2_100.0, GENESIS + 101))
    async with bench.running():
        await bench.caught_up()
    events = (await store.read(margin_events_after, 0, 100))[known:]
    assert [(event.account, event.after, event.past) for event in events if event.account == name(7)] == [
        (name(7), MarginState.MARGIN_CALL, True),
        (name(7), MarginState.HEALTHY, True),
    ]


async def test_history_that_a_kill_interrupts_is_history_to_the_next_life_too(store: Store) -> None:
    """Prices of today; blocks 2(two loans) <- 3(account 7 repays) of GENESIS; the first life ends between them."""
    bench = Bench(store)
    now = int(bench.clock.now())
    await bench.write_accounts(PROBE)
    await bench.write_prices(usd(1, ETH, 1_000.0, now), usd(2, USD, 1.0, now))
    one = bench.writers[ONE]
    one.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2))
    one.apply(2, *(change for who in (7, 8) for change in (deposit(who, ETHER), borrow(who, 1_000 * DOLLAR))))
    await bench.write_journal(ONE)
    async with bench.running():
        await bench.caught_up()
    one.apply(3, borrow(7, -1_000 * DOLLAR))
    await bench.write_journal(ONE)
    async with bench.running():
        await bench.caught_up()
        await bench.write_prices(usd(3, ETH, 999.0, now))
        await bench.caught_up()
        assert await store.read(margin_events_after, 0, 100) == []
        one.apply((now - GENESIS) // 12)
        await bench.write_journal(ONE)
        await bench.caught_up()
    (event,) = await store.read(margin_events_after, 0, 100)
    assert (event.account, event.after, event.inputs.price_seq) == (name(8), MarginState.LIQUIDATION, 3)


async def test_a_second_calculator_fences_the_first(store: Store) -> None:
    bench = Bench(store)
    await listing(bench)
    await lending(bench)
    with pytest.RaisesGroup(Fenced):
        async with trio.open_nursery() as nursery:
            await nursery.start(bench.live, store)
            await bench.caught_up()
            await store.claim("risk_calculator", produces=("margin_events",), consumes=("prices",))
            await bench.write_prices(usd(3, ETH, 1_300.0))
            await trio.sleep_forever()
    events = await store.read(margin_events_after, 0, 100)
    assert all(event.inputs.price_seq < 3 for event in events)
