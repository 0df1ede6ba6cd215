"""The real vault on a real EVM chain: what the journal says is what the contract says, through reorgs too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import pytest

from fusion_daemon.demo.anvil import Anvil, anvil
from fusion_daemon.demo.deploy import DESK, Deployment, Opening, borrow, deploy, deposit
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.domain.journal import Op
from tests.integration.chain.listening import SETTINGS, Listening, fold, folded_positions

OWNERS = tuple(Address(b"\x70" + bytes([number]) * 19) for number in range(1, 6))


@dataclass(frozen=True)
class Stage:
    """A vault with five accounts that hold collateral and debt."""

    anvil: Anvil
    deployment: Deployment

    @property
    def node(self) -> Node:
        return self.deployment.node

    def hashes(self) -> list[bytes]:
        count = int(str(self.node.call("eth_blockNumber")), 16) + 1
        blocks = self.node.batch([("eth_getBlockByNumber", [hex(number), False]) for number in range(count)])
        return [bytes.fromhex(str(block["hash"])[2:]) for block in blocks if isinstance(block, dict)]

    def mine(self, count: int = 1) -> None:
        self.node.call("anvil_mine", hex(count))

    def deposits(self) -> list[dict[str, str]]:
        """One further deposit per account, as transactions to send or to put into a reorg."""
        return [
            {
                "from": hex_of(owner),
                "to": hex_of(self.deployment.vault),
                "data": hex_of(call_data("depositCollateral(address,uint256)", self.deployment.weth, amount)),
                "gas": hex(1_000_000),
            }
            for amount, owner in enumerate(OWNERS, 10**15)
        ]

    def send(self, transactions: Sequence[dict[str, str]]) -> None:
        for transaction in transactions:
            self.node.send(
                Sent(
                    Address(bytes.fromhex(transaction["from"][2:])),
                    self.deployment.vault,
                    bytes.fromhex(transaction["data"][2:]),
                )
            )

    def collateral(self, owner: Address) -> int:
        [amount] = self.node.view(
            self.deployment.vault, "collateralOf(address,address)", ["uint256"], owner, self.deployment.weth
        )
        assert isinstance(amount, int)
        return amount


@pytest.fixture
def stage(chain_node: Anvil) -> Iterator[Stage]:
    node = Node(chain_node.url)
    deployment = deploy(node, chain_node.chain_id, 3_000 * 10**8)
    openings = [Opening(owner, 10**18, owner, 0, 1_000 * 10**6) for owner in OWNERS]
    deposit(deployment, openings)
    borrow(deployment, openings)
    for owner in OWNERS:
        node.send(Sent(DESK, deployment.weth, call_data("mint(address,uint256)", owner, 10**18)))
        allowance = call_data("approve(address,uint256)", deployment.vault, 10**18)
        node.send(Sent(owner, deployment.weth, allowance))
    yield Stage(chain_node, deployment)
    node.close()


async def check(listening: Listening, stage: Stage) -> None:
    entries = await listening.entries()
    assert fold(entries) == stage.hashes()
    assert tuple(listening.published) == tuple(entries)
    positions = await listening.positions()
    assert positions == folded_positions(entries)
    vault = stage.deployment.vault
    for owner in OWNERS:
        assert positions[vault, owner, stage.deployment.weth, "collateral"] == stage.collateral(owner)
        assert positions[vault, owner, stage.deployment.usdc, "debt"] > 0


async def test_positions_are_the_vaults(listening: Listening, stage: Stage) -> None:
    settings = replace(SETTINGS, contracts=(stage.deployment.vault, stage.deployment.factory))
    async with listening.live(stage.anvil.url, settings=settings) as life:
        await life.until_tip(stage.hashes()[-1])
        stage.send(stage.deposits())
        await life.until_tip(stage.hashes()[-1])
        assert life.listener.statistics().undecodable == 0
    await check(listening, stage)
    registers = await listening.rows(
        "SELECT DISTINCT ON (kind, subject) * FROM chain_registers"
        " ORDER BY kind, subject, block_number DESC, log_index DESC"
    )
    usdc = stage.deployment.usdc
    [index] = [row for row in registers if row.text("kind") == "index" and row.octets("subject") == usdc]
    assert index.integer("borrow_index") >= 10**27
    assert index.integer("borrow_rate") > 0
    assert {row.text("kind") for row in registers} >= {"index", "asset"}


@pytest.mark.parametrize("down", [False, True])
async def test_five_blocks_replaced_at_the_same_height(listening: Listening, stage: Stage, down: bool) -> None:
    """``n <- a <- b <- c <- d <- e`` becomes ``n <- e' <- d' <- (c', b') <- . <- a'``"""
    settings = replace(SETTINGS, contracts=(stage.deployment.vault,))
    deposits = stage.deposits()
    stage.send(deposits)
    before = stage.hashes()
    replacement = [[deposit, 4 - place if place != 1 else 2] for place, deposit in enumerate(deposits)]
    async with listening.live(stage.anvil.url, settings=settings) as life:
        await life.until_tip(before[-1])
        if not down:
            stage.node.call("anvil_reorg", 5, replacement)
            await life.until_tip(stage.hashes()[-1])
    if down:
        stage.node.call("anvil_reorg", 5, replacement)
        async with listening.live(stage.anvil.url, settings=settings) as life:
            await life.until_tip(stage.hashes()[-1])
    after = stage.hashes()
    assert len(after) == len(before)
    assert after[:-5] == before[:-5]
    assert not set(after[-5:]) & set(before[-5:])
    await check(listening, stage)
    entries = await listening.entries()
    assert [entry.op for entry in entries[-10:]] == [Op.RETRACT] * 5 + [Op.APPLY] * 5
    assert [entry.settles for entry in entries[-10:]] == [False] * 9 + [True]


async def test_a_rollback_is_seen_with_the_next_block(listening: Listening, stage: Stage) -> None:
    """``n <- a <- b`` shrinks to ``n``, which looks like a lagging endpoint, then grows to ``n <- c``."""
    settings = replace(SETTINGS, contracts=(stage.deployment.vault,))
    stage.send(stage.deposits()[:2])
    async with listening.live(stage.anvil.url, settings=settings) as life:
        await life.until_tip(stage.hashes()[-1])
        stage.node.call("anvil_rollback", 2)
        stage.mine()
        await life.until_tip(stage.hashes()[-1])
    await check(listening, stage)


async def test_anvil_cuts_below_finality(listening: Listening) -> None:
    """With one slot per epoch `finalized` is two blocks behind the head: a reorg of five violates it."""
    with anvil(31_337, options=("--slots-in-an-epoch", "1")) as running, closing(Node(running.url)) as node:
        node.call("anvil_mine", hex(20))
        async with listening.live(running.url) as life:
            tip = node.call("eth_getBlockByNumber", "latest", False)
            assert isinstance(tip, dict)
            await life.until_tip(bytes.fromhex(str(tip["hash"])[2:]))
            node.call("anvil_reorg", 5, [])
            assert "called final" in await life.until_health("UNHEALTHY")
    assert len(fold(await listening.entries())) == 21
