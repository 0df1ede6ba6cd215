"""Ours: the chain listener actor as the daemon runs it, as a process of its own, until it is ended."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
import trio

from actors.chain_listener import ChainListener
from benchmarks.ingestion.arguments import Task, parse_task
from fusion_daemon.aio import open_aio
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.interpreter import prepare_interpreter
from fusion_daemon.runtime import ActorContext, SystemClock, Topic
from fusion_daemon.store import open_store


@asynccontextmanager
async def listening(tasks: Sequence[Task]) -> AsyncIterator[list[ChainListener]]:
    """One running listener a task, each of another chain, all into the first one's database."""
    table = load_event_table()
    async with open_aio() as aio, open_store(aio, tasks[0].dsn) as store:
        async with trio.open_nursery() as nursery:
            listeners = []
            for task in tasks:
                settings = ChainSettings(task.chain, "bench", (task.url,), (task.emitter,), start_block=0)
                topic = Topic[JournalEntry](journal_stream(task.chain), 1_000)
                listener = ChainListener(settings, aio, store, topic, table)
                nursery.start_soon(listener.run, ActorContext(listener.name, SystemClock()))
                listeners.append(listener)
            yield listeners
            nursery.cancel_scope.cancel()


def prepare() -> None:
    """The process, as the daemon prepares its own."""
    structlog.configure(
        processors=[structlog.dev.ConsoleRenderer()], logger_factory=structlog.PrintLoggerFactory(sys.stderr)
    )
    prepare_interpreter()


async def main() -> None:
    async with listening([parse_task()]):
        await trio.sleep_forever()


if __name__ == "__main__":
    prepare()
    trio.run(main)
