"""One contender's run: from the start of its process to its last committed row, as Postgres shows it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import asyncpg

from benchmarks.ingestion.contenders import Contender
from benchmarks.ingestion.databases import ask, connected, new_database
from benchmarks.ingestion.process import ContenderEnded, WatchedProcess
from benchmarks.ingestion.traffic import Traffic, read_traffic
from benchmarks.ingestion.workload import Workload
from fusion_daemon.store import EmbeddedPostgres

_LOOK_SECONDS = 0.02
_USAGE_LOOKS = 5
"""Of the database for one at the process: that one is the dearer look."""


@dataclass(frozen=True, slots=True)
class Run:
    seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    traffic: Traffic | None
    """None: nobody counted."""


def run(server: EmbeddedPostgres, contender: Contender, workload: Workload, patience: float) -> Run:
    """Raises ContenderEnded when it ends or takes longer than `patience` seconds, or stored anything else than every
    event once."""
    with new_database(server) as dsn:
        return asyncio.run(_run(contender, workload, dsn, patience))


async def _run(contender: Contender, workload: Workload, dsn: str, patience: float) -> Run:
    before = None if workload.counter is None else read_traffic(workload.counter)
    async with connected(dsn) as connection:
        start = contender.start(workload, dsn)
        begun = time.perf_counter()
        process = WatchedProcess(start.command, start.directory, start.environment)
        try:
            peak = looks = 0
            while await newest(connection, contender) < workload.last:
                if looks % _USAGE_LOOKS == 0:
                    peak = max(peak, process.usage().memory_bytes)
                    check_runs(contender, process, time.perf_counter() - begun, patience)
                looks += 1
                await asyncio.sleep(_LOOK_SECONDS)
            seconds = time.perf_counter() - begun
            usage = process.usage()
        finally:
            process.stop()
        after = None if before is None or workload.counter is None else read_traffic(workload.counter).since(before)
        stored = await ask(connection, contender.rows)
    if stored != workload.events:
        raise ContenderEnded(f"{contender.name} stored {stored} of {workload.events} events")
    return Run(seconds, usage.cpu_seconds, max(peak, usage.memory_bytes), after)


async def newest(connection: asyncpg.Connection, contender: Contender) -> int:
    """The newest block that it has committed; -1 before the first one."""
    found = await ask(connection, contender.newest)
    return -1 if found is None else int(str(found))


def check_runs(contender: Contender, process: WatchedProcess, seconds: float, patience: float) -> None:
    # One that ended well has committed its last row: the next look at the database finds it.
    if process.ended() and process.wait(0) != 0:
        raise ContenderEnded(f"{contender.name} ended: {process.output()}")
    if seconds > patience:
        raise ContenderEnded(f"{contender.name} took more than {patience:.0f} s: {process.output()}")
