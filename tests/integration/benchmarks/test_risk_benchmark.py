"""Rule: the risk benchmark runs from one command. With few portfolios, whose figures mean nothing: none is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_ours_stands_beside_its_limit() -> None:
    words = ["--json", "--no-peers", "--portfolios", "300", "--scenarios", "100", "--rounds", "2"]
    done = subprocess.run(
        [sys.executable, "benchmarks/risk.py", *words], cwd=ROOT, capture_output=True, timeout=110, check=True
    )
    report = json.loads(done.stdout)
    assert {"milliseconds", "nanoseconds_each", "share_of_limit"} <= set(report["ours"])
    assert report["limit"]["milliseconds"] > 0
    assert (report["peers"], report["missing"]) == ({}, {})
