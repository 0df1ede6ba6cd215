"""A mailbox under a supervised actor: it outlives its server's lives, and one bad message does not end them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ChildSpec,
    Overflow,
    Reason,
    Supervisor,
    SupervisorSpec,
    TargetDied,
    TrioClock,
)
from tests.unit.runtime.post import Boom, Post
from tests.unit.runtime.troupe import AT_ONCE, GENEROUS, QUIET

POISON, STUCK = 13, 17


class Clerk(Actor):
    """Notes each message; dies of POISON, and will not stop over STUCK until it is let go."""

    name = "clerk"

    def __init__(self, post: Post, notes: list[tuple[int, int]], let_go: trio.Event, life: int) -> None:
        self._post = post
        self._notes = notes
        self._let_go = let_go
        self._life = life

    async def run(self, context: ActorContext) -> None:
        context.started()
        await self._post.box.serve(self._note)

    async def _note(self, message: int) -> str:
        self._notes.append((self._life, message))
        if message == POISON:
            raise Boom("poisoned")
        if message == STUCK and self._life == 1:
            with trio.CancelScope(shield=True):
                await self._let_go.wait()
        return str(message)


class Office:
    """A clerk under a supervisor."""

    def __init__(self) -> None:
        self.post = Post(Overflow.FAIL, capacity=10)
        self.notes: list[tuple[int, int]] = []
        self.let_go = trio.Event()
        self._lives = 0

    def build(self) -> Actor:
        self._lives += 1
        return Clerk(self.post, self.notes, self.let_go, self._lives)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Supervisor]:
        spec = SupervisorSpec((ChildSpec("clerk", self.build, backoff=AT_ONCE),), intensity=GENEROUS)
        supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(7), log=QUIET)
        async with trio.open_nursery() as nursery:
            await nursery.start(_run, supervisor)
            yield supervisor
            await supervisor.stop()
        self.post.check()


async def _run(supervisor: Supervisor, task_status: trio.TaskStatus[None]) -> None:
    await supervisor.run(task_status=task_status)


async def test_poison_costs_two_lives_and_no_other_message(autojump_clock: MockClock) -> None:
    office = Office()
    async with office.open() as supervisor:
        for message in (1, POISON, 2):
            await office.post.box.tell(message)
        await wait_all_tasks_blocked()
        assert office.notes == [(1, 1), (1, POISON), (2, POISON), (3, 2)]
        assert supervisor.find("clerk").restarts == 2
        (poison,) = office.post.isolation.kept
        assert "Boom: poisoned" in poison.traceback
        assert await office.post.box.ask(3, 1.0) == "3"


async def test_a_life_that_would_not_stop_loses_its_mailbox_to_the_next(autojump_clock: MockClock) -> None:
    # The operator restarts a clerk that is stuck over a told message: 5 s later it is a zombie, and its successor
    # handles that message too.
    office = Office()
    async with office.open() as supervisor:
        await office.post.box.tell(STUCK)
        await wait_all_tasks_blocked()
        supervisor.restart("clerk")
        await trio.sleep(6.0)
        assert len(supervisor.zombies()) == 1
        assert office.notes == [(1, STUCK), (2, STUCK)]
        assert await office.post.box.ask(1, 1.0) == "1"
        office.let_go.set()
        await wait_all_tasks_blocked()
        assert supervisor.zombies() == ()
        assert office.post.box.statistics().handled == 2, "what the zombie did at last does not count"


async def test_asks_fail_while_nobody_lives_and_tells_wait(autojump_clock: MockClock) -> None:
    office = Office()
    async with office.open() as supervisor:
        await supervisor.stop_child("clerk")
        with pytest.raises(TargetDied):
            await office.post.box.ask(1, 60.0)
        await office.post.box.tell(2)
        supervisor.restart("clerk")
        await wait_all_tasks_blocked()
        assert office.notes == [(2, 2)]
        assert office.post.why() == {Reason.NO_SERVER: 1}
