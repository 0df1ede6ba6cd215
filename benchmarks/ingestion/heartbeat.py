"""How late is a 10 ms heartbeat of trio, while two chains are read at full speed in the same process?

python -m benchmarks.ingestion.heartbeat URL... --dsn DSN --last BLOCK    prints JSON when both have come so far
python -m benchmarks.ingestion.heartbeat                                  alone, until its standard input ends
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys

import trio

from benchmarks.ingestion.arguments import Task
from benchmarks.ingestion.listener import listening, prepare
from benchmarks.ingestion.static_chain import EMITTER
from fusion_daemon.domain.identifiers import ChainId

PERIOD = 0.01
_LOOK_SECONDS = 0.1


async def beat(late: list[float]) -> None:
    """Appends by how many seconds each beat is late. A beat that is missed is not made up for."""
    following = trio.current_time() + PERIOD
    while True:
        await trio.sleep_until(following)
        now = trio.current_time()
        late.append(now - following)
        following = max(following + PERIOD, now)


async def backfill(urls: list[str], dsn: str, last: int, late: list[float]) -> None:
    """Beats from the start of both until the first one is done."""
    tasks = [Task(url, dsn, ChainId(int(url.rpartition("/")[2])), EMITTER, 0, last, 0) for url in urls]
    async with listening(tasks) as listeners, trio.open_nursery() as nursery:
        nursery.start_soon(beat, late)
        await trio.sleep(_LOOK_SECONDS)
        while all((listener.statistics().tip or 0) < last for listener in listeners):  # noqa: ASYNC110 - it tells nobody
            await trio.sleep(_LOOK_SECONDS)
        nursery.cancel_scope.cancel()


async def alone(late: list[float]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat, late)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--dsn", default="")
    parser.add_argument("--last", type=int, default=0)
    options = parser.parse_args()
    prepare()
    late: list[float] = []
    if options.urls:
        trio.run(backfill, options.urls, options.dsn, options.last, late)
    else:
        trio.run(alone, late)
    late.sort()
    figures = {
        "lateness_p50_ms": round(statistics.median(late) * 1_000, 2),
        "lateness_p99_ms": round(late[int(len(late) * 0.99)] * 1_000, 2),
        "lateness_worst_ms": round(late[-1] * 1_000, 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
