"""How fast are a chain's events turned into committed rows? This listener beside its peers, in one run.

    python benchmarks/ingest.py [--json] [--runs 5] [--cells dense,slow] [--peers web3.py,Ponder] [--readme]

Cells, each the prefix of the names of its figures, but for the first:

* dense: 1,000 blocks of 100 events from anvil;
* sparse: 200,000 blocks, one event in 500, from a static node of the benchmark's own;
* slow: the dense one at 20 ms of round trip and 25 requests/s;
* live: a block of 10 events every 250 ms, from its making to its committed rows;
* heartbeat: by how much a 10 ms heartbeat is late while two chains are read in the same process;
* idle: CPU and memory of the whole daemon on ten chains of 2 s blocks on which nothing happens.

Contenders: ours is the chain listener actor as the daemon runs it, with all checks on; the peers install themselves
in pinned versions (benchmarks/ingestion/peers.py) and are left out, with the reason, where they cannot; the limit is
raw `eth_getLogs` and COPY without decoding. Each run is a process of its own with an empty database in one durable
Postgres, from the start of the process to its last committed row; everybody has a turn in each round, and figures are
medians of the rounds. CPU and memory are those of the contender alone, without Postgres and the node.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.ingestion.cells import RACES, Ground, Size
from benchmarks.ingestion.company import heartbeat, idle
from benchmarks.ingestion.contenders import LIMIT, OURS
from benchmarks.ingestion.figures import Figures, compare
from benchmarks.ingestion.live import live
from benchmarks.ingestion.peers import PEERS, available_peers
from benchmarks.ingestion.table import Report, render, write_readme
from fusion_daemon.store import running_postgres

CELLS = {**RACES, "live": live, "heartbeat": heartbeat, "idle": idle}
GOALS = {
    "events_per_second": 20_000.0,
    "times_Ponder": 5.0,
    "times_web3.py": 20.0,
    "times_DipDup": 10.0,
    "live_latency_p99_ms": 300.0,  # one poll interval and 200 ms
    "heartbeat_lateness_p99_ms": 10.0,
    "idle_cpu_share_of_a_core": 0.05,
    "idle_peak_memory_mb": 250.0,
}
"""At least, for rates and ratios; at most, for the others."""


def main() -> None:
    options = _options()
    size = Size(
        options.runs,
        options.events,
        options.blocks,
        options.sparse_blocks,
        options.live_blocks,
        options.idle_seconds,
    )
    peers, missing = available_peers(options.peers)
    cells: dict[str, Mapping[str, Figures]] = {}
    state = Path(tempfile.mkdtemp(prefix="fusion-prime-bench-"))
    try:
        with running_postgres(state) as server:
            ground = Ground(server, size, (OURS, LIMIT, *peers), missing)
            for cell in options.cells:
                cells[cell] = CELLS[cell](ground)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    report = _report(ground, cells)
    if options.readme:
        write_readme(report)
    print(json.dumps(report) if options.json else render(report))


def _report(ground: Ground, cells: Mapping[str, Mapping[str, Figures]]) -> Report:
    told: dict[str, Figures] = {each.name: {} for each in ground.contenders}
    for cell, contenders in cells.items():
        prefix = "" if cell == "dense" else f"{cell}_"
        compared = compare(contenders, OURS.name, LIMIT.name) if cell in RACES else {}
        for name, figures in contenders.items():
            more = compared if name == OURS.name else {}
            told[name] |= {prefix + figure: value for figure, value in {**figures, **more}.items()}
    ours, limit = told.pop(OURS.name), told.pop(LIMIT.name)
    absent = {name: None for name in ground.missing if name not in told}
    return {
        "ours": ours,
        "peers": {**told, **absent},
        "limit": limit,
        "missing": ground.missing,
        "goals": GOALS,
        "cells": {cell: _sentence(cell) for cell in cells},
        "does": {each.name: each.does for each in ground.contenders},
        "machine": {"cores": os.cpu_count()},
        "runs": ground.size.runs,
    }


def _sentence(cell: str) -> str:
    """What this file says of the cell."""
    return str(__doc__).partition(f"* {cell}: ")[2].partition("\n")[0].rstrip(";.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    full = Size()
    parser.add_argument("--json", action="store_true", help="one JSON object on one line instead of tables")
    parser.add_argument("--readme", action="store_true", help="write the tables into benchmarks/README.md")
    parser.add_argument("--runs", type=int, default=full.runs)
    parser.add_argument("--events", type=int, default=full.events, help="of a dense chain")
    parser.add_argument("--blocks", type=int, default=full.blocks, help="of a dense chain")
    parser.add_argument("--sparse-blocks", type=int, default=full.sparse_blocks)
    parser.add_argument("--live-blocks", type=int, default=full.live_blocks)
    parser.add_argument("--idle-seconds", type=float, default=full.idle_seconds)
    parser.add_argument("--cells", type=_Names(tuple(CELLS)), default=tuple(CELLS), help=f"of {','.join(CELLS)}")
    parser.add_argument("--peers", type=_Names(PEERS), default=PEERS, help=f"of {','.join(PEERS)}; '' for none")
    return parser.parse_args()


class _Names:
    """Comma-separated names, each of the known ones."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self._known = known

    def __call__(self, text: str) -> tuple[str, ...]:
        names = tuple(filter(None, text.split(",")))
        unknown = set(names) - set(self._known)
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return names


if __name__ == "__main__":
    main()
