"""The limit: what this machine does with the same bytes when nothing is checked or decoded.

`eth_getLogs` by aiohttp, one range after the other, orjson, COPY.
"""

from __future__ import annotations

import asyncio

import aiohttp
import asyncpg
import orjson

from benchmarks.ingestion.arguments import Task, parse_task
from fusion_daemon.domain.identifiers import hex_of

TABLE = """
CREATE TABLE raw (
    block_number bigint, log_index int, block_hash bytea, transaction_hash bytea, topics bytea[], data bytea,
    PRIMARY KEY (block_number, log_index))"""
PAUSE = 0.04
"""Seconds until it asks again when it was told that it asks too often."""


async def copy(task: Task) -> None:
    connection = await asyncpg.connect(task.dsn)
    try:
        await connection.execute(TABLE)
        async with aiohttp.ClientSession() as session:
            for first in range(task.first, task.last + 1, task.chunk):
                last = min(first + task.chunk - 1, task.last)
                query = {"address": hex_of(task.emitter), "fromBlock": hex(first), "toBlock": hex(last)}
                rows = [_row(log) for log in await _ask(session, task.url, query)]
                async with connection.transaction():
                    await connection.copy_records_to_table("raw", records=rows)
    finally:
        await connection.close()


async def _ask(session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> list[dict[str, str]]:
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [query]}
    while True:
        async with session.post(url, json=call) as response:
            answer = await response.read()
        if response.status == 200:
            logs: list[dict[str, str]] = orjson.loads(answer)["result"]
            return logs
        await asyncio.sleep(PAUSE)


def _row(log: dict[str, str]) -> tuple[int, int, bytes, bytes, list[bytes], bytes]:
    unhex = bytes.fromhex
    return (
        int(log["blockNumber"], 16),
        int(log["logIndex"], 16),
        unhex(log["blockHash"][2:]),
        unhex(log["transactionHash"][2:]),
        [unhex(topic[2:]) for topic in log["topics"]],
        unhex(log["data"][2:]),
    )


if __name__ == "__main__":
    asyncio.run(copy(parse_task()))
