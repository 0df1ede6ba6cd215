"""Skips where they are hard: at a chain's first block, in late history, in a reorg, beside several workers.

The provider gives no answer that holds more than two logs, in no way: a block of three cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import trio

from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.orders import Kind, SkipRefused
from fusion_daemon.chain.repository_orders import add_order, add_skip, load_order, load_skips
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.domain.journal import REPAIR_VERSION
from tests.faults.fake_node import FakeBlock, FakeLog, FakeNode
from tests.faults.rpc_faults import RpcFaults
from tests.faults.rpc_proxy import RpcProxy, proxied
from tests.integration.chain.listening import CHAIN, PATIENCE, SETTINGS, Listening, fold, folded_positions
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, deposited

NO_WAY = RpcFaults(rule="infura_results", most_logs=2, dense_by_hash=True, no_block_receipts=True, no_receipts=True)
BOTH = replace(SETTINGS, contracts=(VAULT, STRANGER))


@pytest.fixture
def proxy(node: FakeNode) -> Iterator[RpcProxy]:
    with proxied(node.url) as served:
        served.faults = NO_WAY
        yield served


def three(vault: Address = VAULT) -> tuple[FakeLog, ...]:
    return tuple(deposited(owner, WETH, 5, vault) for owner in (ALICE, BOB, STRANGER))


async def skip(listening: Listening, first: int, last: int) -> None:
    await listening.store.transact(add_skip, CHAIN, Range(first, last), "too dense", "ops")


async def check(listening: Listening, node: FakeNode, *skipped: FakeBlock) -> None:
    """All but the logs of these blocks is stored, and told."""
    entries = await listening.entries()
    assert entries == tuple(listening.published)
    assert fold(entries) == [block.hash for block in node.canonical()]
    assert await listening.positions() == folded_positions(entries)
    stored = await listening.rows(
        "SELECT block_hash FROM chain_logs JOIN chain_blocks ON (hash, number) = (block_hash, block_number)"
        " AND canonical ORDER BY block_number"
    )
    emitted = [block.hash for block in node.canonical() for _ in block.logs if block not in skipped]
    assert [row.octets("block_hash") for row in stored] == emitted


async def test_the_first_block_of_a_chain(listening: Listening, node: FakeNode, proxy: RpcProxy) -> None:
    """``0 <- 1(three) <- 2(one) <- … ``, read from 1 on."""
    first = node.mine(*three())
    for _ in range(3):
        node.mine(deposited(ALICE, WETH, 7))
    settings = replace(SETTINGS, start_block=1)
    async with listening.live(proxy.url, settings=settings) as life:
        await life.until_health("UNHEALTHY")
        await skip(listening, 1, 1)
        await life.until_tip(node.head.hash)
        assert life.listener.statistics().skipped == 1
    assert await listening.covered() == {1: (Range(2, 4),)}
    stored = await listening.rows("SELECT block_number FROM chain_logs ORDER BY 1")
    assert [row.integer("block_number") for row in stored] == [2, 3, 4]
    assert first.number == 1


@pytest.mark.parametrize("workers", [1, 8])
async def test_blocks_in_the_midst_of_what_workers_read(
    listening: Listening, node: FakeNode, proxy: RpcProxy, workers: int
) -> None:
    """``0 <- … <- 40(three) <- 41 <- 42(three) <- … <- 120``: one skip of all three; 41 is left out by it, too."""
    one = (deposited(ALICE, WETH, 1),)
    mined = [node.mine(*(three() if number in {40, 42} else one)) for number in range(1, 121)]
    async with listening.live(proxy.url, settings=replace(SETTINGS, workers=workers, longest_span=16)) as life:
        await life.until_health("UNHEALTHY")
        await skip(listening, 40, 42)
        await life.until_tip(node.head.hash)
    assert await listening.covered() == {1: (Range(0, 39), Range(43, 120))}
    await check(listening, node, *mined[39:42])


@pytest.mark.parametrize("place", [9, 20])
async def test_late_history_is_whole_without_what_was_skipped_and_says_so_once(
    listening: Listening, node: FakeNode, proxy: RpcProxy, place: int
) -> None:
    """``0 <- 1 <- … <- 20``, of which one holds three logs of the contract that is configured later."""
    one = (deposited(ALICE, WETH, 1),)
    mined = [node.mine(*(three(STRANGER) if number == place else one)) for number in range(1, 21)]
    async with listening.live(proxy.url) as life:
        await life.until_tip(node.head.hash)
    async with listening.live(proxy.url, settings=BOTH) as life:
        assert f"single block {place}" in await life.until_health("DEGRADED")
        assert not [entry for entry in life.topic.published if entry.late and entry.settles]
        await skip(listening, place, place)
        await life.until_whole()
        await life.until_reason(f"blocks {place}-{place} were skipped")
    async with listening.live(proxy.url, settings=BOTH) as life:
        node.mine()
        await life.until_tip(node.head.hash)
    await check(listening, node, mined[place - 1])
    assert len([entry for entry in listening.published if entry.late and entry.settles]) == 1
    assert await listening.covered() == {1: (Range(0, 21),), 2: (Range(0, place - 1), Range(place + 1, 21))}


async def test_a_skipped_block_that_is_replaced(listening: Listening, node: FakeNode, proxy: RpcProxy) -> None:
    """``0 <- … <- 8 <- 9(three) <- 10``, and ``8 <- 9'(three) <- 10' <- 11'``: the order is for the height."""
    for number in range(1, 11):
        node.mine(*(three() if number == 9 else (deposited(ALICE, WETH, 1),)))
    async with listening.live(proxy.url) as life:
        await life.until_health("UNHEALTHY")
        await skip(listening, 9, 9)
        await life.until_tip(node.head.hash)
        node.switch(node.canonical()[8])
        replaced = node.mine(*three())
        node.mine(deposited(ALICE, WETH, 2))
        node.mine(deposited(ALICE, WETH, 3))
        await life.until_tip(node.head.hash)
        assert await listening.covered() == {1: (Range(0, 8), Range(10, 11))}
    await check(listening, node, replaced)


async def test_a_block_of_a_new_branch(listening: Listening, node: FakeNode, proxy: RpcProxy) -> None:
    """``0 <- … <- 8 <- 9 <- 10`` and ``8 <- 9' <- 10'(three) <- 11'``: 10 was read, and is skipped for what follows."""
    for _ in range(10):
        node.mine(deposited(ALICE, WETH, 1))
    async with listening.live(proxy.url) as life:
        await life.until_tip(node.head.hash)
        node.switch(node.canonical()[8])
        node.mine(deposited(ALICE, WETH, 2))
        dense = node.mine(*three())
        node.mine(deposited(ALICE, WETH, 3))
        assert "single block 10" in await life.until_health("UNHEALTHY")
        await skip(listening, 10, 10)
        await life.until_tip(node.head.hash)
    assert await listening.covered() == {1: (Range(0, 9), Range(11, 11))}
    await check(listening, node, dense)


async def test_what_is_not_to_be_skipped(listening: Listening, node: FakeNode) -> None:
    """``0 <- … <- 5, final <- … <- 10``"""
    node.final_number = 5
    for _ in range(10):
        node.mine(deposited(ALICE, WETH, 1))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
    for first, last, why in (
        (3, 3, "block 3, which is final, are read already"),
        (5, 11, "block 5, which is final, are read already"),
        (12, 12, "does not come next: that is 11"),
        (11, 1_011, "1001 blocks are more than"),
    ):
        with pytest.raises(SkipRefused, match=why):
            await skip(listening, first, last)
    await skip(listening, 10, 12)
    assert [found.range for found in await listening.store.read(load_skips, CHAIN)] == [Range(10, 12)]


async def test_what_two_versions_lack_is_made_good_by_one_replay_across_lives(
    listening: Listening, node: FakeNode, proxy: RpcProxy
) -> None:
    """``0 <- … <- 9(three of each) <- … <- 20 <- … <- 90``: 9 is skipped at the head, and so for the contract that is
    configured later; of 9 each version lacks other logs. The order comes while nobody lives, and spans what is read."""
    for number in range(1, 91):
        node.mine(*((*three(), *three(STRANGER)) if number == 9 else (deposited(ALICE, WETH, 1),)))
    async with listening.live(proxy.url) as life:
        await life.until_health("UNHEALTHY")
        await skip(listening, 9, 9)
        await life.until_tip(node.head.hash)
    async with listening.live(proxy.url, settings=BOTH) as life:
        await life.until_whole()
    assert await listening.covered() == dict.fromkeys((1, 2), (Range(0, 8), Range(10, 90)))
    order = await listening.store.transact(add_order, CHAIN, Kind.REPLAY, 5, 20, False, "ops")
    proxy.faults = RpcFaults()
    async with listening.live(proxy.url, settings=BOTH):
        with trio.fail_after(PATIENCE):
            while order.ended_at is None:
                found = await listening.store.read(load_order, CHAIN, order.number)
                assert found is not None
                order = found
    assert (order.state, order.tally.repaired, order.tally.made_good) == ("done", 6, 1)
    async with listening.live(proxy.url, settings=BOTH) as life:
        node.mine()
        await life.until_tip(node.head.hash)
    await check(listening, node)
    assert await listening.covered() == dict.fromkeys((1, 2), (Range(0, 91),))
    assert await listening.rows("SELECT 1 FROM chain_skips WHERE made_good_at IS NULL") == []
    repair = [entry for entry in listening.published if entry.filter_version == REPAIR_VERSION]
    assert [(entry.block.number, len(entry.changes), entry.settles) for entry in repair] == [
        (9, 6, False),
        (90, 0, True),
    ]
