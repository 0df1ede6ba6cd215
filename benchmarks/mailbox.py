"""How many messages do 8 producers get through to one consumer with an async handler, and who waits meanwhile?

    python benchmarks/mailbox.py [--messages 160000] [--rounds 7] [--json]

* ours: `Mailbox.tell` and `Mailbox.serve`, blocking at 4,096 queued messages;
* peers: a trio memory channel and an `asyncio.Queue` of the same size, and Pykka (threads, an unbounded queue);
* limit: a bare deque in a loop, with the same handler: what calling it costs at all;
* times_trio_channel: ours over the trio channel of the same round; times_trio_channel_processor: the same in
  processor time, which does not depend on what else the machine does;
* longest_starvation_ms: the longest pause between two turns of another task that wants every turn, in runs of their
  own; longest_starvation_processor_ms: the same in the thread's own processor time, without what other processes took.

Everybody has a turn in each round, and each figure is the median of the rounds; of a starvation, the longest.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from fusion_daemon.runtime import Block, DeadLetters, Mailbox, SystemClock

WITH_PYKKA = importlib.util.find_spec("pykka") is not None
PRODUCERS = 8
CAPACITY = 4_096
PATIENCE = 60.0

Figures = dict[str, float]


@dataclass(slots=True)
class Probe:
    """Another task: notes the longest pause between two of its turns, in seconds."""

    wall: float = 0.0
    processor: float = 0.0
    _last: tuple[float, float] = field(default=(0.0, 0.0))

    def begin(self) -> None:
        self._last = time.perf_counter(), time.thread_time()

    def turn(self) -> None:
        wall, processor = time.perf_counter(), time.thread_time()
        self.wall = max(self.wall, wall - self._last[0])
        self.processor = max(self.processor, processor - self._last[1])
        self._last = wall, processor


class Count:
    """The handler's work."""

    __slots__ = ("done", "left")

    def __init__(self, messages: int, done: Callable[[], object]) -> None:
        self.left = messages
        self.done = done

    async def handle(self, _message: int) -> None:
        self.left -= 1
        if not self.left:
            self.done()


async def ours(messages: int, probe: Probe | None) -> None:
    box = Mailbox[int, None]("fan_in", CAPACITY, Block(PATIENCE), DeadLetters(SystemClock()))

    async def produce() -> None:
        for number in range(messages // PRODUCERS):
            await box.tell(number)

    async with trio.open_nursery() as nursery:
        count = Count(messages, nursery.cancel_scope.cancel)
        nursery.start_soon(box.serve, count.handle)
        for _ in range(PRODUCERS):
            nursery.start_soon(produce)
        if probe is not None:
            nursery.start_soon(_look, probe)
    _check(count)


async def trio_channel(messages: int, probe: Probe | None) -> None:
    send, receive = trio.open_memory_channel[int](CAPACITY)

    async def produce() -> None:
        for number in range(messages // PRODUCERS):
            await send.send(number)

    async def consume() -> None:
        async for number in receive:
            await count.handle(number)

    async with trio.open_nursery() as nursery:
        count = Count(messages, nursery.cancel_scope.cancel)
        nursery.start_soon(consume)
        for _ in range(PRODUCERS):
            nursery.start_soon(produce)
        if probe is not None:
            nursery.start_soon(_look, probe)
    _check(count)


async def _look(probe: Probe) -> None:
    probe.begin()
    while True:
        await trio.lowlevel.checkpoint()
        probe.turn()


async def asyncio_queue(messages: int, probe: Probe | None) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(CAPACITY)
    over = asyncio.Event()
    count = Count(messages, over.set)

    async def produce() -> None:
        for number in range(messages // PRODUCERS):
            await queue.put(number)

    async def consume() -> None:
        while True:
            await count.handle(await queue.get())

    async def look(probe: Probe) -> None:
        probe.begin()
        while True:
            await asyncio.sleep(0)
            probe.turn()

    tasks = [asyncio.create_task(consume()), *(asyncio.create_task(produce()) for _ in range(PRODUCERS))]
    if probe is not None:
        tasks.append(asyncio.create_task(look(probe)))
    await over.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    _check(count)


async def bare_deque(messages: int) -> None:
    waiting: deque[int] = deque()
    count = Count(messages, lambda: None)
    for first in range(0, messages, CAPACITY):
        for number in range(first, min(first + CAPACITY, messages)):
            waiting.append(number)
        while waiting:
            await count.handle(waiting.popleft())
    _check(count)


def pykka_actor(messages: int) -> None:
    import pykka

    over = threading.Event()

    class Consumer(pykka.ThreadingActor):
        left = messages

        def on_receive(self, message: object) -> None:
            self.left -= 1
            if not self.left:
                over.set()

    actor = Consumer.start()

    def produce() -> None:
        for number in range(messages // PRODUCERS):
            actor.tell(number)

    threads = [threading.Thread(target=produce) for _ in range(PRODUCERS)]
    for thread in threads:
        thread.start()
    over.wait()
    for thread in threads:
        thread.join()
    actor.stop()


def _check(count: Count) -> None:
    if count.left:
        raise RuntimeError(f"{count.left} messages were not handled")


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages per second of the clock, and of processor time."""

    wall: float
    processor: float


def _rate(messages: int, run: Callable[[], object]) -> Rate:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Rate(messages / (time.perf_counter() - wall), messages / (time.process_time() - processor))


def measure(messages: int, rounds: int) -> tuple[dict[str, Figures], Figures]:
    """By runner; and the limit."""
    messages -= messages % PRODUCERS
    few = messages // 4 - messages // 4 % PRODUCERS
    runs: dict[str, Callable[[], Rate]] = {
        "ours": lambda: _rate(messages, lambda: trio.run(ours, messages, None)),
        "trio_channel": lambda: _rate(few, lambda: trio.run(trio_channel, few, None)),
        "asyncio_queue": lambda: _rate(messages, lambda: asyncio.run(asyncio_queue(messages, None))),
        "limit": lambda: _rate(messages, lambda: trio.run(bare_deque, messages)),
    }
    if WITH_PYKKA:
        runs["pykka"] = lambda: _rate(few, lambda: pykka_actor(few))
    probes = {name: Probe() for name in ("ours", "trio_channel", "asyncio_queue")}
    rates: dict[str, list[Rate]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            rates[name].append(run())
        trio.run(ours, messages, probes["ours"])
        trio.run(trio_channel, few, probes["trio_channel"])
        asyncio.run(asyncio_queue(messages, probes["asyncio_queue"]))
    figures = {
        name: {"messages_per_second": statistics.median(each.wall for each in seen)} for name, seen in rates.items()
    }
    for name, probe in probes.items():
        figures[name]["longest_starvation_ms"] = probe.wall * 1_000
        figures[name]["longest_starvation_processor_ms"] = probe.processor * 1_000
    pairs = list(zip(rates["ours"], rates["trio_channel"], strict=True))
    figures["ours"] |= {
        "times_trio_channel": statistics.median(mine.wall / theirs.wall for mine, theirs in pairs),
        "times_trio_channel_processor": statistics.median(mine.processor / theirs.processor for mine, theirs in pairs),
    }
    return figures, figures.pop("limit")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=160_000, help="in one round; slower peers get a quarter")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    if not WITH_PYKKA:
        print("pykka is not installed (it is in the dev group): that peer is missing", file=sys.stderr)
    figures, limit = measure(options.messages, options.rounds)
    rounded = {name: {key: round(value, 3) for key, value in told.items()} for name, told in figures.items()}
    mine = rounded.pop("ours")
    limit = {key: round(value, 3) for key, value in limit.items()}
    if options.json:
        print(json.dumps({"ours": mine, "peers": rounded, "limit": limit}))
        return
    for name, told in {"ours": mine, **rounded, "limit": limit}.items():
        for key, value in told.items():
            print(f"{name:14} {key:32} {value:14,.2f}")


if __name__ == "__main__":
    main()
