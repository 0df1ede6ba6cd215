"""How late is a 10 ms heartbeat of trio, while two chains are read at full speed in the same process?

python -m benchmarks.ingestion.heartbeat URL... --dsn DSN --last BLOCK    prints JSON when both have come so far
python -m benchmarks.ingestion.heartbeat                                  alone, until its standard input ends
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks.ingestion.arguments import Task
from benchmarks.ingestion.listener import listening, prepare
from benchmarks.ingestion.static_chain import EMITTER
from fusion_daemon.domain.identifiers import ChainId

PERIOD = 0.01
_LOOK_SECONDS = 0.1
_DISTURBANCE = 0.001
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Beat:
    late: float
    """Seconds."""
    undisturbed: bool
    """Since the beat before it, the loop's thread had a core of the machine whenever it wanted one."""


async def beat(beats: list[Beat]) -> None:
    """A beat that is missed is not made up for."""
    following, waited = trio.current_time() + PERIOD, _waited_for_core()
    while True:
        await trio.sleep_until(following)
        now, before, waited = trio.current_time(), waited, _waited_for_core()
        beats.append(Beat(now - following, waited - before < _DISTURBANCE))
        following = max(following + PERIOD, now)


def _waited_for_core() -> float:
    """Seconds that this thread could have run and did not, since other processes did (or, of this one, other
    threads), as the kernel counts them."""
    return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


async def backfill(urls: list[str], dsn: str, last: int, beats: list[Beat]) -> None:
    """Beats from the start of both until the first one is done."""
    tasks = [Task(url, dsn, ChainId(int(url.rpartition("/")[2])), EMITTER, 0, last, 0) for url in urls]
    async with listening(tasks) as listeners, trio.open_nursery() as nursery:
        nursery.start_soon(beat, beats)
        await trio.sleep(_LOOK_SECONDS)
        while all((listener.statistics().tip or 0) < last for listener in listeners):  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(_LOOK_SECONDS)
        nursery.cancel_scope.cancel()


async def alone(beats: list[Beat]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat, beats)
        await trio.to_thread.run_sync(sys.stdin.read)
        await trio.sleep(2 * PERIOD)  # beside short work it has only just begun
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--dsn", default="")
    parser.add_argument("--last", type=int, default=0)
    options = parser.parse_args()
    prepare()
    beats: list[Beat] = []
    if options.urls:
        trio.run(backfill, options.urls, options.dsn, options.last, beats)
    else:
        trio.run(alone, beats)
    print(json.dumps(figures(beats)))


def figures(beats: Sequence[Beat]) -> dict[str, float]:
    late = sorted(each.late for each in beats)
    undisturbed = sorted(each.late for each in beats if each.undisturbed) or late
    return {
        "beats": len(late),
        "lateness_p50_ms": round(statistics.median(late) * 1_000, 2),
        "lateness_p99_ms": round(late[int(len(late) * 0.99)] * 1_000, 2),
        "lateness_worst_ms": round(late[-1] * 1_000, 2),
        "undisturbed_share": round(len(undisturbed) / len(late), 3),
        "undisturbed_lateness_p99_ms": round(undisturbed[int(len(undisturbed) * 0.99)] * 1_000, 2),
    }


if __name__ == "__main__":
    main()
