"""How long do VaR and ES of very many portfolios take? Our batch beside loops of other libraries, in one run.

    python benchmarks/risk.py [--json] [--portfolios 10000] [--assets 50] [--scenarios 1000] [--rounds 15] [--no-peers]

Double precision, one core, one BLAS thread, CPU time of the quickest round; each contender is a process of its own. The
limit is the same blocks multiplied and partitioned and nothing else. Peers get the losses from one product and loop
over portfolios; they live in the locked environment of the oracles (1.4 GB, made by the first run) and are left out,
with the reason, where that cannot be made. That ours and riskfolio-lib agree on the figures is checked; QuantLib's ES
and both of empyrical's follow other conventions.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.own_environment import ROOT, NotMade, own_environment

PEERS = ("QuantLib", "riskfolio-lib", "empyrical-reloaded")
SAME_CONVENTIONS = "riskfolio-lib"
PEER_ROUNDS = 3
GOAL = 0.9

Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--portfolios", type=int, default=10_000)
    parser.add_argument("--assets", type=int, default=50)
    parser.add_argument("--scenarios", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="ours and the limit alone")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    size = [options.portfolios, options.assets, options.scenarios]
    ours = measured(Path(sys.executable), "benchmarks.batch_var.ours", *size, options.rounds)
    peers, missing = measured_peers(size) if options.peers else ({}, {})
    report = reported(ours, peers, math.prod((options.portfolios, options.scenarios))) | {"missing": missing}
    print(json.dumps(report, indent=None if options.json else 2))


def measured_peers(size: Sequence[int]) -> tuple[dict[str, Figures], dict[str, str]]:
    """Those that can run here, and why the others cannot."""
    try:
        python = own_environment("oracles") / "python"
    except NotMade as why:
        return {}, dict.fromkeys(PEERS, str(why))
    return {name: measured(python, "benchmarks.batch_var.peers", name, *size, PEER_ROUNDS) for name in PEERS}, {}


def measured(python: Path, program: str, *words: object) -> Figures:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1"}
    command = [str(python), "-W", "ignore", "-m", program, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def reported(ours: Figures, peers: dict[str, Figures], cells: int) -> dict[str, object]:
    limit = ours["product_seconds"] + ours["partition_seconds"]
    if SAME_CONVENTIONS in peers:
        for figure in ("var_sum", "es_sum"):
            if not math.isclose(ours[figure], peers[SAME_CONVENTIONS][figure], rel_tol=1e-12):
                raise SystemExit(f"{figure}: ours {ours[figure]}, {SAME_CONVENTIONS} {peers[SAME_CONVENTIONS][figure]}")

    def times(seconds: float) -> Figures:
        return {"milliseconds": round(seconds * 1e3, 2), "nanoseconds_each": round(seconds / cells * 1e9, 3)}

    told: Figures = times(ours["seconds"]) | {"memory_mb": round(ours["memory_mb"], 1)}
    told |= {f"times_{name}": round(each["seconds"] / ours["seconds"], 1) for name, each in peers.items()}
    share = limit / ours["seconds"]
    parts = {name: round(ours[f"{name}_seconds"] * 1e3, 2) for name in ("product", "partition")}
    return {
        "ours": told | {"share_of_limit": round(share, 3)},
        "peers": {name: times(each["seconds"]) for name, each in peers.items()},
        "limit": times(limit) | {f"{name}_milliseconds": each for name, each in parts.items()},
        "goal_met": share >= GOAL,
    }


if __name__ == "__main__":
    main()
