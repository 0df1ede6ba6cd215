"""A random walk of a chain in front of a living listener, with faults and restarts: nothing is lost or made
up.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from random import Random

import pytest

from fusion_daemon.runtime import HealthLevel
from tests.faults.fake_node import FakeBlock, FakeNode, Json
from tests.integration.chain.listening import Listening, fold, folded_positions
from tests.unit.chain.vault_logs import (
    ALICE,
    BOB,
    USDC,
    WETH,
    borrowed,
    credit_set,
    deposited,
    index_updated,
    repaid,
)

LIVES = 4
STEPS_PER_LIFE = 8
LOGS = [
    deposited(ALICE, WETH, 5),
    deposited(BOB, WETH, 7),
    borrowed(BOB, USDC, 3),
    repaid(BOB, USDC, 1),
    index_updated(WETH, 10**27, 1, 5),
    credit_set(ALICE, 9),
]


def step(node: FakeNode, random: Random, seen: list[FakeBlock]) -> None:
    """Mine, or go back to a block that was once the head, or fork, never below what is final; sometimes finality
    moves, anywhere up to the head; logs lag behind their blocks; then one fault of those that pass."""
    node.faults.unindexed = random.choice([0, 0, 1, 3])
    final = node.ancestor(node.head, node.final_number or 0)
    match random.randrange(4):
        case 0:
            node.switch(random.choice([block for block in seen if node.ancestor(block, final.number) == final]))
        case 1:
            chain = node.canonical()
            node.switch(chain[max(final.number, len(chain) - 1 - random.randrange(1, 6))])
    for _ in range(random.randrange(1, 5)):
        node.mine(*random.choices(LOGS, k=random.randrange(3)))
    if random.random() < 0.3:
        node.final_number = random.randint(final.number, node.head.number)
    match random.randrange(6):
        case 0:
            node.faults.limits, node.faults.retry_after = 1, "0"
        case 1:
            node.faults.broken = 1
        case 2:
            node.faults.hangs = 1
    node.faults.longest_range = random.choice([None, 1, 3])
    seen.append(node.head)


@pytest.mark.parametrize("seed", range(4))
async def test_random_walk(listening: Listening, node: FakeNode, seed: int) -> None:
    random = Random(seed)
    node.final_number = 0
    seen = [node.head]
    settings = listening.settings(request_timeout=0.3)
    for _ in range(LIVES):
        async with listening.live(node.url, settings=settings) as life:
            for _ in range(STEPS_PER_LIFE):
                step(node, random, seen)
                if random.randrange(2):
                    await life.until_tip(node.head.hash)
        step(node, random, seen)
    async with listening.live(node.url, settings=settings) as life:
        await life.until_tip(node.head.hash)
    await check(listening, node)


@pytest.mark.parametrize("seed", range(4))
async def test_random_walk_behind_a_load_balancer(listening: Listening, node: FakeNode, seed: int) -> None:
    """Every request is answered by another backend, each on its own fork and with its own lag; they agree on what
    is final. Every other time they come to agree on the rest too. No life ends, and no chain is called rewritten."""
    random, balancer, moving = Random(seed), Random(seed + 1_000), threading.Lock()
    node.final_number = 0
    tips, left = [node.head], [0]

    def choose_backend(_calls: Sequence[Json]) -> None:
        with moving:
            left[0] -= 1
            node.switch(balancer.choice([*tips, *tips[-1:] * 3]) if left[0] > 0 else tips[-1])
            node.faults.lag = balancer.choice([0, 0, 0, 0, 1, 3]) if left[0] > 0 else 0

    node.before_answer = choose_backend
    for _ in range(LIVES):
        async with listening.live(node.url) as life:
            for place in range(STEPS_PER_LIFE):
                with moving:
                    tips[:], left[0] = fork(node, random, tips), 12
                if place % 2:
                    await life.until_tip(tips[-1].hash)
                else:
                    await life.until_request(node, random.randrange(10, 30))
                assert life.context.health.level is not HealthLevel.UNHEALTHY
    node.before_answer, node.faults.lag = None, 0
    node.switch(tips[-1])
    async with listening.live(node.url) as life:
        await life.until_tip(node.mine().hash)
    await check(listening, node)


def fork(node: FakeNode, random: Random, tips: Sequence[FakeBlock]) -> list[FakeBlock]:
    """A few blocks on one of the tips or a little below it; the newest three tips, and finality somewhere on what
    they share."""
    base = random.choice(tips)
    depth = random.choice([0, 0, 1, 2, 3])
    node.switch(node.ancestor(base, max(node.final_number or 0, base.number - depth)))
    for _ in range(random.randrange(1, 4)):
        node.mine(*random.choices(LOGS, k=random.randrange(3)))
    newest = [*tips, node.head][-3:]
    shared = min(block.number for block in newest)
    while len({node.ancestor(block, shared).hash for block in newest}) > 1:
        shared -= 1
    node.final_number = random.randint(node.final_number or 0, shared)
    return newest


async def check(listening: Listening, node: FakeNode) -> None:
    entries = await listening.entries()
    assert fold(entries) == [block.hash for block in node.canonical()]
    assert await listening.positions() == folded_positions(entries)
    published = {entry.seq: entry for entry in listening.published}
    assert all(published.get(entry.seq, entry) == entry for entry in entries)
    for row in await listening.rows(
        "SELECT b.hash, (SELECT count(*) FROM chain_logs l WHERE l.block_hash = b.hash) AS logs FROM chain_blocks b"
    ):
        assert row.integer("logs") == len(node.blocks[row.octets("hash")].logs)
