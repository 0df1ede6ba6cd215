"""How fast are a chain's events turned into committed rows? This listener beside web3.py, in one run.

    python benchmarks/ingest.py [--events 100000] [--blocks 1000] [--runs 3] [--json]

One anvil holds the events, one embedded Postgres (durable, as in production) takes the rows; every run starts
with an empty database, and the contenders take turns.

* ours: the chain listener actor as the daemon runs it: headers, parent hashes, bloom filters, decoding, journal,
  positions and raw logs, one transaction per span.
* web3.py: `contract.events.CollateralDeposited.get_logs` in chunks of 100 blocks, `executemany`, one transaction
  per chunk; no headers, no checks, no positions: less work than ours.
* limit: what this machine does with the same bytes when nothing is checked or decoded: raw `eth_getLogs` by
  aiohttp, orjson, COPY.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import structlog
import trio
from web3 import HTTPProvider, Web3

from actors.chain_listener import ChainListener
from fusion_daemon.aio import open_aio
from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.runtime import ActorContext, SystemClock, Topic
from fusion_daemon.store import EmbeddedPostgres, migrate, open_store, running_postgres

CHAIN = ChainId(31_337)
SENDER = Address(b"\x51" * 20)
FINALITY = 70
"""Empty blocks on top, so that the events are final as in a real catch-up."""
CHUNK = 100
"""Blocks per chunk of the peers."""
SWITCH_INTERVAL = 0.0005
"""Seconds, as in the daemon; it makes no difference to the peers, which have one thread."""
GOAL_RATE = 20_000
GOAL_RATIO = 10

PEER_TABLE = """
CREATE TABLE events (
    block_hash bytea, log_index int, block_number bigint, transaction_hash bytea, address bytea,
    account bytea, token bytea, amount numeric(78, 0), balance numeric(78, 0),
    PRIMARY KEY (block_hash, log_index))"""
LIMIT_TABLE = """
CREATE TABLE raw (
    block_hash bytea, log_index int, transaction_hash bytea, topics bytea[], data bytea,
    PRIMARY KEY (block_hash, log_index))"""


@dataclass(frozen=True, slots=True)
class Workload:
    url: str
    emitter: Address
    first: int
    last: int
    """The last block with events."""
    events: int


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    run: Callable[[Workload, str], float]
    """Seconds from the start to the last committed row in the empty database of that DSN."""
    rows: str
    """A query that counts what it stored."""


def seed(node: Node, events: int, blocks: int) -> Workload:
    """`blocks` blocks of one transaction each, which share the events evenly."""
    node.call("anvil_setBalance", hex_of(SENDER), hex(10**24))
    node.call("anvil_autoImpersonateAccount", True)
    emitter = node.deploy(SENDER, load_artifact("EventEmitter").bytecode)
    first = int(str(node.call("eth_blockNumber")), 16) + 1
    per_block = events // blocks
    transaction = {
        "from": hex_of(SENDER),
        "to": hex_of(emitter),
        "data": hex_of(call_data("emitDeposits(uint256)", per_block)),
        "gas": hex(29_000_000),
    }
    node.call("evm_setAutomine", False)
    for _ in range(blocks):
        node.call("eth_sendTransaction", transaction)
        node.call("evm_mine")
    node.call("anvil_mine", hex(FINALITY))
    return Workload(node.url, emitter, first, first + blocks - 1, per_block * blocks)


def ours(workload: Workload, dsn: str) -> float:
    return trio.run(_listen, workload, dsn)


async def _listen(workload: Workload, dsn: str) -> float:
    settings = ChainSettings(CHAIN, "bench", (workload.url,), (workload.emitter,), start_block=0)
    done = trio.Event()

    class Watched(Topic[JournalEntry]):
        def publish(self, first: int, items: Sequence[JournalEntry]) -> None:
            super().publish(first, items)
            if items[-1].block.number >= workload.last:
                done.set()

    async with open_aio() as aio, open_store(aio, dsn) as store:
        topic = Watched(journal_stream(CHAIN), 1_000)
        listener = ChainListener(settings, aio, store, topic, load_event_table())
        begun = time.perf_counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, ActorContext(listener.name, SystemClock()))
            await done.wait()
            seconds = time.perf_counter() - begun
            nursery.cancel_scope.cancel()
    return seconds


def web3py(workload: Workload, dsn: str) -> float:
    return asyncio.run(_web3py(workload, dsn))


async def _web3py(workload: Workload, dsn: str) -> float:
    w3 = Web3(HTTPProvider(workload.url))
    abi = orjson.loads((Path(__file__).parents[1] / "contracts/artifacts/EventEmitter.json").read_bytes())["abi"]
    contract = w3.eth.contract(address=Web3.to_checksum_address(workload.emitter), abi=abi)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(PEER_TABLE)
        begun = time.perf_counter()
        for first in range(workload.first, workload.last + 1, CHUNK):
            last = min(first + CHUNK - 1, workload.last)
            found = contract.events.CollateralDeposited.get_logs(from_block=first, to_block=last)
            rows = [
                (
                    bytes(event["blockHash"]),
                    event["logIndex"],
                    event["blockNumber"],
                    bytes(event["transactionHash"]),
                    bytes.fromhex(event["address"][2:]),
                    bytes.fromhex(event["args"]["account"][2:]),
                    bytes.fromhex(event["args"]["token"][2:]),
                    event["args"]["amount"],
                    event["args"]["balance"],
                )
                for event in found
            ]
            async with connection.transaction():
                await connection.executemany(
                    "INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
                    rows,
                )
        return time.perf_counter() - begun
    finally:
        await connection.close()


def raw(workload: Workload, dsn: str) -> float:
    return asyncio.run(_raw(workload, dsn))


async def _raw(workload: Workload, dsn: str) -> float:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(LIMIT_TABLE)
        async with aiohttp.ClientSession() as session:
            begun = time.perf_counter()
            for first in range(workload.first, workload.last + 1, 10):
                last = min(first + 9, workload.last)
                query = {"address": hex_of(workload.emitter), "fromBlock": hex(first), "toBlock": hex(last)}
                call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [query]}
                async with session.post(workload.url, json=call) as response:
                    logs = orjson.loads(await response.read())["result"]
                unhex = bytes.fromhex
                rows = [
                    (
                        unhex(log["blockHash"][2:]),
                        int(log["logIndex"], 16),
                        unhex(log["transactionHash"][2:]),
                        [unhex(topic[2:]) for topic in log["topics"]],
                        unhex(log["data"][2:]),
                    )
                    for log in logs
                ]
                async with connection.transaction():
                    await connection.copy_records_to_table("raw", records=rows)
            return time.perf_counter() - begun
    finally:
        await connection.close()


CONTENDERS = (
    Contender("fusion-prime chain listener", ours, "SELECT count(*) FROM chain_logs"),
    Contender("web3.py get_logs + executemany", web3py, "SELECT count(*) FROM events"),
    Contender("raw eth_getLogs + COPY, unchecked", raw, "SELECT count(*) FROM raw"),
)


def measure(server: EmbeddedPostgres, workload: Workload, runs: int) -> dict[str, list[float]]:
    """Events per second of every run, by contender. Every result is counted."""
    rates: dict[str, list[float]] = {contender.name: [] for contender in CONTENDERS}
    numbers = itertools.count(1)
    for _, contender in itertools.product(range(runs), CONTENDERS):
        name = f"bench_{next(numbers)}"
        asyncio.run(_execute(_dsn(server, "postgres"), f"CREATE DATABASE {name}"))
        dsn = _dsn(server, name)
        asyncio.run(migrate(dsn))
        seconds = contender.run(workload, dsn)
        stored = asyncio.run(_count(dsn, contender.rows))
        if stored != workload.events:
            raise SystemExit(f"{contender.name} stored {stored} of {workload.events} events")
        rates[contender.name].append(workload.events / seconds)
        asyncio.run(_execute(_dsn(server, "postgres"), f"DROP DATABASE {name} WITH (FORCE)"))
    return rates


def report(workload: Workload, rates: dict[str, list[float]]) -> dict[str, object]:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    mine, peer, limit = (contender.name for contender in CONTENDERS)

    def line(name: str) -> dict[str, object]:
        return {
            "name": name,
            "events_per_second": round(medians[name]),
            "runs": [round(rate) for rate in rates[name]],
        }

    return {
        "events": workload.events,
        "blocks": workload.last - workload.first + 1,
        "ours": line(mine),
        "peers": [line(peer)],
        "limit": line(limit),
        "ratio": round(medians[mine] / medians[peer], 1),
        "goal": {"events_per_second": GOAL_RATE, "ratio": GOAL_RATIO},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Events per second from a node to committed rows.")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--blocks", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    structlog.configure(processors=[structlog.dev.ConsoleRenderer()], logger_factory=structlog.PrintLoggerFactory())
    sys.setswitchinterval(SWITCH_INTERVAL)
    state = Path(tempfile.mkdtemp(prefix="fusion-prime-bench-"))
    try:
        with anvil(CHAIN) as node, closing(Node(node.url)) as client, running_postgres(state) as server:
            workload = seed(client, options.events, options.blocks)
            result = report(workload, measure(server, workload, options.runs))
    finally:
        shutil.rmtree(state, ignore_errors=True)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{workload.events} events in {options.blocks} blocks, median of {options.runs} runs")
    for entry in (result["ours"], *result["peers"], result["limit"]):  # type: ignore[misc]
        print(f"  {entry['name']:<36} {entry['events_per_second']:>8} events/s  {entry['runs']}")
    print(f"  ratio to web3.py {result['ratio']}")


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _count(dsn: str, query: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()


def _dsn(server: EmbeddedPostgres, name: str) -> str:
    return f"postgresql://fusion_prime@/{name}?host={server.cluster.sockets}"


if __name__ == "__main__":
    main()
