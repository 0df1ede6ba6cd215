"""Rule: the ingestion benchmark runs from one command, and tells the same figures of everybody who takes part.

With few events, and without the peers that have to be installed. What it measures here means nothing, so no figure is
judged; that every contender stored each event once, the benchmark itself checks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FIGURES = {
    "events_per_second",
    "blocks_per_second",
    "seconds",
    "cpu_seconds",
    "peak_memory_mb",
    "requests",
    "calls",
    "megabytes",
}


def benchmark(cell: str, *options: str) -> Any:
    told = subprocess.run(
        [sys.executable, "benchmarks/ingest.py", "--json", "--runs", "1", "--cells", cell, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


@pytest.mark.parametrize("cell", ["dense", "sparse", "slow"])
def test_all_contenders_of_a_race_tell_the_same_figures(cell: str) -> None:
    report = benchmark(cell, "--events", "200", "--blocks", "20", "--sparse-blocks", "1000", "--peers", "web3.py")
    prefix = "" if cell == "dense" else f"{cell}_"
    for told in (report["ours"], report["limit"], report["peers"]["web3.py"]):
        assert set(told) >= {prefix + figure for figure in FIGURES}
        assert told[f"{prefix}requests"] > 0
    assert {f"{prefix}times_web3.py", f"{prefix}share_of_limit"} <= set(report["ours"])
    assert report["missing"] == {}


def test_a_live_chain_has_latencies_beside_the_poll_interval() -> None:
    report = benchmark("live", "--live-blocks", "4", "--peers", "")
    assert {"live_latency_p50_ms", "live_latency_p99_ms", "live_poll_interval_ms"} <= set(report["ours"])


def test_a_heartbeat_is_late_beside_backfills_and_alone() -> None:
    report = benchmark("heartbeat", "--events", "200", "--blocks", "20", "--peers", "")
    assert "heartbeat_lateness_p99_ms" in set(report["ours"]) & set(report["limit"])


def test_a_daemon_at_rest_asks_and_is_weighed() -> None:
    report = benchmark("idle", "--idle-seconds", "1", "--peers", "")
    assert report["ours"]["idle_requests_per_second"] > 0
    assert {"idle_cpu_share_of_a_core", "idle_peak_memory_mb"} <= set(report["ours"])
