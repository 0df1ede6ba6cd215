"""The poller on virtual time: a fake chain, a fake store, and what becomes of each fault."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar, TypeVarTuple, cast

import pytest
import trio
from eth_abi.abi import encode
from structlog.testing import capture_logs
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.oracle_poller import OraclePoller
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, AssetId, ChainId
from fusion_daemon.domain.price import PRICE_STREAM, Price, PriceStatus
from fusion_daemon.oracle.calls import Call, CallFailed
from fusion_daemon.oracle.chainlink import DECIMALS, DESCRIPTION, LATEST_ROUND_DATA
from fusion_daemon.oracle.repository import latest_prices
from fusion_daemon.oracle.settings import ChainlinkSource, FeedSettings, OracleSettings, Source, StaticSource
from fusion_daemon.runtime import ActorContext, HealthLevel, Topic, TrioClock
from fusion_daemon.store import Claim, Commit, Reader

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
T0 = 1_800_000_000
ONE, TEN = ChainId(1), ChainId(10)
DOWN = CallFailed("The node does not answer.", "Its feeds are not read.", "Look at the node.")


@dataclass
class FakeFeed:
    usd: int
    decimals: int = 8
    description: str = "X / USD"
    updated_at: int = T0

    def answer(self, data: bytes) -> bytes:
        if data == DECIMALS:
            return encode(["uint8"], [self.decimals])
        if data == DESCRIPTION:
            return encode(["string"], [self.description])
        assert data == LATEST_ROUND_DATA
        words = (7, self.usd * 10**self.decimals, self.updated_at, self.updated_at, 7)
        return encode(["uint80", "int256", "uint256", "uint256", "uint80"], words)


@dataclass
class FakeChains:
    """Feeds by address; chains that are down or hang; every batch that was asked."""

    feeds: dict[Address, FakeFeed]
    down: set[ChainId] = field(default_factory=set)
    hanging: set[ChainId] = field(default_factory=set)
    without_code: set[ChainId] = field(default_factory=set)
    batches: list[tuple[ChainId, int]] = field(default_factory=list)

    async def __call__(self, chain: ChainId, calls: Sequence[Call]) -> Sequence[bytes | CallFailed]:
        self.batches.append((chain, len(calls)))
        if chain in self.hanging:
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        if chain in self.down:
            raise DOWN
        if chain in self.without_code:
            return [b""] * len(calls)
        return [self.feeds[to].answer(data) if to in self.feeds else DOWN for to, data in calls]


class Refused(Failure):
    """The fake store's own."""


@dataclass
class FakeStore:
    """Commits in memory; may be held, or refuse."""

    prices: list[Price] = field(default_factory=list)
    commits: list[Commit] = field(default_factory=list)
    held: trio.Event | None = None
    refusing: bool = False

    async def claim(
        self, owner: str, *, produces: Sequence[str] = (), consumes: Sequence[str] = ()
    ) -> Claim:
        assert (owner, tuple(produces), tuple(consumes)) == ("oracle_poller", (PRICE_STREAM,), ())
        return Claim(owner, 4, {PRICE_STREAM: len(self.prices)}, {})

    async def read(
        self, query: Callable[[Reader, *Ts], Awaitable[T]], *args: *Ts, timeout: float = 30.0
    ) -> T:
        assert query is latest_prices
        return cast("T", list({price.asset: price for price in self.prices}.values()))

    async def commit(self, commit: Commit) -> None:
        if self.held is not None:
            await self.held.wait()
        if self.refusing:
            raise Refused("No.", "Nothing happened.", "Look.")
        (append,) = commit.appends
        assert append.head == len(self.prices)
        for at, row in enumerate(append.rows):
            asset, usd, low, high, status, observed, published = row[:7]
            self.prices.append(
                Price(
                    append.head + at + 1,
                    AssetId(str(asset)),
                    int(str(usd)),
                    int(str(low)),
                    int(str(high)),
                    PriceStatus(status),
                    int(str(observed)),
                    int(str(published)),
                )
            )
        self.commits.append(commit)


def address(octet: int) -> Address:
    return Address(bytes([octet]) * 20)


def source(octet: int, chain: ChainId = ONE) -> ChainlinkSource:
    return ChainlinkSource(chain, address(octet), 8, "X / USD", 3600.0, 60.0)


@dataclass
class Stage:
    chains: FakeChains
    store: FakeStore
    topic: Topic[Price]
    poller: OraclePoller
    context: ActorContext
    returned: trio.Event

    def level(self) -> HealthLevel:
        return self.context.health.level

    def seen(self) -> list[tuple[str, int, str]]:
        return [(price.asset, price.usd // 10**8, price.status.value) for price in self.store.prices]


@asynccontextmanager
async def running(
    chains: FakeChains, assets: Mapping[str, Sequence[Source]], store: FakeStore | None = None
) -> AsyncIterator[Stage]:
    feeds = tuple(FeedSettings(AssetId(name), tuple(each), 50, 600.0, 200) for name, each in assets.items())
    stage_store = store or FakeStore()
    topic = Topic[Price](PRICE_STREAM, 100)
    poller = OraclePoller(OracleSettings(feeds, poll_interval=2.0), stage_store, topic, lambda: nullcontext(chains))
    ready = trio.Event()
    context = ActorContext(poller.name, TrioClock(T0), on_started=ready.set)
    returned = trio.Event()

    async def live() -> None:
        await poller.run(context)
        returned.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        await ready.wait()
        await wait_all_tasks_blocked()
        yield Stage(chains, stage_store, topic, poller, context, returned)
        nursery.cancel_scope.cancel()


async def pass_time(clock: MockClock, seconds: float) -> None:
    """Second by second, so that every task lives through the time and does not jump over it."""
    for _ in range(int(seconds)):
        clock.jump(1)
        await wait_all_tasks_blocked()


async def test_all_feeds_of_a_chain_are_read_in_one_batch(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000), address(2): FakeFeed(60_000), address(3): FakeFeed(1)})
    async with running(chains, {"ETH": [source(1)], "BTC": [source(2)], "USDC": [source(3, TEN)]}) as stage:
        # the first batch of a chain also asks each feed who it is
        assert sorted(chains.batches) == [(ONE, 6), (TEN, 3)]
        chains.batches.clear()
        await pass_time(mock_clock, 2)
        assert sorted(chains.batches) == [(ONE, 2), (TEN, 1)]
        assert sorted(stage.seen()) == [("BTC", 60_000, "live"), ("ETH", 2000, "live"), ("USDC", 1, "live")]
        assert stage.topic.head == len(stage.store.prices)
        assert stage.level() is HealthLevel.OK


async def test_a_fall_is_published_at_the_next_poll_and_a_tremor_is_not(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000)})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        chains.feeds[address(1)].usd = 1995  # 25 bps
        await pass_time(mock_clock, 2)
        chains.feeds[address(1)].usd = 1500
        await pass_time(mock_clock, 2)
        assert stage.seen() == [("ETH", 2000, "live"), ("ETH", 1500, "live")]


async def test_a_crash_is_published_at_once_and_confirmed_within_half_a_minute(mock_clock: MockClock) -> None:
    # 2,000 | 1,000, which one feed alone tells: suspect at the next poll | it stands by it: live 30 s later
    chains = FakeChains({address(1): FakeFeed(2000)})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        chains.feeds[address(1)].usd = 1000
        await pass_time(mock_clock, 2)
        assert stage.seen() == [("ETH", 2000, "live"), ("ETH", 1000, "suspect")]
        assert stage.level() is HealthLevel.DEGRADED
        assert stage.context.health.reason == "ETH is suspect: it lies between 1000 and 2000 USD"
        await pass_time(mock_clock, 29)
        assert stage.seen()[2:] == []
        await pass_time(mock_clock, 2)
        assert stage.seen()[2:] == [("ETH", 1000, "live")]
        assert stage.level() is HealthLevel.OK


async def test_readings_conflate_while_a_commit_is_under_way(mock_clock: MockClock) -> None:
    chains, store = FakeChains({address(1): FakeFeed(2000)}), FakeStore()
    async with running(chains, {"ETH": [source(1)]}, store) as stage:
        store.held = trio.Event()
        for usd in (1900, 1800, 1700, 1600):
            chains.feeds[address(1)].usd = usd
            await pass_time(mock_clock, 2)
        store.held.set()
        await wait_all_tasks_blocked()
        assert [usd for _, usd, _ in stage.seen()] == [2000, 1900, 1600], "1800 and 1700 were overtaken"


async def test_a_hanging_chain_delays_no_other(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000), address(2): FakeFeed(1)}, hanging={TEN})
    async with running(chains, {"ETH": [source(1)], "USDC": [source(2, TEN)]}) as stage:
        chains.feeds[address(1)].usd = 1500
        await pass_time(mock_clock, 2)
        assert stage.seen() == [("ETH", 2000, "live"), ("ETH", 1500, "live")]
        assert stage.level() is HealthLevel.DEGRADED
        assert "USDC has no price yet" in stage.context.health.reason


async def test_what_it_knows_grows_old_while_no_good_reading_comes_and_young_with_the_next(
    mock_clock: MockClock,
) -> None:
    chains = FakeChains({address(1): FakeFeed(2000)})
    async with running(chains, {"ETH": [source(1)], "USDC": [StaticSource(10**8)]}) as stage:

        def age() -> float:
            assert stage.context.data_since is not None
            return stage.context.clock.monotonic() - stage.context.data_since

        await pass_time(mock_clock, 4)
        assert age() <= 2.0
        chains.down.add(ONE)
        await pass_time(mock_clock, 40)
        assert 40.0 <= age() <= 42.0, "the figure that never moves hides nothing"
        chains.down.clear()
        await pass_time(mock_clock, 3_600)
        assert age() <= 2.0
        await pass_time(mock_clock, 100)  # it answers, with a round that is older than its heartbeat allows
        assert 80.0 <= age() <= 100.0


async def test_an_outage_makes_stale_only_after_a_while_and_is_told_at_once(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000)})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        chains.down.add(ONE)
        await pass_time(mock_clock, 4)
        assert stage.seen() == [("ETH", 2000, "live")]
        assert stage.level() is HealthLevel.DEGRADED
        assert "The node does not answer." in stage.context.health.reason
        await pass_time(mock_clock, 30)
        assert stage.seen() == [("ETH", 2000, "live"), ("ETH", 2000, "stale")]
        assert stage.level() is HealthLevel.UNHEALTHY
        chains.down.clear()
        await pass_time(mock_clock, 2)
        assert stage.seen()[-1] == ("ETH", 2000, "live")
        assert stage.level() is HealthLevel.OK


async def test_a_feed_that_stops_moving_goes_stale_by_its_own_clock(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000, updated_at=T0 - 3640)})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        await pass_time(mock_clock, 19)
        assert stage.seen() == [("ETH", 2000, "live")]
        await pass_time(mock_clock, 3)
        assert stage.seen() == [("ETH", 2000, "live"), ("ETH", 2000, "stale")]


async def test_a_feed_with_other_decimals_is_refused_aloud(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000, decimals=18), address(2): FakeFeed(1)})
    assets: dict[str, list[Source]] = {"ETH": [source(1), StaticSource(2000 * 10**8)], "USDC": [source(2)]}
    with capture_logs() as logs:
        async with running(chains, assets) as stage:
            await pass_time(mock_clock, 4)
            assert {asset for asset, _, _ in stage.seen()} == {"USDC"}
            assert stage.level() is HealthLevel.DEGRADED
            for part in ("0x" + "01" * 20, "decimals() = '18'", "expects '8'"):
                assert part in stage.context.health.reason
            assert chains.batches[-1] == (ONE, 1), "it is not asked again"
    assert [(each["event"], each["log_level"], each["source"]) for each in logs] == [
        ("feed refused", "error", source(1).name)
    ]


async def test_a_feed_proves_itself_late_when_its_node_was_down_at_the_start(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000)}, down={ONE})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        assert stage.seen() == []
        chains.down.clear()
        await pass_time(mock_clock, 2)
        assert chains.batches == [(ONE, 3), (ONE, 3)]
        assert stage.seen() == [("ETH", 2000, "live")]


async def test_a_feed_proves_itself_late_when_its_node_had_not_seen_it_yet(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000)}, without_code={ONE})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        assert stage.seen() == []
        assert "No contract answers at" in stage.context.health.reason
        chains.without_code.clear()
        await pass_time(mock_clock, 2)
        assert stage.seen() == [("ETH", 2000, "live")]
        assert stage.level() is HealthLevel.OK


async def test_a_restart_goes_on_from_the_committed_prices(mock_clock: MockClock) -> None:
    chains, store = FakeChains({address(1): FakeFeed(2000)}), FakeStore()
    async with running(chains, {"ETH": [source(1)]}, store):
        pass
    async with running(chains, {"ETH": [source(1)]}, store) as stage:
        assert stage.topic.head == 1, "known before anything new"
        await pass_time(mock_clock, 4)
        assert stage.seen() == [("ETH", 2000, "live")], "nothing moved: no second figure"
        chains.feeds[address(1)].usd = 1000
        await pass_time(mock_clock, 2)
        assert [price.seq for price in store.prices] == [1, 2]


async def test_a_refused_commit_ends_this_life_and_publishes_nothing(mock_clock: MockClock) -> None:
    chains, store = FakeChains({address(1): FakeFeed(2000)}), FakeStore(refusing=True)
    topic = Topic[Price](PRICE_STREAM, 100)
    feed = FeedSettings(AssetId("ETH"), (source(1),), 50, 600.0, 200)
    poller = OraclePoller(OracleSettings((feed,), poll_interval=2.0), store, topic, lambda: nullcontext(chains))
    with pytest.RaisesGroup(Refused):
        await poller.run(ActorContext(poller.name, TrioClock(T0)))
    assert topic.head == 0


async def test_static_assets_need_no_chain_and_beat(mock_clock: MockClock) -> None:
    async with running(FakeChains({}), {"USDC": [StaticSource(10**8)]}) as stage:
        assert stage.seen() == [("USDC", 1, "live")]
        await pass_time(mock_clock, 601)
        assert len(stage.seen()) == 2
        assert stage.poller.statistics()[0].source == "static"


async def test_asked_to_drain_it_ends_its_commit_and_returns(mock_clock: MockClock) -> None:
    # commit of 2,000 under way, 1,500 read meanwhile, a chain that hangs | drain: 2,000 is told, 1,500 is dropped
    chains = FakeChains({address(1): FakeFeed(2000)}, hanging={TEN})
    store = FakeStore(held=trio.Event())
    async with running(chains, {"ETH": [source(1)], "BTC": [source(2, TEN)]}, store) as stage:
        chains.feeds[address(1)].usd = 1500
        await pass_time(mock_clock, 2)
        stage.context.drain("SIGTERM")
        await wait_all_tasks_blocked()
        assert not stage.returned.is_set()
        assert store.held is not None
        store.held.set()
        await wait_all_tasks_blocked()
        assert stage.returned.is_set()
        assert stage.seen() == [("ETH", 2000, "live")]
        assert stage.topic.head == 1


async def test_asked_to_drain_at_rest_it_returns_at_once(mock_clock: MockClock) -> None:
    chains = FakeChains({address(1): FakeFeed(2000)})
    async with running(chains, {"ETH": [source(1)]}) as stage:
        stage.context.drain("SIGTERM")
        await wait_all_tasks_blocked()
        assert stage.returned.is_set()
