"""The cells in which contenders race for the same events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from benchmarks.ingestion.contenders import LIMIT, OURS, Contender
from benchmarks.ingestion.figures import Figures, Laps, summary
from benchmarks.ingestion.process import ContenderEnded
from benchmarks.ingestion.race import Run, run
from benchmarks.ingestion.static_chain import EMITTER
from benchmarks.ingestion.traffic import served
from benchmarks.ingestion.workload import CHAIN, FINALITY, Workload, seed
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node
from fusion_daemon.store import EmbeddedPostgres

FAR_SECONDS, STRICT_PER_SECOND = 0.02, 25
"""Of the slow cell: a round trip, and the requests that a provider takes."""


SPARSE_EVERY = 500
SPARSE_CHUNK = 2_000
"""Blocks: as many as the listener asks for at most."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of the workloads. The defaults are those of the full figure."""

    runs: int = 5
    events: int = 100_000
    blocks: int = 1_000
    sparse_blocks: int = 200_000
    live_blocks: int = 240
    idle_seconds: float = 60.0
    patience: float = 1_200.0
    """Seconds for one run."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a cell stands on."""

    server: EmbeddedPostgres
    size: Size
    contenders: Sequence[Contender]
    missing: dict[str, str]
    """Peers that cannot take part, in anything or in some cell, and why."""


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


def sparse(ground: Ground) -> Mapping[str, Figures]:
    """A long chain with few events, which the static node serves."""
    size = ground.size
    with _static_chain(size.sparse_blocks, SPARSE_EVERY, 1) as workload:
        laps = _rounds(ground, workload, size.runs)
        return summary(workload, laps, laps)


RACES: Mapping[str, Callable[[Ground], Mapping[str, Figures]]] = {"dense": dense, "sparse": sparse, "slow": slow}


@contextmanager
def _dense_chain(size: Size) -> Iterator[Workload]:
    with anvil(CHAIN) as node, closing(Node(node.url)) as client:
        yield seed(client, size.events, size.blocks)


@contextmanager
def _static_chain(last: int, every: int, events: int) -> Iterator[Workload]:
    options = [f"--blocks={last + FINALITY}", f"--every={every}", f"--events={events}"]
    with served("static_node", options) as origin:
        busy = last // every
        url = f"{origin}/{CHAIN}"
        yield Workload(url, CHAIN, EMITTER, 0, busy * every, events, busy * events, SPARSE_CHUNK, origin)


def _metered(workload: Workload, meter: str) -> Workload:
    return replace(workload, url=meter, counter=meter)


def _rounds(ground: Ground, workload: Workload, runs: int) -> Laps:
    """Everybody has a turn in each round, in another order each time. A peer that fails is left out of the cell."""
    laps: dict[str, list[Run]] = {each.name: [] for each in ground.contenders}
    for lap in range(runs):
        start = lap % len(ground.contenders)
        for contender in [*ground.contenders[start:], *ground.contenders[:start]]:
            if contender.name not in laps:
                continue
            try:
                laps[contender.name].append(run(ground.server, contender, workload, ground.size.patience))
            except ContenderEnded as failed:
                if contender in (OURS, LIMIT):
                    raise
                del laps[contender.name]
                ground.missing[contender.name] = f"{workload.url}: {failed}"
    return laps
