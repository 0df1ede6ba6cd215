"""Rule: what is stored does not depend on how many workers read it, whatever faults they meet, to the octet.

    1 .. 180    a few logs in most blocks, many in some; final
    .. 220      not final: asked for by hash
    .. 240      a longer branch from 200 on, which came while nobody listened
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import pytest

from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.repository import journal_fill
from fusion_daemon.domain.identifiers import ChainId
from tests.faults.fake_node import FakeNode, Json, serve
from tests.integration.chain.listening import CHAIN, SETTINGS, Listening, fold
from tests.unit.chain.vault_logs import (
    ALICE,
    BOB,
    USDC,
    WETH,
    asset_configured,
    borrowed,
    credit_set,
    deposited,
    garbled,
    index_updated,
    repaid,
)

WORKERS = (1, 4, 8)
FINAL, HEAD = 180, 220
FORK = 105
"""Above it the chain is replaced in the midst of the catch-up; the fork lies in what is not stored yet."""
TABLES = {
    "chain_blocks": "chain_id, number, hash",
    "chain_logs": "chain_id, block_number, block_hash, log_index",
    "chain_journal": "chain_id, seq",
    "positions": "chain_id, vault, owner, token, side",
    "chain_registers": "chain_id, block_number, block_hash, log_index",
}
LOGS = [
    deposited(ALICE, WETH, 5),
    deposited(BOB, WETH, 7),
    borrowed(BOB, USDC, 3),
    repaid(BOB, USDC, 1),
    index_updated(WETH, 10**27, 1, 5),
    credit_set(ALICE, 9),
    asset_configured(WETH, 18, 7_000, 8_000),
    garbled(),
]


def mine(node: FakeNode, count: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(count):
        node.mine(*random.choices(LOGS, k=random.choice((0, 0, 1, 2, 5, 40))))


def written() -> FakeNode:
    node = FakeNode()
    mine(node, HEAD, 1)
    node.final_number = FINAL
    return node


Fault = Callable[[FakeNode], None]


def honest(_node: FakeNode) -> None:
    pass


def cap(node: FakeNode) -> None:
    node.faults.longest_range = 7
    node.faults.refusal = (-32600, "block range is too wide")


def dense(node: FakeNode) -> None:
    node.faults.densest_range = 60


def cut(node: FakeNode) -> None:
    node.faults.logs_per_range = 30


def lacking(node: FakeNode) -> None:
    """A backend that lacks the upper half until it was asked for long enough."""
    node.faults.lag = HEAD // 2
    at_requests(node, 15, lambda: setattr(node.faults, "lag", 0))


def broken_once(node: FakeNode) -> None:
    """In the midst of the catch-up one span, or a few, get no answer."""
    at_requests(node, 12, lambda: setattr(node.faults, "broken", 1))


def limited(node: FakeNode) -> None:
    node.faults.retry_after = "0"
    at_requests(node, 12, lambda: setattr(node.faults, "limits", 2))




def at_requests(node: FakeNode, count: int, act: Callable[[], None]) -> None:
    """Once, before the HTTP request of that number is answered."""
    seen = [0]
    lock = threading.Lock()

    def look(_calls: Sequence[Json]) -> None:
        with lock:
            seen[0] += 1
            due = seen[0] == count
        if due:
            act()

    node.before_answer = look


def killed(_node: FakeNode) -> None:
    """The listener, not the node; see `catch_up`."""


def reorganised(node: FakeNode) -> None:
    """What lies above the fork is replaced as soon as somebody asks for the block there: it cannot be stored yet."""
    node.final_number = FORK - 40
    lock = threading.Lock()

    def look(calls: Sequence[Json]) -> None:
        asked = [call["params"] for call in calls if call["method"] == "eth_getBlockByNumber"]
        with lock:
            if node.head.number == HEAD and [hex(FORK), False] in asked:
                fork_at(node, FORK - 1, HEAD + 10)

    node.before_answer = look


def fork_at(node: FakeNode, ancestor: int, head: int) -> None:
    node.switch(node.ancestor(node.head, ancestor))
    mine(node, head - ancestor, ancestor)


FAULTS: tuple[Fault, ...] = (honest, cap, dense, cut, lacking, broken_once, limited, killed, reorganised)


async def rows(listening: Listening, chain: ChainId) -> dict[str, list[str]]:
    """By table: every row as Postgres writes it, but for the chain's number."""
    return {
        table: [
            row.text("row")
            for row in await listening.rows(
                f"SELECT (to_jsonb(t) - 'chain_id')::text AS row FROM {table} t WHERE chain_id = {chain} ORDER BY {key}"
            )
        ]
        for table, key in TABLES.items()
    }


async def catch_up(listening: Listening, fault: Fault, workers: int) -> dict[str, list[str]]:
    """From nothing to the node's head, over a reorg that happens while nobody listens, to the head again."""
    node, chain = written(), ChainId(CHAIN + workers)
    node.chain_id = chain
    settings = replace(SETTINGS, chain=chain, workers=workers, longest_span=10)
    with serve(node):
        fault(node)
        if fault is killed:
            async with listening.live(node.url, settings=settings) as life:
                await life.until_request(node, 130)
        async with listening.live(node.url, settings=settings) as life:
            await life.until_head(lambda: node.head.hash)
        fork_at(node, HEAD - 20, HEAD + 20)
        async with listening.live(node.url, settings=settings) as life:
            await life.until_tip(node.head.hash)
    stored = await rows(listening, chain)
    assert fold(await journal_fill(listening.store, load_event_table(), chain)(0, 1_000_000)) == [
        block.hash for block in node.canonical()
    ]
    assert len(stored["chain_logs"]) >= sum(len(block.logs) for block in node.canonical())
    return stored


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_same_rows_for_any_number_of_workers(listening: Listening, fault: Fault) -> None:
    alone, *others = [await catch_up(listening, fault, workers) for workers in WORKERS]
    for workers, stored in zip(WORKERS[1:], others, strict=True):
        for table in TABLES:
            assert stored[table] == alone[table], (workers, table)
