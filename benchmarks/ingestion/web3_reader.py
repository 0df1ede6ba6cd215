"""web3.py as its documentation shows it: `get_logs` by chunks, `executemany`, one transaction per chunk.

No headers, no checks, no positions: less work than ours.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
from web3 import HTTPProvider, Web3

from benchmarks.ingestion.arguments import Task, parse_task

TABLE = """
CREATE TABLE events (
    block_number bigint, log_index int, block_hash bytea, transaction_hash bytea, address bytea,
    account bytea, token bytea, amount numeric(78, 0), balance numeric(78, 0),
    PRIMARY KEY (block_number, log_index))"""
INSERT = "INSERT INTO events VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"
ARTIFACT = Path(__file__).parents[2] / "contracts/artifacts/EventEmitter.json"


async def read(task: Task) -> None:
    w3 = Web3(HTTPProvider(task.url))
    abi = json.loads(ARTIFACT.read_bytes())["abi"]
    contract = w3.eth.contract(address=Web3.to_checksum_address(task.emitter), abi=abi)
    connection = await asyncpg.connect(task.dsn)
    try:
        await connection.execute(TABLE)
        for first in range(task.first, task.last + 1, task.chunk):
            last = min(first + task.chunk - 1, task.last)
            found = contract.events.CollateralDeposited.get_logs(from_block=first, to_block=last)
            rows = [
                (
                    event["blockNumber"],
                    event["logIndex"],
                    bytes(event["blockHash"]),
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
                await connection.executemany(INSERT, rows)
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(read(parse_task()))
