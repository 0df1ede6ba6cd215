"""Rule: the ingestion benchmark runs from one command, and says the same figures of everybody who takes part.

With few events, and without the peers that have to be installed; what it measures is nobody's business here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
FIGURES = {"events_per_second", "seconds", "cpu_seconds", "peak_memory_mb", "requests", "calls", "megabytes"}


def benchmark(*options: str) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, "benchmarks/ingest.py", "--json", "--runs", "1", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    report: dict[str, Any] = json.loads(told.stdout)
    return report


def test_contenders_of_a_dense_chain_tell_the_same_figures() -> None:
    report = benchmark("--events", "200", "--blocks", "20", "--cells", "dense", "--peers", "web3.py")
    for told in (report["ours"], report["limit"], report["peers"]["web3.py"]):
        assert set(told) >= FIGURES
        assert told["requests"] > 0
    assert set(report["ours"]) >= {"times_web3.py", "share_of_limit"}
