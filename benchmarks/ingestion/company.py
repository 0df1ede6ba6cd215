"""What listening costs the rest of the daemon: late heartbeats while two chains are read, and ten chains at rest."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks.ingestion.cells import Ground
from benchmarks.ingestion.contenders import LIMIT, OURS, ROOT
from benchmarks.ingestion.databases import new_database
from benchmarks.ingestion.figures import Figures
from benchmarks.ingestion.traffic import served
from benchmarks.ingestion.workload import CHAIN, FINALITY

_HEARTBEAT = [sys.executable, "-m", "benchmarks.ingestion.heartbeat"]
_BUSY_CHAINS = 2


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
