"""Rule: what an endpoint answered is told apart: nothing, an error, an answer; and how long it took."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from fusion_daemon.chain.endpoint_state import State
from fusion_daemon.chain.rpc import ChainRpc, open_rpc
from fusion_daemon.chain.rpc_errors import BlockUnknown, EndpointFault, WrongChain
from fusion_daemon.domain.identifiers import Hash32
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import SETTINGS, Listening


@asynccontextmanager
async def opened(listening: Listening, node: FakeNode) -> AsyncIterator[ChainRpc]:
    rpc = await listening.aio.call(open_rpc, replace(SETTINGS, rpc_urls=(node.url,)), timeout=5)
    try:
        yield rpc
    finally:
        await listening.aio.call(rpc.close, timeout=5)


async def test_nothing_is_counted_and_no_fault(listening: Listening, node: FakeNode) -> None:
    """A transaction without a receipt, and a block that is not there yet."""
    async with opened(listening, node) as rpc:
        assert await listening.aio.call(rpc.fetch_receipt_logs, [Hash32(bytes(32))], timeout=5) == [()]
        [seen] = rpc.statistics()
        assert (seen.nulls, seen.errors, seen.faults) == (1, 0, 0)
        with pytest.raises(BlockUnknown):
            await listening.aio.call(rpc.fetch_headers, 0, 7, 7, timeout=5)
        assert (seen.nulls, seen.errors, seen.faults) == (2, 0, 0)
        assert sum(seen.durations) == seen.answers == seen.requests == 3, "the chain id, and these two"
        assert seen.seconds > 0


async def test_an_error_is_counted_for_whoever_judges_it(listening: Listening, node: FakeNode) -> None:
    """A node without `safe` and `finalized` tags says so with an error: the depth decides, and it is no fault."""
    node.faults.no_tags = True
    async with opened(listening, node) as rpc:
        await listening.aio.call(rpc.fetch_head, timeout=5)
        [seen] = rpc.statistics()
        assert (seen.nulls, seen.errors, seen.faults) == (0, 2, 0)


async def test_a_chain_is_proved_with_the_head_and_before_it_is_believed(
    listening: Listening, node: FakeNode
) -> None:
    """One request on each switch to an endpoint and after each fault, not two."""
    async with opened(listening, node) as rpc:
        [seen] = rpc.statistics()
        await listening.aio.call(rpc.fetch_head, timeout=5)
        assert (seen.requests, node.requests.count("eth_chainId")) == (1, 1)
        await listening.aio.call(rpc.fetch_head, timeout=5)
        assert (seen.requests, node.requests.count("eth_chainId")) == (2, 1)
        node.faults.broken, node.chain_id = 1, 5
        with pytest.raises(EndpointFault):
            await listening.aio.call(rpc.fetch_head, timeout=5)
        with pytest.raises(WrongChain):
            await listening.aio.call(rpc.fetch_head, timeout=5)
        assert seen.state is State.WRONG_CHAIN
        assert (seen.requests, seen.head) == (4, 0), "its head is that of before"
