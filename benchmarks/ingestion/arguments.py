"""What a contender written in Python is told on its command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from benchmarks.ingestion.workload import Workload
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of, parse_address


@dataclass(frozen=True, slots=True)
class Task:
    url: str
    dsn: str
    chain: ChainId
    emitter: Address
    first: int
    last: int
    chunk: int


def command_line(workload: Workload, dsn: str) -> list[str]:
    return [
        *("--url", workload.url, "--dsn", dsn, "--chain", str(workload.chain), "--emitter", hex_of(workload.emitter)),
        *("--first", str(workload.first), "--last", str(workload.last), "--chunk", str(workload.chunk)),
    ]


def parse_task() -> Task:
    parser = argparse.ArgumentParser()
    for name in ("url", "dsn", "emitter"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("chain", "first", "last", "chunk"):
        parser.add_argument(f"--{name}", type=int, required=True)
    told = parser.parse_args()
    emitter = parse_address(told.emitter)
    return Task(told.url, told.dsn, ChainId(told.chain), emitter, told.first, told.last, told.chunk)
