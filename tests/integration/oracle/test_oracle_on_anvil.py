"""The poller in front of a real chain with Chainlink's own mock feeds, on a real Postgres."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext

import aiohttp
import pytest
import trio

from actors.oracle_poller import OraclePoller
from fusion_daemon.aio import Aio
from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.anvil import Anvil, anvil
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, hex_of, parse_address
from fusion_daemon.domain.price import PRICE_STREAM, Price, PriceStatus
from fusion_daemon.http.route import Request
from fusion_daemon.oracle.calls import Call, CallFailed, check_feeds
from fusion_daemon.oracle.repository import latest_prices, latest_with_provenance, prices_after
from fusion_daemon.oracle.routes import routes
from fusion_daemon.oracle.settings import ChainlinkSource, FeedSettings, OracleSettings, StaticSource
from fusion_daemon.runtime import ActorContext, Bell, HealthLevel, SystemClock, Topic
from fusion_daemon.store import Fenced, Store

CHAIN = ChainId(31_337)
ETH, BTC = AssetId("ETH"), AssetId("BTC")
PATIENCE = 20.0
"""Seconds: what a test waits for comes in well under one, or the test fails."""


class Chain:
    """anvil with feeds; `call_many` is the seam that the daemon's RPC client fills."""

    def __init__(self, node: Anvil, aio: Aio) -> None:
        self.node = node
        self.rpc = Node(node.url)
        accounts = self.rpc.call("eth_accounts")
        assert isinstance(accounts, list)
        self.owner = parse_address(accounts[0])
        self.batches = 0
        self._aio = aio

    def deploy(self, usd: int, decimals: int = 8, description: str = "ETH / USD") -> Address:
        code = load_artifact("MockV3Aggregator").bytecode
        types = ("uint8", "int256", "string")
        return self.rpc.deploy(self.owner, code, types, decimals, usd * 10**decimals, description)

    def send(self, feed: Address, signature: str, *arguments: object) -> None:
        self.rpc.send(Sent(self.owner, feed, call_data(signature, *arguments)))

    async def call_many(self, chain: ChainId, calls: Sequence[Call]) -> Sequence[bytes | CallFailed]:
        assert chain == CHAIN
        self.batches += 1
        return await self._aio.call(self._post, calls, timeout=5.0)

    async def _post(self, calls: Sequence[Call]) -> list[bytes | CallFailed]:
        batch = [
            {
                "jsonrpc": "2.0",
                "id": at,
                "method": "eth_call",
                "params": [{"to": hex_of(to), "data": hex_of(data)}, "latest"],
            }
            for at, (to, data) in enumerate(calls)
        ]
        try:
            async with aiohttp.ClientSession() as session, session.post(self.node.url, json=batch) as reply:
                answers = sorted(json.loads(await reply.read()), key=lambda answer: answer["id"])
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed("The node does not answer.", "Nothing was read.", "Look at it.") from error
        return [
            bytes.fromhex(answer["result"][2:])
            if "result" in answer
            else CallFailed(f"The call failed: {answer['error']['message']}.", "Nothing was read.", "Look.")
            for answer in answers
        ]


@pytest.fixture
def node() -> Iterator[Anvil]:
    with anvil(CHAIN) as running:
        yield running


@pytest.fixture
def chain(node: Anvil, aio: Aio) -> Iterator[Chain]:
    made = Chain(node, aio)
    yield made
    made.rpc.close()


def source(feed: Address, description: str = "ETH / USD", decimals: int = 8) -> ChainlinkSource:
    return ChainlinkSource(CHAIN, feed, decimals, description, heartbeat=3600.0, slack=60.0)


def settings(*feeds: FeedSettings) -> OracleSettings:
    return OracleSettings(feeds, poll_interval=0.02, dark_after=0.3)


def feed(asset: AssetId, *sources: ChainlinkSource | StaticSource) -> FeedSettings:
    return FeedSettings(asset, sources, deviation_bps=50, heartbeat=3600.0, spread_bps=200)


class Watch:
    """A running poller as its consumer sees it: through the topic and the store."""

    def __init__(self, store: Store, topic: Topic[Price], context: Listened) -> None:
        self.context = context

        async def fill(after: int, limit: int) -> list[Price]:
            return await store.read(prices_after, after, limit)

        self._bell = Bell()
        self._subscription = topic.subscribe("test", 0, fill, self._bell)

    async def next(self) -> Price:
        with trio.fail_after(PATIENCE):
            while not self._subscription.ready:
                await self._bell.wait()
            (price,) = await self._subscription.take(1)
            return price

    async def health(self, level: HealthLevel, reason: str = "") -> str:
        """Wait until the poller says that it is so, for that reason."""
        with trio.fail_after(PATIENCE):
            while self.context.health.level is not level or reason not in self.context.health.reason:
                await self.context.told.wait()
        return self.context.health.reason


class Listened(ActorContext):
    """Rings whenever the actor reports its health."""

    def __init__(self, name: str, started: trio.Event) -> None:
        super().__init__(name, SystemClock(), on_started=started.set)
        self.told = Bell()

    def healthy(self) -> None:
        super().healthy()
        self.told.ring()

    def degraded(self, reason: str) -> None:
        super().degraded(reason)
        self.told.ring()

    def unhealthy(self, reason: str) -> None:
        super().unhealthy(reason)
        self.told.ring()


@asynccontextmanager
async def polling(store: Store, chain: Chain, *feeds: FeedSettings) -> AsyncIterator[Watch]:
    topic = Topic[Price](PRICE_STREAM, 100)
    poller = OraclePoller(settings(*feeds), store, topic, lambda: nullcontext(chain.call_many))
    started = trio.Event()
    context = Listened(poller.name, started)
    watch = Watch(store, topic, context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run, context)
        with trio.fail_after(PATIENCE):
            await started.wait()
        yield watch
        nursery.cancel_scope.cancel()


async def test_a_fall_on_the_chain_becomes_a_numbered_price_with_its_provenance(
    store: Store, chain: Chain
) -> None:
    eth, btc = chain.deploy(2000), chain.deploy(60_000, 18, "BTC / USD")
    async with polling(
        store, chain, feed(ETH, source(eth)), feed(BTC, source(btc, "BTC / USD", 18))
    ) as watch:
        first = [await watch.next(), await watch.next()]
        assert [(each.seq, each.asset, each.usd) for each in first] == [
            (1, ETH, 2000 * 10**8),
            (2, BTC, 60_000 * 10**8),
        ]
        chain.send(eth, "updateAnswer(int256)", 1500 * 10**8)
        fallen = await watch.next()
        assert (fallen.seq, fallen.asset, fallen.usd) == (3, ETH, 1500 * 10**8)
        assert fallen.status is PriceStatus.LIVE
        assert await watch.health(HealthLevel.OK) == ""
    stored = {each.price.asset: each for each in await store.read(latest_with_provenance)}
    assert stored[ETH].price == fallen
    assert stored[ETH].reason == "deviation"
    (used,) = stored[ETH].provenance.used
    assert (used.source, used.usd, used.round_id) == (source(eth).name, str(1500 * 10**8), "2")
    assert len(used.payload_sha256) == 64


async def test_a_round_of_the_past_is_stale_and_a_bad_one_is_named(store: Store, chain: Chain) -> None:
    eth = chain.deploy(2000)
    async with polling(store, chain, feed(ETH, source(eth))) as watch:
        await watch.next()
        old = int(time.time()) - 4000
        chain.send(eth, "updateRoundData(uint80,int256,uint256,uint256)", 9, 1500 * 10**8, old, old)
        stale = await watch.next()
        # the last good figure is 2000: it was observed later than what the feed says now
        assert (stale.status, stale.usd, stale.usd_low) == (PriceStatus.STALE, 2000 * 10**8, 1500 * 10**8)
        now = int(time.time())
        chain.send(eth, "updateRoundData(uint80,int256,uint256,uint256)", 10, -5, now, now)
        await watch.health(HealthLevel.UNHEALTHY, "answer -5 is not a positive price")
        chain.send(eth, "updateAnswer(int256)", 1500 * 10**8)
        prices = [await watch.next()]
        while prices[-1].status is not PriceStatus.LIVE:
            prices.append(await watch.next())
        assert prices[-1].usd == 1500 * 10**8


async def test_a_dead_node_makes_stale_and_unhealthy(store: Store, chain: Chain) -> None:
    async with polling(store, chain, feed(ETH, source(chain.deploy(2000)))) as watch:
        first = await watch.next()
        chain.node.stop()
        stale = await watch.next()
        assert (stale.status, stale.usd) == (PriceStatus.STALE, first.usd)
        assert stale.observed_at == first.observed_at, "it ages"
        assert "The node does not answer." in await watch.health(HealthLevel.UNHEALTHY)


async def test_a_feed_that_is_not_the_configured_one_is_refused(store: Store, chain: Chain) -> None:
    wrong, nothing = chain.deploy(2000, 18), Address(b"\x01" + b"\x77" * 19)
    right = chain.deploy(60_000, 8, "BTC / USD")
    sources = [source(wrong), source(nothing), source(right, "BTC / USD")]
    async with polling(store, chain, feed(ETH, sources[0], sources[1]), feed(BTC, sources[2])) as watch:
        assert (await watch.next()).asset == BTC
        reason = await watch.health(HealthLevel.DEGRADED)
        assert hex_of(wrong) in reason
        assert "decimals() = '18'" in reason
        assert "No contract answers at" in reason
    assert [price.asset for price in await store.read(latest_prices)] == [BTC]
    findings = await check_feeds(chain.call_many, CHAIN, sources)
    assert len(findings) == 2, "`check` finds the same"


async def test_disagreeing_sources_are_published_as_suspect_with_their_interval(
    store: Store, chain: Chain
) -> None:
    eth = chain.deploy(2000)
    async with polling(store, chain, feed(ETH, source(eth), StaticSource(2000 * 10**8))) as watch:
        assert (await watch.next()).status is PriceStatus.LIVE
        chain.send(eth, "updateAnswer(int256)", 1000 * 10**8)
        suspect = await watch.next()
        assert suspect.status is PriceStatus.SUSPECT
        assert (suspect.usd_low, suspect.usd, suspect.usd_high) == (1000 * 10**8, 1500 * 10**8, 2000 * 10**8)


async def test_a_crash_is_published_at_once_as_doubtful_and_confirmed_by_the_next_round(
    store: Store, chain: Chain
) -> None:
    eth = chain.deploy(2000)
    async with polling(store, chain, feed(ETH, source(eth))) as watch:
        assert (await watch.next()).status is PriceStatus.LIVE
        chain.send(eth, "updateAnswer(int256)", 1000 * 10**8)
        crash = await watch.next()
        assert (crash.status, crash.usd) == (PriceStatus.SUSPECT, 1000 * 10**8)
        assert (crash.usd_low, crash.usd_high) == (1000 * 10**8, 2000 * 10**8)
        later = crash.observed_at + 1
        chain.send(eth, "updateRoundData(uint80,int256,uint256,uint256)", 3, 1001 * 10**8, later, later)
        confirmed = await watch.next()
        assert (confirmed.status, confirmed.usd, confirmed.usd_low) == (PriceStatus.LIVE, 1001 * 10**8, 1001 * 10**8)


async def test_a_second_life_goes_on_and_fences_the_first(store: Store, chain: Chain) -> None:
    eth, fenced = chain.deploy(2000), trio.Event()

    async def zombie(first_price: trio.Event) -> None:
        with pytest.RaisesGroup(Fenced, flatten_subgroups=True):
            async with polling(store, chain, feed(ETH, source(eth))) as watch:
                assert (await watch.next()).seq == 1
                first_price.set()
                await trio.sleep_forever()
        fenced.set()

    async with trio.open_nursery() as nursery:
        first_price = trio.Event()
        nursery.start_soon(zombie, first_price)
        await first_price.wait()
        async with polling(store, chain, feed(ETH, source(eth))) as watch:
            assert (await watch.next()).seq == 1, "the first life's, read from the store"
            chain.send(eth, "updateAnswer(int256)", 1000 * 10**8)
            assert (await watch.next()).usd == 1000 * 10**8
            with trio.fail_after(PATIENCE):
                await fenced.wait()
    stored = await store.read(prices_after, 0, 10)
    assert [(each.seq, each.usd) for each in stored] == [(1, 2000 * 10**8), (2, 1000 * 10**8)]


async def test_the_stream_is_read_back_in_order_and_as_of_a_number(store: Store, chain: Chain) -> None:
    eth, btc = chain.deploy(2000), chain.deploy(60_000, 8, "BTC / USD")
    feeds = feed(ETH, source(eth)), feed(BTC, source(btc, "BTC / USD"))
    async with polling(store, chain, *feeds) as watch:
        published = [await watch.next(), await watch.next()]
        for usd in (1500, 1000, 500):
            chain.send(eth, "updateAnswer(int256)", usd * 10**8)
            published.append(await watch.next())
    assert await store.read(prices_after, 0, 100) == published
    assert await store.read(prices_after, 2, 2) == published[2:4]
    assert {each.asset: each.seq for each in await store.read(latest_prices, 3)} == {ETH: 3, BTC: 2}
    assert {each.asset: each.seq for each in await store.read(latest_prices)} == {ETH: 5, BTC: 2}
    assert await store.read(latest_prices, 0) == []


async def test_the_api_shows_the_latest_price(store: Store, chain: Chain, aio: Aio) -> None:
    async with polling(store, chain, feed(ETH, source(chain.deploy(2000)))) as watch:
        await watch.next()
    (route,) = routes(store)
    assert (route.method, route.path, route.role) == ("GET", "/v1/prices", None)
    request = Request("GET", {}, {}, {}, b"", None, "r")

    async def handle() -> bytes:
        return (await route.handler(request)).body

    (shown,) = json.loads(await aio.call(handle, timeout=5.0))["prices"]
    assert (shown["asset"], shown["usd"], shown["seq"]) == ("ETH", "2000", 1)
    assert shown["sources"]["used"][0]["source"].startswith(f"chainlink:{CHAIN}:0x")
