"""A random walk of a chain in front of a living listener, with faults and restarts: nothing is lost or made
up.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.faults.fake_node import FakeBlock, FakeNode
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
    moves, anywhere up to the head; then one fault of those that pass."""
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
    entries = await listening.entries()
    assert fold(entries) == [block.hash for block in node.canonical()]
    assert await listening.positions() == folded_positions(entries)
    published = {entry.seq: entry for entry in listening.published}
    assert all(published.get(entry.seq, entry) == entry for entry in entries)
    for row in await listening.rows(
        "SELECT b.hash, (SELECT count(*) FROM chain_logs l WHERE l.block_hash = b.hash) AS logs FROM chain_blocks b"
    ):
        assert row.integer("logs") == len(node.blocks[row.octets("hash")].logs)
