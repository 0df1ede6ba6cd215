"""Rule: all who ask one chain in one process keep one pace and know the same of its endpoints, and nobody is moved from
the endpoint with which his step began."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from fusion_daemon.chain.endpoint_state import State
from fusion_daemon.chain.rpc import ChainRpc, open_rpc
from fusion_daemon.chain.rpc_errors import RateLimited, RpcFailure
from fusion_daemon.chain.rpc_pools import EndpointPools
from fusion_daemon.chain.settings import ChainSettings, RateBounds
from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.feeds import ChainCalls
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import SETTINGS, Listening

NOBODY = Address(bytes(20))


@pytest.fixture
def pools() -> EndpointPools:
    return EndpointPools()


@asynccontextmanager
async def opened(listening: Listening, pools: EndpointPools, settings: ChainSettings) -> AsyncIterator[ChainRpc]:
    rpc = await listening.aio.call(open_rpc, settings, pools.open, timeout=5)
    try:
        yield rpc
    finally:
        await listening.aio.call(rpc.close, timeout=5)


def at(*nodes: FakeNode) -> ChainSettings:
    return replace(SETTINGS, rpc_urls=tuple(node.url for node in nodes))


async def test_what_one_was_told_the_others_heed(
    listening: Listening, pools: EndpointPools, node: FakeNode
) -> None:
    """One is asked to leave the only endpoint alone for long: nobody else asks it either, and all see why."""
    settings = at(node)
    async with opened(listening, pools, settings) as one, opened(listening, pools, settings) as other:
        await listening.aio.call(one.fetch_head, timeout=5)
        node.faults.limits, node.faults.retry_after = 1, "3600"
        with pytest.raises(RateLimited):
            await listening.aio.call(one.fetch_head, timeout=5)
        before = len(node.requests)
        with pytest.raises(RateLimited) as caught:
            await listening.aio.call(other.fetch_head, timeout=5)
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 200
        assert len(node.requests) == before
        assert [each.state for each in other.statistics()] == [State.RATE_LIMITED]


async def test_they_keep_one_pace(listening: Listening, pools: EndpointPools, node: FakeNode) -> None:
    """Five calls a second, a hundred within the time of a request: of those that one has asked for no room is left to
    the others."""
    settings = replace(at(node), rate=RateBounds(1.0, 5.0), request_timeout=20.0)
    for _ in range(100):
        node.mine()

    async def room() -> int:
        pool = pools.open(settings)
        try:
            return pool.headroom(pool.at(0))
        finally:
            await pool.close()

    async with opened(listening, pools, settings) as one:
        assert await listening.aio.call(room, timeout=5) == 100
        head = await listening.aio.call(one.fetch_head, timeout=5)
        span = await listening.aio.call(one.fetch_span, head.endpoint, 0, 99, False, [], timeout=20)
        assert len(span.headers) > 50
        assert await listening.aio.call(room, timeout=5) < 50


async def test_nobody_is_moved_in_the_midst_of_his_step(
    listening: Listening, pools: EndpointPools, node: FakeNode, second_node: FakeNode
) -> None:
    """``one``: head of 0 ........ logs of 0
    ``other``:        fault of 0, head of 1"""
    node.mine()
    second_node.blocks, second_node.head = node.blocks, node.head
    settings = at(node, second_node)
    async with opened(listening, pools, settings) as one, opened(listening, pools, settings) as other:
        head = await listening.aio.call(one.fetch_head, timeout=5)
        node.faults.broken = 1
        with pytest.raises(RpcFailure):
            await listening.aio.call(other.fetch_head, timeout=5)
        assert (await listening.aio.call(other.fetch_head, timeout=5)).endpoint == 1
        before = len(second_node.requests)
        span = await listening.aio.call(one.fetch_span, head.endpoint, 0, 1, False, [NOBODY], timeout=5)
        assert [header.hash for header in span.headers] == [block.hash for block in node.canonical()]
        assert (head.endpoint, len(second_node.requests)) == (0, before)
        assert (await listening.aio.call(one.fetch_head, timeout=5)).endpoint == 1, "its next step heeds what was seen"


async def test_a_pool_lives_from_its_first_user_to_its_last(
    listening: Listening, pools: EndpointPools, node: FakeNode
) -> None:
    settings = at(node)
    async with AsyncExitStack() as rest:
        async with opened(listening, pools, settings) as first:
            last = await rest.enter_async_context(opened(listening, pools, replace(settings, contracts=())))
            await listening.aio.call(first.fetch_head, timeout=5)
        await listening.aio.call(last.fetch_head, timeout=5)
        assert last.statistics() == first.statistics()
        [kept] = last.statistics()
    async with opened(listening, pools, settings) as anew:
        await listening.aio.call(anew.fetch_head, timeout=5)
        assert anew.statistics()[0] is not kept
    patient = replace(settings, request_timeout=7.0)
    async with opened(listening, pools, settings) as one, opened(listening, pools, patient) as other:
        assert one.statistics()[0] is not other.statistics()[0]


async def test_the_listener_and_the_feeds_prove_a_chain_once(
    listening: Listening, pools: EndpointPools, node: FakeNode
) -> None:
    tip, settings = node.mine(), at(node)
    calls = ChainCalls(listening.aio, [settings], pools.open)

    async with calls:
        await calls(ChainId(SETTINGS.chain), [(NOBODY, b"")])
        async with listening.live(node.url, endpoints=pools.open) as life:
            await life.until_tip(tip.hash)
            assert life.listener.statistics().endpoints[0].errors >= 1, "the feed's call, which this node does not know"
        assert node.requests.count("eth_chainId") == 1
        await calls(ChainId(SETTINGS.chain), [(NOBODY, b"")])
