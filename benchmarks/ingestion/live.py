"""From a new block to its committed rows, at a block every 250 ms."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from contextlib import closing

import asyncpg

from benchmarks.ingestion.cells import Ground
from benchmarks.ingestion.contenders import OURS, Contender
from benchmarks.ingestion.databases import connected, new_database
from benchmarks.ingestion.figures import Figures
from benchmarks.ingestion.process import ContenderEnded, WatchedProcess
from benchmarks.ingestion.race import check_runs, newest
from benchmarks.ingestion.workload import CHAIN, Workload, deploy_emitter, emission
from fusion_daemon.chain.polling import Polling
from fusion_daemon.chain.settings import PollSettings
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node
from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.domain.journal import BlockRef

BLOCK_SECONDS = 0.25
EVENTS_PER_BLOCK = 10
_LOOK_SECONDS = 0.002
_FIRST_LOOK_SECONDS = 0.05
_UNMEASURED_BLOCKS = 8
_LAST_SECONDS = 5.0
"""For the last blocks to arrive after the last one was made."""
_STORED = "SELECT number, hash, timestamp FROM chain_blocks WHERE canonical ORDER BY number DESC LIMIT 16"


def live(ground: Ground) -> Mapping[str, Figures]:
    """Each contender that follows a chain follows one of its own, one after the other."""
    told: dict[str, Figures] = {}
    for contender in ground.contenders:
        if not contender.follows:
            continue
        try:
            told[contender.name] = _follow(ground, contender)
        except ContenderEnded as failed:
            if contender is OURS:
                raise
            ground.missing[contender.name] = f"live: {failed}"
    return told


def _follow(ground: Ground, contender: Contender) -> Figures:
    with anvil(CHAIN) as node, closing(Node(node.url)) as client, new_database(ground.server) as dsn:
        emitter = deploy_emitter(client)
        client.call("evm_setAutomine", False)
        transaction = emission(emitter, EVENTS_PER_BLOCK)
        first, _ = _make_block(client, transaction)
        workload = Workload(node.url, CHAIN, emitter, first, first, EVENTS_PER_BLOCK, EVENTS_PER_BLOCK, 1)
        return asyncio.run(_measure(ground, contender, workload, dsn, client, transaction))


async def _measure(
    ground: Ground, contender: Contender, workload: Workload, dsn: str, client: Node, transaction: dict[str, str]
) -> Figures:
    start = contender.start(workload, dsn)
    process = WatchedProcess(start.command, start.directory, start.environment)
    try:
        async with connected(dsn) as connection:
            begun = time.perf_counter()
            while await newest(connection, contender) < workload.first:
                check_runs(contender, process, time.perf_counter() - begun, ground.size.patience)
                await asyncio.sleep(_FIRST_LOOK_SECONDS)
            blocks = _UNMEASURED_BLOCKS + ground.size.live_blocks
            waits = await _waits(connection, contender, client, transaction, blocks)
            check_runs(contender, process, 0.0, ground.size.patience)
            measured = sorted(waits[_UNMEASURED_BLOCKS:])
            figures = {
                "latency_p50_ms": round(statistics.median(measured) * 1_000, 1),
                "latency_p99_ms": round(measured[int(len(measured) * 0.99)] * 1_000, 1),
            }
            if contender is OURS:
                figures["poll_interval_ms"] = round(await _poll_interval(connection) * 1_000, 1)
            return figures
    finally:
        process.stop()


async def _waits(
    connection: asyncpg.Connection, contender: Contender, client: Node, transaction: dict[str, str], blocks: int
) -> list[float]:
    """Seconds from the node's answer that a block is made until Postgres shows it, of each block. A block that never
    arrives waits until the end."""
    made: list[tuple[int, float]] = []
    waits: list[float] = []
    following = time.perf_counter()
    end = following + blocks * BLOCK_SECONDS + _LAST_SECONDS
    while len(waits) < blocks and time.perf_counter() < end:
        if len(made) < blocks and time.perf_counter() >= following:
            following += BLOCK_SECONDS
            made.append(await asyncio.to_thread(_make_block, client, transaction))
        arrived = await newest(connection, contender)
        while len(waits) < len(made) and made[len(waits)][0] <= arrived:
            waits.append(time.perf_counter() - made[len(waits)][1])
        await asyncio.sleep(_LOOK_SECONDS)
    return waits + [time.perf_counter() - at for _, at in made[len(waits) :]]


def _make_block(client: Node, transaction: dict[str, str]) -> tuple[int, float]:
    """Its number, and when the node had it."""
    client.call("eth_sendTransaction", transaction)
    client.call("evm_mine")
    made = time.perf_counter()
    return int(str(client.call("eth_blockNumber")), 16), made


async def _poll_interval(connection: asyncpg.Connection) -> float:
    """Seconds: what the listener's rule makes of the blocks that it has stored."""
    rows = reversed(await connection.fetch(_STORED))
    blocks = [BlockRef(number, Hash32(block), timestamp) for number, block, timestamp in rows]
    return Polling(PollSettings()).interval(blocks)
