"""A final block that an endpoint denies: the chain stands still unless another endpoint keeps the block.

``0 <- 1 <- 2 <- 3``     2 is final and stored
``     1 <- 2b <- 3b <- 4b``     what an endpoint shows all of a sudden
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from actors import chain_finality
from fusion_daemon.chain.endpoint_state import State
from fusion_daemon.chain.rpc import open_rpc
from fusion_daemon.chain.rpc_pools import EndpointPools
from tests.faults.fake_node import FakeBlock, FakeNode
from tests.integration.chain.listening import PATIENCE, SETTINGS, Listening
from tests.unit.chain.vault_logs import ALICE, WETH, deposited


def share(node: FakeNode, other: FakeNode) -> FakeBlock:
    """Both have the chain above, and go on with the same blocks where the test mines on the first."""
    for _ in range(3):
        node.mine(deposited(ALICE, WETH, 5))
    node.final_number = other.final_number = 2
    other.blocks, other.head = node.blocks, node.head
    return node.head


def rewrite(node: FakeNode) -> FakeBlock:
    node.switch(node.ancestor(node.head, 1))
    return [node.mine() for _ in range(3)][-1]


async def latched(listening: Listening) -> str | None:
    [row] = await listening.rows("SELECT latched FROM chain_state")
    return row.optional_text("latched")


async def test_an_endpoint_that_others_contradict_is_left_and_named(
    listening: Listening, node: FakeNode, second_node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = share(node, second_node)
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(tip.hash)
        rewrite(node)
        assert "shows another block" in await life.until_health("DEGRADED")
        await life.until_tip(second_node.mine(deposited(ALICE, WETH, 1)).hash)  # the other one is followed
        second_node.faults.broken = 2  # and its silence does not make the first one right
        await life.until_request(second_node, 3)
        assert await latched(listening) is None
        node.switch(second_node.head)
        monkeypatch.setattr(chain_finality, "RECONSIDER_SECONDS", 0.0)
        await life.until_health("OK")


async def test_the_next_life_asks_whether_a_contradicted_endpoint_has_come_back(
    listening: Listening, node: FakeNode, second_node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others ask through the same endpoints, so what is known of them outlives the listener."""
    tip, pools = share(node, second_node), EndpointPools()
    settings = replace(SETTINGS, rpc_urls=(node.url, second_node.url))
    feeds = await listening.aio.call(open_rpc, settings, pools.open, timeout=5)
    async with listening.live(*settings.rpc_urls, endpoints=pools.open) as life:
        await life.until_tip(tip.hash)
        rewrite(node)
        assert "shows another block" in await life.until_health("DEGRADED")
        while feeds.statistics()[0].state is not State.FORKED:
            await life.until_request(second_node, 1)
    node.switch(second_node.head)
    monkeypatch.setattr(chain_finality, "RECONSIDER_SECONDS", 0.0)
    async with listening.live(*settings.rpc_urls, endpoints=pools.open) as life:
        with trio.fail_after(PATIENCE):
            while feeds.statistics()[0].state is not State.ALIVE:
                await life.until_request(second_node, 1)
    await listening.aio.call(feeds.close, timeout=5)


async def test_a_second_endpoint_that_confirms_it_latches_the_chain(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    tip = share(node, second_node)
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(tip.hash)
        second_node.head = rewrite(node)
        assert "called final" in await life.until_health("UNHEALTHY")
        assert await latched(listening) is not None
        node.switch(tip)
        second_node.head = node.mine(deposited(ALICE, WETH, 1))
        await life.until_tip(node.head.hash)
        assert await latched(listening) is None


async def test_a_restart_does_not_forget_it_and_nobody_clears_himself(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    """Latched while the second endpoint was away. The first shows the old chain again, to this life and to the next."""
    tip = share(node, second_node)
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(tip.hash)
        second_node.faults.broken = 10**6
        rewrite(node)
        await life.until_health("UNHEALTHY")
        node.switch(tip)
        await life.until_request(node, 5)
        assert await latched(listening) is not None
    node.mine(deposited(ALICE, WETH, 1))
    async with listening.live(node.url, second_node.url) as life:
        assert "called final" in await life.until_health("UNHEALTHY")
        await life.until_request(node, 3)
        assert await latched(listening) is not None
        second_node.head, second_node.faults.broken = node.head, 0
        await life.until_tip(node.head.hash)
        await life.until_health("OK")
    assert await latched(listening) is None
