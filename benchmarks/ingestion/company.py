"""What listening costs the rest of the daemon: late heartbeats while two chains are read, and ten chains at rest."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.ingestion.cells import Ground
from benchmarks.ingestion.contenders import LIMIT, OURS, ROOT
from benchmarks.ingestion.databases import ask, connected, new_database
from benchmarks.ingestion.figures import Figures
from benchmarks.ingestion.process import ContenderEnded, WatchedProcess
from benchmarks.ingestion.static_chain import EMITTER
from benchmarks.ingestion.traffic import read_traffic, served
from benchmarks.ingestion.workload import CHAIN, FINALITY
from fusion_daemon.domain.identifiers import hex_of

_HEARTBEAT = [sys.executable, "-m", "benchmarks.ingestion.heartbeat"]
_BUSY_CHAINS = 2
_IDLE_CHAINS, _IDLE_BLOCKS = 10, 100
_LOOK_SECONDS = 0.1
_SETTLING_SECONDS = 10.0
_AT_HEAD = f"SELECT count(*) FROM chain_state WHERE tip_number >= {_IDLE_BLOCKS}"


def heartbeat(ground: Ground) -> Mapping[str, Figures]:
    """The limit is the same heartbeat at the same time in a process of its own, in which nothing else happens: what
    the machine alone makes late."""
    rounds = [_beats(ground) for _ in range(ground.size.runs)]
    return {name: _medians([each[name] for each in rounds]) for name in (OURS.name, LIMIT.name)}


def _medians(rounds: Sequence[Figures]) -> Figures:
    return {figure: statistics.median(each[figure] for each in rounds) for figure in rounds[0]}


def _beats(ground: Ground) -> Mapping[str, Figures]:
    size = ground.size
    last = size.blocks
    options = [f"--blocks={last + FINALITY}", f"--events={size.events // size.blocks}", f"--chains={_BUSY_CHAINS}"]
    with served("static_node", options) as origin, new_database(ground.server) as dsn:
        urls = [f"{origin}/{CHAIN + number}" for number in range(_BUSY_CHAINS)]
        with subprocess.Popen(
            _HEARTBEAT, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as bystander:
            told = subprocess.run(
                [*_HEARTBEAT, *urls, "--dsn", dsn, "--last", str(last)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                timeout=size.patience,
                check=True,
            )
            alone, _ = bystander.communicate("")
    return {OURS.name: json.loads(told.stdout), LIMIT.name: json.loads(alone)}


def idle(ground: Ground) -> Mapping[str, Figures]:
    """The whole daemon on ten chains of 2 s blocks on which nothing happens. Without Postgres, the node, and the work
    of its first seconds."""
    options = [f"--blocks={_IDLE_BLOCKS}", f"--chains={_IDLE_CHAINS}", "--live"]
    with (
        served("static_node", options) as origin,
        new_database(ground.server) as dsn,
        tempfile.TemporaryDirectory(prefix="fusion-prime-bench-") as state,
    ):
        config = Path(state) / "config.toml"
        config.write_text(_configuration(Path(state), dsn, origin))
        daemon = WatchedProcess([sys.executable, "-m", "fusion_daemon", "run", "--config", str(config)], ROOT, {})
        try:
            asyncio.run(_await_heads(daemon, dsn, ground.size.patience))
            return {OURS.name: _rest(daemon, origin, ground.size.idle_seconds)}
        finally:
            daemon.stop()


async def _await_heads(daemon: WatchedProcess, dsn: str, patience: float) -> None:
    end = time.monotonic() + patience
    async with connected(dsn) as connection:
        while await ask(connection, _AT_HEAD) != _IDLE_CHAINS:
            if daemon.ended() or time.monotonic() > end:
                raise ContenderEnded(f"The daemon did not reach the heads: {daemon.output()}")
            await asyncio.sleep(_LOOK_SECONDS)


def _rest(daemon: WatchedProcess, origin: str, seconds: float) -> Figures:
    time.sleep(min(seconds, _SETTLING_SECONDS))
    before, asked, begun = daemon.usage(), read_traffic(origin), time.perf_counter()
    peak = before.memory_bytes
    while (passed := time.perf_counter() - begun) < seconds:
        time.sleep(_LOOK_SECONDS)
        peak = max(peak, daemon.usage().memory_bytes)
    if daemon.ended():
        raise ContenderEnded(f"The daemon ended: {daemon.output()}")
    traffic = read_traffic(origin).since(asked)
    return {
        "cpu_share_of_a_core": round((daemon.usage().cpu_seconds - before.cpu_seconds) / passed, 4),
        "peak_memory_mb": round(peak / 1e6, 1),
        "requests_per_second": round(traffic.requests / passed, 2),
        "kilobytes_per_second": round((traffic.received_bytes + traffic.sent_bytes) / passed / 1e3, 2),
    }


def _configuration(state: Path, dsn: str, origin: str) -> str:
    """The least that runs, on as many chains."""
    head = f"""
[daemon]
instance = "bench"
state_directory = "{state}"

[database]
dsn = "{dsn}"

[http]
port = 0
metrics_port = 0
"""
    chains = (
        f"""
[[chains]]
id = {chain}
name = "idle-{chain}"
rpc_urls = ["{origin}/{chain}"]
start_block = 0
vaults = ["{hex_of(EMITTER)}"]
"""
        for chain in range(CHAIN, CHAIN + _IDLE_CHAINS)
    )
    return head + "".join(chains)
