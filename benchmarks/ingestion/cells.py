"""The cells in which contenders race for the same events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from benchmarks.ingestion.contenders import Contender
from benchmarks.ingestion.figures import Figures, Laps, summary
from benchmarks.ingestion.race import Run, run
from benchmarks.ingestion.traffic import served
from benchmarks.ingestion.workload import CHAIN, Workload, seed
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node
from fusion_daemon.store import EmbeddedPostgres

FAR_SECONDS, STRICT_PER_SECOND = 0.02, 25
"""Of the slow cell: a round trip, and the requests that a provider takes."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of the workloads. The defaults are those of the full figure."""

    runs: int = 5
    events: int = 100_000
    blocks: int = 1_000
    sparse_blocks: int = 200_000
    patience: float = 1_200.0
    """Seconds for one run."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a cell stands on."""

    server: EmbeddedPostgres
    size: Size
    contenders: Sequence[Contender]


def dense(ground: Ground) -> Mapping[str, Figures]:
    """From anvil, as fast as it answers. Requests are counted in a round of their own, through a proxy that would
    slow the others."""
    size = ground.size
    with _dense_chain(size) as workload, served("meter", [workload.url]) as meter:
        counted = _rounds(ground, _metered(workload, meter), 1)
        return summary(workload, _rounds(ground, workload, size.runs), counted)


def slow(ground: Ground) -> Mapping[str, Figures]:
    """The same events from far away, at few requests a second."""
    size = ground.size
    with _dense_chain(size) as workload:
        options = [workload.url, "--delay", str(FAR_SECONDS), "--per-second", str(STRICT_PER_SECOND)]
        with served("meter", options) as meter:
            laps = _rounds(ground, _metered(workload, meter), size.runs)
            return summary(workload, laps, laps)


RACES: Mapping[str, Callable[[Ground], Mapping[str, Figures]]] = {"dense": dense, "slow": slow}


@contextmanager
def _dense_chain(size: Size) -> Iterator[Workload]:
    with anvil(CHAIN) as node, closing(Node(node.url)) as client:
        yield seed(client, size.events, size.blocks)


def _metered(workload: Workload, meter: str) -> Workload:
    return replace(workload, url=meter, counter=meter)


def _rounds(ground: Ground, workload: Workload, runs: int) -> Laps:
    """Everybody has a turn in each round, in another order each time."""
    laps: dict[str, list[Run]] = {each.name: [] for each in ground.contenders}
    for lap in range(runs):
        start = lap % len(ground.contenders)
        for contender in [*ground.contenders[start:], *ground.contenders[:start]]:
            laps[contender.name].append(run(ground.server, contender, workload, ground.size.patience))
    return laps
