"""The example of docs/runtime.md, tested as that page says an actor is tested."""

from __future__ import annotations

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from docs.examples.till import Books, Till
from fusion_daemon.runtime import ActorContext, DeadLetters, Mailbox, Overflow, Topic, TrioClock


async def test_a_till_goes_on_where_its_books_stand(autojump_clock: MockClock) -> None:
    clock, books = TrioClock(0.0), Books()
    sales = Topic[int]("sales", 10, clock)
    questions = Mailbox[str, int]("questions", 4, Overflow.FAIL, DeadLetters(clock))
    for total in (7, 14):  # two lives
        books.sell(sales, 3, 4)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Till(sales, questions, books).run, ActorContext("till", clock))
            await wait_all_tasks_blocked()
            assert await questions.ask("total", timeout=60.0) == total
            nursery.cancel_scope.cancel("the test has seen enough of this life")
