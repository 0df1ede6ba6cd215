"""The calculator's loop in virtual time: interest, cursors, priorities, answers. The store is a fake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from actors.risk_calculator import TELL_SECONDS, UNCOMMITTED_SECONDS, MarginOf, RiskCalculator, Sources
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import JournalEntry, Side, journal_stream
from fusion_daemon.domain.margin import MARGIN_STREAM, Cause, ChainInput, MarginEvent
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.risk.history import STEADY_SECONDS
from fusion_daemon.risk.margin import RAY
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.risk.settings import Limits, RiskSettings
from fusion_daemon.risk.snapshot import Position, RegisterValue, Snapshot
from fusion_daemon.runtime import (
    ActorContext,
    Bell,
    DeadLetters,
    Mailbox,
    ManualClock,
    Overflow,
    TargetDied,
    Topic,
    TrioClock,
)
from fusion_daemon.store import Claim, Commit, Reader, Store, Write
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    TOKENS,
    USD,
    USDC,
    VAULT,
    WETH,
    JournalWriter,
    accrual,
    borrow,
    deposit,
    listed,
    name,
    owner,
    usd,
)

A_YEAR = 365 * 86_400


NOTHING = Snapshot([], [], {}, [], [], 0, [], {}, {}, RiskSettings(TOKENS).fingerprint)


class FakeStore(Store):
    """Remembers commits; everything starts at 0 unless the test says where it starts."""

    def __init__(self, snapshot: Snapshot = NOTHING, positions: Mapping[str, int] | None = None) -> None:
        self.committed: list[Commit] = []
        self.held: trio.Event | None = None
        """Commits wait for it."""
        self._snapshot = snapshot
        self._positions = positions or {}

    async def commit(self, commit: Commit) -> None:
        await trio.lowlevel.checkpoint()
        if self.held is not None:
            await self.held.wait()
        self.committed.append(commit)

    async def claim(self, owner: str, *, produces: Sequence[str] = (), consumes: Sequence[str] = ()) -> Claim:
        await trio.lowlevel.checkpoint()
        positions = dict.fromkeys(consumes, 0) | dict(self._positions)
        return Claim(owner, 1, dict.fromkeys(produces, 0), positions)

    async def read(self, query: object, *args: object, timeout: float = 30.0) -> Snapshot:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        return self._snapshot


@dataclass
class Stage:
    store: FakeStore = field(default_factory=FakeStore)
    settings: RiskSettings = field(default_factory=lambda: RiskSettings(TOKENS))
    prices: Topic[Price] = field(default_factory=lambda: Topic(PRICE_STREAM, 10_000))
    accounts: Topic[AccountChange] = field(default_factory=lambda: Topic(ACCOUNT_STREAM, 100))
    journal: Topic[JournalEntry] = field(default_factory=lambda: Topic(journal_stream(ONE), 10_000))
    margin: Topic[MarginEvent] = field(default_factory=lambda: Topic(MARGIN_STREAM, 100))
    requests: Mailbox[MarginOf, AccountMargin | None] = field(
        default_factory=lambda: Mailbox("margin", 8, Overflow.FAIL, DeadLetters(ManualClock()))
    )
    chain: JournalWriter = field(default_factory=JournalWriter)
    told: list[MarginEvent] = field(default_factory=list)

    async def run(self, task_status: trio.TaskStatus[ActorContext]) -> None:
        async def nothing(_after: int, _limit: int) -> Sequence[object]:
            raise AssertionError("the buffers are large enough here")

        async def entries(after: int, limit: int) -> Sequence[JournalEntry]:
            await trio.lowlevel.checkpoint()
            return self.chain.entries[after : after + limit]

        async def no_entries(_r: Reader, _c: ChainId, _a: int, _l: int) -> Sequence[JournalEntry]:
            return ()

        def accept(events: Sequence[MarginEvent], _accounts: object) -> Sequence[Write]:
            self.told += events
            return ()

        sources = Sources(
            self.prices,
            nothing,  # type: ignore[arg-type]
            self.accounts,
            nothing,  # type: ignore[arg-type]
            {ONE: self.journal},
            {ONE: entries},
            no_entries,
        )
        context = ActorContext(
            "risk_calculator", TrioClock(GENESIS + 100.0), on_started=lambda: task_status.started(context)
        )
        calculator = RiskCalculator(self.store, self.settings, sources, self.margin, Bell(), self.requests, accept)
        await calculator.run(context)

    def lend(self, scaled: int, rate: int = 0) -> None:
        """Two prices, a listing, and account 1 with 1 WETH and a debt."""
        self.prices.publish(1, [usd(1, ETH, 2_000.0), usd(2, USD, 1.0)])
        self.chain.apply(1, *listed(), accrual(RAY, rate, GENESIS, 2), deposit(1, ETHER), borrow(1, scaled))
        self.journal.publish(1, self.chain.entries)

    @property
    def positions(self) -> dict[str, int]:
        return {advance.stream: advance.after for commit in self.store.committed for advance in commit.advances}


async def test_interest_is_looked_at_when_its_time_comes(autojump_clock: trio.testing.MockClock) -> None:
    """1,600 over 1,066 at 10,000 % a year: below 1.50 after minutes, with no tick and no block."""
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        stage.lend(1_066 * DOLLAR, rate=100 * RAY // A_YEAR)
        await trio.sleep(1_000)
        assert [(event.cause, event.after.name) for event in stage.told] == [(Cause.INTEREST, "WARNING")]
        nursery.cancel_scope.cancel()


async def test_what_it_knows_is_young_while_it_folds_and_grows_old_while_it_cannot(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """
    quiet     for minutes nothing comes: everything that was announced is folded
    held up   the database does not answer a commit, and a price waits behind it
    """
    stage = Stage()
    async with trio.open_nursery() as nursery:
        context: ActorContext = await nursery.start(stage.run)

        def age() -> float:
            assert context.data_since is not None
            return trio.current_time() - context.data_since

        await trio.sleep(300.0)
        assert age() <= UNCOMMITTED_SECONDS + TELL_SECONDS
        stage.store.held = trio.Event()
        stage.lend(1_500 * DOLLAR)
        await trio.testing.wait_all_tasks_blocked()
        stage.prices.publish(3, [usd(3, ETH, 1_900.0)])
        await trio.sleep(60.0)
        assert age() >= 60.0
        stage.store.held.set()
        await trio.sleep(2 * UNCOMMITTED_SECONDS)
        assert age() <= UNCOMMITTED_SECONDS + TELL_SECONDS
        nursery.cancel_scope.cancel()


async def test_cursors_move_after_five_quiet_seconds_and_not_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        stage.lend(500 * DOLLAR)
        await trio.sleep(4.9)
        assert stage.positions == {}
        await trio.sleep(0.2)
        assert stage.positions == {PRICE_STREAM: 2, journal_stream(ONE): 1}
        assert len(stage.store.committed) == 1
        nursery.cancel_scope.cancel()


async def test_a_price_overtakes_a_backlog_of_blocks(autojump_clock: trio.testing.MockClock) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        stage.lend(1_000 * DOLLAR)
        await trio.testing.wait_all_tasks_blocked()
        stage.journal.publish(2, [stage.chain.apply(number) for number in range(2, 3_000)])
        stage.prices.publish(3, [usd(3, ETH, 1_500.0)])
        await trio.testing.wait_all_tasks_blocked()
        (event,) = stage.told
        assert event.inputs.chains[0].seq == 1
        nursery.cancel_scope.cancel()


async def test_an_answer_is_given_between_inputs_and_refused_when_nobody_lives(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        stage.lend(1_000 * DOLLAR)
        await trio.testing.wait_all_tasks_blocked()
        shown = await stage.requests.ask(MarginOf(name(1)), 1.0)
        assert shown is not None
        assert shown.figures is not None
        assert shown.figures.health_factor == 16 * 10**17
        assert await stage.requests.ask(MarginOf(name(2)), 1.0) is None
        nursery.cancel_scope.cancel()
    with pytest.raises(TargetDied):
        await stage.requests.ask(MarginOf(name(1)), 1.0)


async def test_what_has_no_price_is_said(autojump_clock: trio.testing.MockClock) -> None:
    stage = Stage()
    async with trio.open_nursery() as nursery:
        context = await nursery.start(stage.run)
        stage.chain.apply(1, *listed(), deposit(1, ETHER), borrow(1, DOLLAR))
        stage.journal.publish(1, stage.chain.entries)
        await trio.testing.wait_all_tasks_blocked()
        assert "ETH on chain 1, USDC on chain 1" in context.health.reason
        assert stage.told == []
        stage.prices.publish(1, [usd(1, ETH, 2_000.0), usd(2, USD, 1.0)])
        await trio.testing.wait_all_tasks_blocked()
        assert context.health.reason == ""
        nursery.cancel_scope.cancel()


async def test_a_changed_limit_is_not_applied_to_what_the_backlog_has_overtaken(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """1(listing) <- 2(1 WETH; owes 1,000: health 1.60)  the cursor  <- 3(repays 500: health 3.20)  the head.

    Between two lives the operator raises the limit to 1.75. In the state that is, nobody is below it."""
    chain = JournalWriter()
    listing = (*listed(), accrual(RAY, 0, GENESIS, 2))
    chain.apply(1, *listing)
    chain.apply(2, deposit(1, ETHER), borrow(1, 1_000 * DOLLAR))
    repaid = chain.apply(3, borrow(1, -500 * DOLLAR))
    held = [
        Position(ONE, VAULT, owner(1), WETH, Side.COLLATERAL, ETHER),
        Position(ONE, VAULT, owner(1), USDC, Side.DEBT, 500 * DOLLAR),
    ]
    stream = journal_stream(ONE)
    snapshot = Snapshot(
        positions=held,
        registers=[RegisterValue(ONE, 1, value) for value in listing],
        backlog={ONE: [repaid]},
        places=[ChainInput(ONE, 2, 2)],
        prices=[usd(1, ETH, 2_000.0), usd(2, USD, 1.0)],
        price_seq=2,
        records=[],
        standings={},
        heads={PRICE_STREAM: 2, stream: 3},
        fingerprint="of another configuration",
    )
    strict = RiskSettings(TOKENS, health=Limits(17_500, 16_500, 16_100))
    stage = Stage(FakeStore(snapshot, {PRICE_STREAM: 2, stream: 2}), strict, chain=chain)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.run)
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told == []
        (saved,) = [commit for commit in stage.store.committed if commit.proof is not None]
        assert saved.advances[0].after == 3
        nursery.cancel_scope.cancel()


async def test_history_is_judged_once_when_the_chain_stands_and_its_cursor_waits_for_that(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A chain added late: its two blocks are a day older than the prices, and none comes after them."""
    stage = Stage()
    day = 86_400
    prices = [usd(seq, asset, dollars, GENESIS + 90) for seq, asset, dollars in ((1, ETH, 1_000.0), (2, USD, 1.0))]
    for number, changes in ((1, (*listed(), accrual(RAY, 0, GENESIS, 2))), (2, (deposit(1, ETHER), borrow(1, 10**9)))):
        stage.chain.apply(number - day // 12, *changes)
    async with trio.open_nursery() as nursery:
        context = await nursery.start(stage.run)
        stage.prices.publish(1, prices)
        await trio.testing.wait_all_tasks_blocked()
        stage.journal.publish(1, stage.chain.entries)
        await trio.sleep(STEADY_SECONDS - 1)
        assert stage.told == []
        assert stage.positions == {PRICE_STREAM: 2}
        assert "chain 1 is being read up to block" in context.health.reason
        await trio.sleep(2 * UNCOMMITTED_SECONDS)
        assert [(event.after.name, event.past) for event in stage.told] == [("LIQUIDATION", False)]
        assert stage.positions == {PRICE_STREAM: 2, journal_stream(ONE): 2}
        assert context.health.reason == ""
        nursery.cancel_scope.cancel()
