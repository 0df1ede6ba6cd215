"""From runs to the figures that are reported: medians, spreads, ratios."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.ingestion.race import Run
from benchmarks.ingestion.workload import Workload

Figures = dict[str, float]
Laps = Mapping[str, Sequence[Run]]
"""Of every contender, by name."""


def summary(workload: Workload, laps: Laps, counted: Laps) -> dict[str, Figures]:
    """By contender's name. `counted`: the laps whose traffic was counted."""
    return {name: _race(workload, runs) | _traffic(counted[name]) for name, runs in laps.items() if name in counted}


def _race(workload: Workload, runs: Sequence[Run]) -> Figures:
    rates = [workload.events / each.seconds for each in runs]
    seconds = statistics.median(each.seconds for each in runs)
    return {
        "events_per_second": round(statistics.median(rates), 1),
        "events_per_second_least": round(min(rates), 1),
        "events_per_second_most": round(max(rates), 1),
        "blocks_per_second": round((workload.last - workload.first + 1) / seconds, 1),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(statistics.median(each.cpu_seconds for each in runs), 2),
        "peak_memory_mb": round(statistics.median(each.peak_memory_bytes for each in runs) / 1e6, 1),
    }


def _traffic(runs: Sequence[Run]) -> Figures:
    counts = [each.traffic for each in runs if each.traffic is not None]
    return {
        "requests": statistics.median(each.requests for each in counts),
        "calls": statistics.median(each.calls for each in counts),
        "megabytes": round(statistics.median(each.received_bytes + each.sent_bytes for each in counts) / 1e6, 2),
        "refused": statistics.median(each.refused for each in counts),
    }


def compare(cell: Mapping[str, Figures], ours: str, limit: str) -> Figures:
    """Ours over each of the others, and as a share of the limit."""
    mine = cell[ours]["events_per_second"]
    others = {name: told["events_per_second"] for name, told in cell.items() if name not in (ours, limit)}
    ratios = {f"times_{name}": round(mine / rate, 2) for name, rate in others.items()}
    return {**ratios, "share_of_limit": round(mine / cell[limit]["events_per_second"], 3)}
