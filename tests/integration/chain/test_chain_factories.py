"""What a factory creates is read from the very block of its creation on, and goes when that block goes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from eth_utils.crypto import keccak

from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import Address
from tests.faults.fake_node import FakeLog, FakeNode
from tests.faults.rpc_faults import RpcFaults
from tests.faults.rpc_proxy import proxied
from tests.integration.chain.listening import PATIENCE, Listening
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, deposited, event

FACTORY = Address(b"\x0f" * 20)
ESCROW, OTHER = Address(b"\xe1" * 20), Address(b"\xe2" * 20)


def made(escrow: bytes, factory: bytes = FACTORY) -> FakeLog:
    signature = "EscrowCreated(address,address,address,address,uint256,bytes32,uint64)"
    return event(signature, (escrow, ALICE, BOB), "0x" + WETH.hex(), 5, bytes(32), 1, address=factory)


def spoke(escrow: bytes) -> FakeLog:
    return FakeLog(escrow, (keccak(text="Funded(uint256)"),), bytes(32))


def watching(listening: Listening, span: int = 2_000, *contracts: Address) -> ChainSettings:
    named = contracts or (VAULT, FACTORY)
    return replace(listening.settings(), contracts=named, factories=(FACTORY,), longest_span=span, workers=4)


async def check(listening: Listening, node: FakeNode, *escrows: Address) -> None:
    """Of the canonical blocks exactly the logs of the vault, the factory and its escrows are stored."""
    wanted = {VAULT, FACTORY, *escrows}
    since: dict[bytes, int] = {}
    for block in node.canonical():
        for log in block.logs:
            if log.address == FACTORY:
                since.setdefault(log.topics[1][-20:], block.number)
    emitted = {
        (block.hash, index)
        for block in node.canonical()
        for index, log in enumerate(block.logs)
        if log.address in wanted and block.number >= since.get(log.address, 0)
    }
    stored = await listening.rows(
        "SELECT block_hash, log_index FROM chain_logs JOIN chain_blocks"
        " ON (hash, number) = (block_hash, block_number) AND canonical"
    )
    assert {(row.octets("block_hash"), row.integer("log_index")) for row in stored} == emitted
    known = await listening.rows("SELECT address FROM chain_contracts WHERE origin IS NOT NULL")
    assert {row.octets("address") for row in known} == set(escrows)
    covered = await listening.covered()
    assert {each for version, each in covered.items() if version == 1} == {(Range(0, node.head.number),)}
    assert tuple(listening.published) == tuple(await listening.entries())


@pytest.mark.parametrize("span", [1, 3, 2_000])
async def test_its_logs_in_the_same_block_and_in_spans_read_ahead(
    listening: Listening, node: FakeNode, span: int
) -> None:
    """``1(nothing of ours) <- 2(creates, it speaks) <- … <- 12(it speaks)``, in one span or in many read at once."""
    node.final_number = 40
    node.mine(spoke(ESCROW))
    node.mine(made(ESCROW), spoke(ESCROW), deposited(ALICE, WETH, 5))
    for number in range(3, 60):
        node.mine(*[spoke(ESCROW)] * (number % 3 == 0))
    async with listening.live(node.url, settings=watching(listening, span)) as life:
        await life.until_tip(node.head.hash)
        node.mine(made(OTHER), spoke(OTHER), spoke(ESCROW))
        await life.until_tip(node.head.hash)
    known = await listening.rows("SELECT since_block FROM chain_contracts WHERE origin IS NOT NULL ORDER BY number")
    assert [row.integer("since_block") for row in known] == [2, 60]
    await check(listening, node, ESCROW, OTHER)


async def test_a_creation_that_is_reorganised_away(listening: Listening, node: FakeNode) -> None:
    """``1 <- 2a(creates) <- 3a(it speaks)`` becomes ``1 <- 2b <- 3b(it speaks: a stranger)``, then 2a comes back."""
    node.final_number = 0
    one = node.mine()
    node.mine(made(ESCROW))
    long = node.mine(spoke(ESCROW))
    async with listening.live(node.url, settings=watching(listening)) as life:
        await life.until_tip(long.hash)
        node.switch(one)
        node.mine()
        node.mine()
        await life.until_tip(node.mine().hash)
        assert await listening.rows("SELECT 1 FROM chain_contracts WHERE origin IS NOT NULL") == []
        node.switch(long)
        node.mine()
        await life.until_tip(node.mine(spoke(ESCROW)).hash)
    await check(listening, node, ESCROW)


async def test_only_a_factory_creates(listening: Listening, node: FakeNode) -> None:
    node.mine(made(ESCROW, VAULT), made(OTHER, STRANGER), spoke(ESCROW), spoke(OTHER))
    async with listening.live(node.url, settings=watching(listening)) as life:
        await life.until_tip(node.head.hash)
    await check(listening, node)


async def test_a_factory_that_is_configured_later(listening: Listening, node: FakeNode) -> None:
    """What it created long ago is read from its creation on, each log once."""
    node.mine(made(ESCROW), spoke(ESCROW))
    for number in range(2, 30):
        node.mine(*[spoke(ESCROW), made(OTHER)][: number % 3])
    async with listening.live(node.url, settings=watching(listening, 5, VAULT)) as life:
        await life.until_tip(node.head.hash)
    node.mine(spoke(ESCROW))
    async with listening.live(node.url, settings=watching(listening, 5)) as life:
        with trio.fail_after(PATIENCE):
            moved = life.topic.moved  # the factory is the second version; what it created long ago are others
            while len(await listening.covered()) < 3 or life.listener.statistics().missing:
                await moved.wait()
                moved = life.topic.moved
    await check(listening, node, ESCROW, OTHER)


async def test_a_creation_that_an_endpoint_withheld_is_repaired_and_its_logs_are_read_late(
    listening: Listening, node: FakeNode
) -> None:
    """``1(creates two, both speak) <- … <- 5(the second speaks) <- … <- 80``; answers by range are cut after a log."""
    node.mine(made(ESCROW), made(OTHER), spoke(ESCROW), spoke(OTHER))
    for number in range(2, 81):
        node.mine(*[spoke(OTHER)] * (number == 5))
    with proxied(node.url) as provider:
        provider.faults = RpcFaults(truncated=1)
        async with listening.live(provider.url, node.url, settings=watching(listening)) as life:
            await life.until_tip(node.head.hash)
            await life.until_whole(version=2)
            await listening.until_audited(16, version=2)
            assert life.listener.statistics().audit.mismatches == 1
    await check(listening, node, ESCROW, OTHER)
