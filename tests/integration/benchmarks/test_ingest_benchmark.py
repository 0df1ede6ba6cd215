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


def benchmark(*options: str) -> Any:
    told = subprocess.run(
        [sys.executable, "benchmarks/ingest.py", "--json", "--runs", "1", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_all_contenders_of_a_race_tell_the_same_figures() -> None:
    sizes = ["--events", "200", "--blocks", "20", "--sparse-blocks", "1000"]
    report = benchmark(*sizes, "--cells", "dense,sparse,slow", "--peers", "web3.py")
    for told in (report["ours"], report["limit"], report["peers"]["web3.py"]):
        for prefix in ("", "sparse_", "slow_"):
            assert set(told) >= {prefix + figure for figure in FIGURES}
            assert told[f"{prefix}requests"] > 0
    assert {"times_web3.py", "share_of_limit", "sparse_share_of_limit", "slow_times_web3.py"} <= set(report["ours"])
    assert report["missing"] == {}


def test_what_listening_costs_others_is_measured() -> None:
    sizes = ["--events", "200", "--blocks", "20", "--live-blocks", "4", "--idle-seconds", "1"]
    report = benchmark(*sizes, "--cells", "live,heartbeat,idle", "--peers", "")
    assert {"live_latency_p50_ms", "live_latency_p99_ms", "live_poll_interval_ms"} <= set(report["ours"])
    assert "heartbeat_lateness_p99_ms" in set(report["ours"]) & set(report["limit"])
    assert {"idle_cpu_share_of_a_core", "idle_peak_memory_mb", "idle_requests_per_second"} <= set(report["ours"])
    assert report["ours"]["idle_requests_per_second"] > 0
