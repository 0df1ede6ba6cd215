"""A till that adds up sales, outlives a question that kills it twice, and answers all the while.

    python docs/examples/till.py

docs/runtime.md shows the class and the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from random import Random

import structlog
import trio
from structlog.typing import EventDict

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    Backoff,
    Bell,
    ChildSpec,
    DeadLetters,
    Mailbox,
    Overflow,
    Reason,
    Supervisor,
    SupervisorSpec,
    SystemClock,
    TargetDied,
    Topic,
)


def one_line(_: object, __: str, event: EventDict) -> str:
    """What the tree tells, without the traceback."""
    shown = [f"{key}={event[key]!r}" for key in ("life", "failures", "error") if key in event]
    return " ".join(["log:", event["event"], *shown])


LOG = structlog.wrap_logger(structlog.PrintLogger(), processors=[one_line])


class Books:
    """Stands for the database: what is written here is committed, and outlives every life of the till."""

    def __init__(self) -> None:
        self.sales: list[int] = []
        self.position = self.total = 0

    async def read(self, after: int, limit: int) -> Sequence[int]:
        """The sales numbered after+1, after+2 …"""
        return self.sales[after : after + limit]

    def sell(self, topic: Topic[int], *amounts: int) -> None:
        """The stream's one writer: commit first, then publish."""
        first = len(self.sales) + 1
        self.sales.extend(amounts)
        topic.publish(first, amounts)


class Till(Actor):
    name = "till"

    def __init__(self, sales: Topic[int], questions: Mailbox[str, int], books: Books) -> None:
        self.sales, self.questions, self.books = sales, questions, books

    async def run(self, context: ActorContext) -> None:
        bell = Bell()
        sales = self.sales.subscribe(self.name, self.books.position, self.books.read, bell)
        with closing(sales), self.questions.attended(bell) as desk:
            context.started()
            while True:
                await bell.wait()
                await context.gate()
                if sales.ready:
                    self.book(await sales.take(100), sales.position)
                if sales.ready:
                    bell.ring()
                await desk.drain(self.answer)

    def book(self, amounts: Sequence[int], position: int) -> None:
        """One transaction in a real store: the effect, and how far it has read."""
        self.books.total += sum(amounts)
        self.books.position = position

    async def answer(self, question: str) -> int:
        if question != "total":
            raise ValueError(f"what is {question!r}?")
        return self.books.total


async def ask_total(questions: Mailbox[str, int]) -> int:
    """Until somebody answers: while the till is down, an ask fails at once."""
    while True:
        try:
            return await questions.ask("total", timeout=1.0)
        except TargetDied:
            await trio.sleep(0.01)


async def main() -> None:
    clock, books = SystemClock(), Books()
    dead_letters = DeadLetters(clock)
    sales = Topic[int]("sales", capacity=1_000, clock=clock)
    questions = Mailbox[str, int]("questions", 16, Overflow.FAIL, dead_letters)
    till = ChildSpec("till", lambda: Till(sales, questions, books), backoff=Backoff(initial=0.02, maximum=0.1))
    supervisor = Supervisor("shop", SupervisorSpec((till,)), clock=clock, random=Random(1), log=LOG)

    books.sell(sales, 3, 4, 5)  # before it opens: it reads them from the books
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)
        print("total:", await ask_total(questions))
        books.sell(sales, 6)
        print("total:", await ask_total(questions))
        await questions.tell("jam")
        print("total:", await ask_total(questions))
        print("restarts:", supervisor.find("till").restarts)
        print("set aside:", dead_letters.statistics().counts["questions", Reason.QUARANTINED])
        report = await supervisor.stop()
        print("stopped:", [departure.name for departure in report.departures], "clean:", report.clean)


if __name__ == "__main__":
    trio.run(main)
