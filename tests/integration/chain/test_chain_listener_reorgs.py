"""Reorgs over HTTP alone: the folded journal is always the node's chain, and nothing stored is ever lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio

from fusion_daemon.chain.coverage import Range
from fusion_daemon.domain.journal import Op
from tests.faults.fake_node import FakeBlock, FakeNode, Json
from tests.integration.chain.listening import PATIENCE, Life, Listening, fold, folded_positions
from tests.unit.chain.vault_logs import (
    ALICE,
    BOB,
    STRANGER,
    USDC,
    VAULT,
    WETH,
    borrowed,
    credit_set,
    deposited,
    index_updated,
)


def hashes(node: FakeNode) -> list[bytes]:
    return [block.hash for block in node.canonical()]


async def check(listening: Listening, node: FakeNode) -> None:
    """What must hold after every scenario."""
    entries = await listening.entries()
    assert fold(entries) == hashes(node)
    assert tuple(listening.published) == tuple(entries)  # read back equal to what was published
    assert await listening.positions() == folded_positions(entries)
    canonical = await listening.rows("SELECT hash FROM chain_blocks WHERE canonical ORDER BY number")
    assert [row.octets("hash") for row in canonical] == hashes(node)
    assert (await listening.covered())[1] == (Range(0, len(canonical) - 1),)
    stored = {row.octets("block_hash") for row in await listening.rows("SELECT block_hash FROM chain_logs")}
    seen = {entry.block.hash for entry in entries}
    assert stored == {block.hash for block in node.blocks.values() if block.logs and block.hash in seen}


async def test_extends_block_by_block(listening: Listening, node: FakeNode) -> None:
    """``0 <- 1 <- 2`` then ``<- 3``"""
    node.mine(deposited(ALICE, WETH, 5))
    tip = node.mine()
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        tip = node.mine(borrowed(ALICE, USDC, 3))
        await life.until_tip(tip.hash)
        assert await life.until_health("OK") == ""
    await check(listening, node)


async def test_same_height_reorg(listening: Listening, node: FakeNode) -> None:
    """``0 <- 1 <- 2a <- 3a``
    ``     1 <- 2b <- 3b``    the same transactions in another order, one left out"""
    one = node.mine(deposited(ALICE, WETH, 5))
    node.mine(deposited(BOB, WETH, 7), index_updated(WETH, 10**27, 1, 5))
    tip = node.mine(borrowed(BOB, USDC, 3), credit_set(ALICE, 9))
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        node.switch(one)
        node.mine(borrowed(BOB, USDC, 3))
        tip = node.mine(deposited(BOB, WETH, 7))
        await life.until_tip(tip.hash)
        await life.until_health("OK")
        counted = life.listener.statistics()
        assert (counted.reorgs, counted.orphaned, counted.deepest_reorg) == (1, 2, 2)
        assert counted.orphaned_logs == 4
        assert counted.reorg_seconds > 0
        assert all(endpoint.in_flight in (0, 1) for endpoint in counted.endpoints), "each one that ended is counted off"
    await check(listening, node)
    entries = await listening.entries()
    assert [entry.op for entry in entries[4:]] == [Op.RETRACT, Op.RETRACT, Op.APPLY, Op.APPLY]
    assert [entry.settles for entry in entries] == [True] * 4 + [False, False, False, True]
    assert await listening.rows("SELECT 1 FROM chain_registers") == []


async def test_block_that_comes_back(listening: Listening, node: FakeNode) -> None:
    """A -> B -> A: ``1 <- 2a <- 3a``, then ``1 <- 2b <- 3b``, then ``1 <- 2a <- 3a <- 4a``"""
    one = node.mine()
    node.mine(deposited(ALICE, WETH, 5), index_updated(WETH, 10**27, 1, 5))
    first = node.mine(borrowed(ALICE, USDC, 3))
    async with listening.live(node.url) as life:
        await life.until_tip(first.hash)
        node.switch(one)
        node.mine(deposited(ALICE, WETH, 6))
        second = node.mine()
        await life.until_tip(second.hash)
        node.switch(first)
        third = node.mine(deposited(BOB, WETH, 1))
        await life.until_tip(third.hash)
    await check(listening, node)
    assert len(await listening.rows("SELECT 1 FROM chain_registers")) == 1


async def test_shorter_branch_then_back_to_the_longer_one(listening: Listening, node: FakeNode) -> None:
    """``1 <- 2a <- 3a <- 4a``, then ``1 <- 2b``, then 4a again: 3a and 4a come back as extensions"""
    one = node.mine()
    node.mine(deposited(ALICE, WETH, 5))
    node.mine(deposited(ALICE, WETH, 6))
    long = node.mine(deposited(ALICE, WETH, 7))
    async with listening.live(node.url) as life:
        await life.until_tip(long.hash)
        node.switch(one)
        short = node.mine()
        await life.until_tip(short.hash)
        node.switch(long)
        await life.until_tip(long.hash)
    await check(listening, node)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_block_may_come_back_above_the_tip_and_below_finality(
    listening: Listening, node: FakeNode, restarted: bool
) -> None:
    """``1 <- 2a <- 3a <- 4a``, then ``1 <- 2b``, then ``1 <- 2a <- 3a <- 4a <- 5a <- 6a`` with 4a final: 3a and 4a
    are stored, off our chain, and not above what the node now calls final."""
    node.final_number = 0
    one = node.mine()
    node.mine(deposited(ALICE, WETH, 5))
    node.mine(deposited(ALICE, WETH, 6))
    long = node.mine(deposited(ALICE, WETH, 7))
    async with listening.live(node.url) as life:
        await life.until_tip(long.hash)
        node.switch(one)
        await life.until_tip(node.mine().hash)
        if not restarted:
            await come_back(node, life, long)
    if restarted:
        async with listening.live(node.url) as life:
            await come_back(node, life, long)
    await check(listening, node)


async def come_back(node: FakeNode, life: Life, long: FakeBlock) -> None:
    node.switch(long)
    node.mine()
    node.final_number = long.number
    await life.until_tip(node.mine().hash)


async def test_the_chain_moves_back_before_the_branch_is_read(listening: Listening, node: FakeNode) -> None:
    """``1 <- 2a <- 3a`` is stored; the node says ``1 <- 2b <- 3b`` while the ancestor is sought, and is back at 3a
    when the branch is read above 1: 2a and 3a are not applied a second time."""
    node.final_number = 0
    one = node.mine()
    node.mine(deposited(ALICE, WETH, 5))
    ours = node.mine()
    node.switch(one)
    node.mine()
    theirs = node.mine()
    node.switch(ours)
    branch_asked = threading.Event()

    def move_back(calls: Sequence[Json]) -> None:
        if calls[0]["params"] == ["0x2", False]:  # the branch begins at 2, the probe at 0
            node.switch(ours)
            branch_asked.set()

    async with listening.live(node.url) as life:
        await life.until_tip(ours.hash)
        node.before_answer = move_back
        node.switch(theirs)
        assert await trio.to_thread.run_sync(branch_asked.wait, PATIENCE)
        node.before_answer = None
        tip = node.mine()
        await life.until_tip(tip.hash)
        assert life.listener.statistics().reorgs == 0
    await check(listening, node)


async def test_reorg_while_down(listening: Listening, node: FakeNode) -> None:
    one = node.mine()
    node.mine(deposited(ALICE, WETH, 5))
    tip = node.mine()
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
    node.switch(one)
    node.mine()
    node.mine(deposited(ALICE, WETH, 4))
    tip = node.mine(deposited(BOB, WETH, 2))
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
    await check(listening, node)


async def test_reorg_down_to_the_first_block_while_nothing_is_final(listening: Listening, node: FakeNode) -> None:
    """Start at 1: ``1a <- 2a`` becomes ``1b <- 2b``; there is no stored common ancestor, and none is
    needed.
    """
    genesis = node.head
    node.final_number = 0
    node.mine(deposited(ALICE, WETH, 5))
    tip = node.mine()
    settings = listening.settings(start_block=1)
    async with listening.live(node.url, settings=settings) as life:
        await life.until_tip(tip.hash)
        node.switch(genesis)
        node.mine()
        tip = node.mine(deposited(ALICE, WETH, 6))
        await life.until_tip(tip.hash)
    assert fold(await listening.entries()) == hashes(node)[1:]


async def test_lagging_head_is_not_a_reorg(listening: Listening, node: FakeNode) -> None:
    node.mine()
    tip = node.mine(deposited(ALICE, WETH, 5))
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        node.faults.lag = 2
        await life.until_request(node, 5)
        node.faults.lag = 0
        tip = node.mine()
        await life.until_tip(tip.hash)
        assert life.listener.statistics().reorgs == 0
    await check(listening, node)


async def test_reorg_below_finality_latches_and_only_the_block_itself_clears_it(
    listening: Listening, node: FakeNode
) -> None:
    """``0 <- 1 <- 2 <- 3``, 2 final, becomes ``1 <- 2b <- 3b <- 4b``: nothing is retracted, and a rate limit
    between two looks does not make the chain well."""
    one = node.mine()
    node.mine(deposited(ALICE, WETH, 5))
    tip = node.mine()
    node.final_number = 2
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        node.switch(one)
        for _ in range(3):
            node.mine()
        assert "called final" in await life.until_health("UNHEALTHY")
        await life.until_request(node, 5)  # it has looked again, so what it says has been committed
        [row] = await listening.rows("SELECT latched FROM chain_state")
        assert "called final" in row.text("latched")
        node.faults.limits = 1
        await life.until_request(node, 10)
        assert life.context.health.level.name == "UNHEALTHY"
        node.switch(tip)
        tip = node.mine()
        await life.until_tip(tip.hash)
        await life.until_health("OK")
    await check(listening, node)
    [row] = await listening.rows("SELECT latched FROM chain_state")
    assert row.optional_text("latched") is None


async def test_a_backend_that_lags_below_finality_is_not_a_rewritten_chain(
    listening: Listening, node: FakeNode
) -> None:
    """``18 (final) <- 19 <- 20`` becomes ``19 <- 20b``: the head comes from a backend that has 20b, the headers from
    one that ends at 10. What it does not have, it does not deny."""
    blocks = [node.head] + [node.mine() for _ in range(20)]
    node.final_number = 18

    def choose_backend(calls: Sequence[Json]) -> None:
        node.faults.lag = 0 if calls[0]["params"] == ["latest", False] else 10

    async with listening.live(node.url) as life:
        await life.until_tip(blocks[20].hash)
        node.before_answer = choose_backend
        node.switch(blocks[19])
        tip = node.mine()
        assert "does not have block 1" in await life.until_health("DEGRADED")
        [row] = await listening.rows("SELECT latched FROM chain_state")
        assert row.optional_text("latched") is None
        node.before_answer, node.faults.lag = None, 0
        await life.until_tip(tip.hash)
    await check(listening, node)


async def test_every_answer_in_a_long_reorg_is_a_sign_of_life(listening: Listening, node: FakeNode) -> None:
    """``0 <- 1 <- 2a … 31a`` becomes ``1 <- 2b … 31b``, read block by block: nothing is committed until all of it is
    there, and the actor is not stuck meanwhile."""
    node.final_number = 0
    one = node.mine()
    for _ in range(30):
        node.mine(deposited(ALICE, WETH, 1))
    beats: dict[str, int] = {}
    async with listening.live(node.url, settings=replace(listening.settings(), longest_span=1)) as life:
        await life.until_tip(node.head.hash)
        node.switch(one)
        for _ in range(30):
            node.mine(deposited(ALICE, WETH, 2))
        node.before_answer = lambda calls: beats.update({str(calls[0]["params"]): life.context.beats})
        await life.until_tip(node.head.hash)
        node.before_answer = None
    assert beats["['0x1f', False]"] - beats["['0x2', False]"] >= 29
    await check(listening, node)


async def test_a_block_comes_back_after_another_vault_was_configured(listening: Listening, node: FakeNode) -> None:
    """``1 <- 2a`` is read with one vault, replaced by 2b, and comes back when two are read: the second vault's logs
    in it count from then on, and not for whoever still has to fold the entries before."""
    node.final_number = 0
    one = node.mine()
    long = node.mine(deposited(BOB, WETH, 9, STRANGER), deposited(ALICE, WETH, 5), deposited(BOB, WETH, 1, STRANGER))
    async with listening.live(node.url) as life:
        await life.until_tip(long.hash)
        node.switch(one)
        await life.until_tip(node.mine().hash)
    node.switch(long)
    tip = node.mine()
    settings = replace(listening.settings(), contracts=(VAULT, STRANGER))
    async with listening.live(node.url, settings=settings) as life:
        await life.until_tip(tip.hash)
    await check(listening, node)
    assert await listening.positions() == {
        (VAULT, ALICE, WETH, "collateral"): 5,
        (STRANGER, BOB, WETH, "collateral"): 10,
    }
