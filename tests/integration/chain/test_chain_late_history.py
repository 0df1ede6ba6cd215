"""A contract that is configured later: its own history is fetched, and nothing else, while the head is followed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.journal import BalanceChange
from tests.faults.fake_node import FakeLog, FakeNode, Json
from tests.integration.chain.listening import Listening, fold, folded_positions
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, USDC, VAULT, WETH, deposited, event, unknown

BOTH = (VAULT, STRANGER)
TABLE = load_event_table()


def limited(owner: bytes, limit: int, vault: bytes) -> FakeLog:
    return event("CreditLineSet(address,uint256,uint256,uint64)", (owner,), 0, limit, 1, address=vault)


def mine(node: FakeNode, count: int, dice: random.Random) -> None:
    """Blocks of up to three logs of either vault."""
    for _ in range(count):
        logs: list[FakeLog] = []
        for _ in range(dice.randrange(4)):
            vault, owner, amount = dice.choice(BOTH), dice.choice((ALICE, BOB)), dice.randrange(1, 1_000)
            made = (
                deposited(owner, dice.choice((WETH, USDC)), amount, vault),
                limited(owner, amount, vault),
                unknown(),
            )
            logs.append(dice.choice(made))
        node.mine(*logs)


@dataclass
class Ear:
    """Hears which logs a node is asked for."""

    node: FakeNode
    asked: list[tuple[tuple[str, ...], int, int]] = field(default_factory=list)
    """Contracts, first and last block."""

    def __post_init__(self) -> None:
        self.node.before_answer = self._hear

    def _hear(self, calls: Sequence[Json]) -> None:
        for call in calls:
            if call["method"] == "eth_getLogs":
                [query] = cast("list[dict[str, object]]", call["params"])
                contracts = tuple(cast("list[str]", query["address"]))
                if "blockHash" in query:
                    block = self.node.blocks[bytes.fromhex(str(query["blockHash"])[2:])].number
                    self.asked.append((contracts, block, block))
                else:
                    first, last = int(str(query["fromBlock"]), 16), int(str(query["toBlock"]), 16)
                    self.asked.append((contracts, first, last))


def short(listening: Listening) -> ChainSettings:
    return replace(listening.settings(), longest_span=7)


def both(listening: Listening) -> ChainSettings:
    return replace(short(listening), contracts=BOTH)


async def check_as_from_the_start(listening: Listening, node: FakeNode) -> None:
    """What is stored and folded is what a listener of both vaults from the first block on would have."""
    entries = await listening.entries()
    assert tuple(listening.published) == tuple(entries)
    assert fold(entries) == [block.hash for block in node.canonical()]
    sums: dict[tuple[bytes, bytes, bytes, str], int] = {}
    registers = set()
    for block in node.canonical():
        for index, log in enumerate(block.logs):
            for change in TABLE.event(log.address, index, log.topics, log.data).changes:  # type: ignore[arg-type]
                if isinstance(change, BalanceChange):
                    key = (change.vault, change.owner, change.token, change.side.value)
                    sums[key] = sums.get(key, 0) + change.amount
                else:
                    registers.add((block.hash, index))
    assert folded_positions(entries) == sums
    assert await listening.positions() == sums
    kept = await listening.rows("SELECT block_hash, log_index FROM chain_registers")
    assert {(row.octets("block_hash"), row.integer("log_index")) for row in kept} == registers
    stored = await listening.rows(
        "SELECT block_hash, log_index FROM chain_logs JOIN chain_blocks"
        " ON (hash, number) = (block_hash, block_number) AND canonical"
    )
    emitted = {(block.hash, index) for block in node.canonical() for index in range(len(block.logs))}
    assert {(row.octets("block_hash"), row.integer("log_index")) for row in stored} == emitted
    assert await listening.covered() == {version: (Range(0, node.head.number),) for version in (1, 2)}


async def test_only_its_own_history_is_fetched(listening: Listening, node: FakeNode) -> None:
    """``[0 .. 60]`` is read with A; then with A and B, and of the old blocks B's logs alone are asked for, once."""
    mine(node, 60, random.Random(1))
    async with listening.live(node.url, settings=short(listening)) as life:
        await life.until_tip(node.head.hash)
    before = node.head.number
    mine(node, 1, random.Random(2))
    ear = Ear(node)
    async with listening.live(node.url, settings=both(listening)) as life:
        await life.until_whole()
        assert life.listener.statistics().missing == 0
    node.before_answer = None
    late = [(first, last) for contracts, first, last in ear.asked if first <= before]
    assert {contracts for contracts, first, _ in ear.asked if first <= before} == {(hex_of(STRANGER),)}
    numbers = [number for first, last in late for number in range(first, last + 1)]
    assert len(numbers) == len(set(numbers))
    await check_as_from_the_start(listening, node)


async def test_an_unchanged_configuration_reads_nothing_twice(listening: Listening, node: FakeNode) -> None:
    mine(node, 20, random.Random(3))
    async with listening.live(node.url, settings=both(listening)) as life:
        await life.until_tip(node.head.hash)
    before = node.head.number
    mine(node, 5, random.Random(4))
    ear = Ear(node)
    async with listening.live(node.url, settings=both(listening)) as life:
        await life.until_tip(node.head.hash)
    node.before_answer = None
    assert ear.asked
    assert all(first > before for _, first, _ in ear.asked)
    assert [row.integer("filter_version") for row in await listening.rows("SELECT * FROM chain_contracts")] == [1, 1]
    assert not any(entry.late for entry in await listening.entries())


@pytest.mark.parametrize("seed", range(3))
async def test_a_reorg_in_the_midst(listening: Listening, node: FakeNode, seed: int) -> None:
    """Blocks whose late logs are stored, and blocks whose are not, are replaced while the history is read."""
    dice = random.Random(seed)
    node.final_number = 5
    mine(node, 40, dice)
    async with listening.live(node.url, settings=short(listening)) as life:
        await life.until_tip(node.head.hash)
    old = node.head
    async with listening.live(node.url, settings=both(listening)) as life:
        await life.until_request(node, dice.randrange(2, 30))
        node.switch(node.canonical()[dice.randrange(6, 38)])
        mine(node, 45 - node.head.number, dice)
        await life.until_tip(node.head.hash)
        node.switch(old)  # and back to blocks that were stored while one vault alone was read
        mine(node, 6, dice)
        await life.until_tip(node.head.hash)
        await life.until_whole()
    await check_as_from_the_start(listening, node)


@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_any_point_it_goes_on_where_coverage_ends(
    listening: Listening, node: FakeNode, seed: int
) -> None:
    dice = random.Random(seed)
    node.final_number = 45
    mine(node, 60, dice)
    async with listening.live(node.url, settings=short(listening)) as life:
        await life.until_tip(node.head.hash)
    whole = False
    while not whole:
        mine(node, 1, dice)
        covered = (await listening.covered()).get(2, ())
        ear = Ear(node)
        async with listening.live(node.url, settings=both(listening)) as life:
            await life.until_request(node, dice.randrange(1, 40))
        node.before_answer = None
        done = {number for each in covered for number in range(each.first, each.last + 1)}
        assert not [asked for asked in ear.asked if asked[0] == (hex_of(STRANGER),) and asked[1] in done]
        whole = any(entry.late and entry.settles for entry in await listening.entries())
    async with listening.live(node.url, settings=both(listening)) as life:
        mine(node, 1, dice)
        await life.until_tip(node.head.hash)
    entries = await listening.entries()
    listening.published = list(entries)  # a killed life may have committed what it did not publish
    await check_as_from_the_start(listening, node)
    assert sum(entry.late and entry.settles for entry in entries) == 1
