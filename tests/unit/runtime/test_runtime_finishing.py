"""What an actor needs to drain: waits that end when it begins, a mailbox that is handled to its end, and a report that
says who left how, and why."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    Bell,
    ChildSpec,
    DeadLetters,
    Mailbox,
    Overflow,
    StopReport,
    SystemClock,
    TargetDied,
    TrioClock,
)
from tests.unit.runtime.troupe import AT_ONCE, Troupe, one_for_one

LETTERS = 100_000
HANDLING = 40e-6
"""Seconds of virtual time that one letter takes."""


class Clerk(Actor):
    """Serves a mailbox, and when it is asked to finish, first what is in it."""

    name = "clerk"

    def __init__(self, box: Mailbox[int, None]) -> None:
        self._box = box
        self.handled: list[int] = []

    async def run(self, context: ActorContext) -> None:
        bell = Bell()
        with self._box.attended(bell) as desk:
            context.started()
            while not context.draining.is_set():
                await context.rest(math.inf, bell)
                if not context.draining.is_set():
                    await desk.drain(self._handle)
            await desk.finish(self._handle)

    async def _handle(self, letter: int) -> None:
        self.handled.append(letter)
        if not letter % 1_000:
            await trio.sleep(1_000 * HANDLING)


@pytest.mark.parametrize("drain", [5.0, 2.0])
async def test_a_hundred_thousand_letters_are_handled_within_the_budget_or_wait(
    autojump_clock: MockClock, drain: float
) -> None:
    """Told, then stopped: 4 s of work. 5 s suffice for all; after 2 s the cancel comes, and the rest waits for the
    next life. accepted = handled + queued, each letter once."""
    box = Mailbox[int, None]("letters", LETTERS, Overflow.FAIL, DeadLetters(SystemClock()))
    lives: list[Clerk] = []

    def clerk() -> Clerk:
        lives.append(Clerk(box))
        return lives[-1]

    spec = one_for_one(ChildSpec("clerk", clerk, drain_timeout=drain, stop_timeout=1.0, backoff=AT_ONCE))
    async with Troupe().performing(spec) as supervisor:
        for letter in range(1, LETTERS + 1):
            await box.tell(letter)
        begun = trio.current_time()
        (departure,) = (await supervisor.stop_child("clerk")).departures
        assert trio.current_time() - begun <= drain + 1.0
        done = departure.drained
        assert done is (drain > LETTERS * HANDLING)
        seen = box.statistics()
        assert (seen.accepted, seen.dropped, seen.dead, seen.in_hand) == (LETTERS, 0, 0, 0)
        assert seen.handled + seen.queued == LETTERS
        assert (seen.queued == 0) is done
        supervisor.restart("clerk")
        await wait_all_tasks_blocked()
        await trio.sleep(LETTERS * HANDLING)
    heard = [letter for life in lives for letter in life.handled]
    assert box.statistics().handled == LETTERS
    assert sorted(set(heard)) == list(range(1, LETTERS + 1))
    assert len(heard) - LETTERS == box.statistics().redelivered <= 1, "what was in hand when the cancel came"


async def test_an_ask_of_a_server_that_has_finished_fails_at_once(autojump_clock: MockClock) -> None:
    box = Mailbox[int, None]("letters", 8, Overflow.FAIL, DeadLetters(SystemClock()))
    spec = one_for_one(ChildSpec("clerk", lambda: Clerk(box), drain_timeout=5.0))
    async with Troupe().performing(spec) as supervisor:
        answers: list[str] = []

        async def ask() -> None:
            try:
                await box.ask(1_000, 60.0)
                answers.append("answered")
            except TargetDied:
                answers.append("died")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            nursery.start_soon(supervisor.stop_child, "clerk")
        await ask()
    assert answers == ["answered", "died"]


def context() -> ActorContext:
    return ActorContext("actor", TrioClock(0.0))


@pytest.mark.parametrize("first", ["time", "bell", "drain", "drained before"])
async def test_a_rest_ends_by_what_comes_first(autojump_clock: MockClock, first: str) -> None:
    own, bell = context(), Bell()
    over: list[float] = []

    async def rest() -> None:
        await own.rest(9.0, bell)
        over.append(trio.current_time())

    if first == "drained before":
        own.drain("the end")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rest)
        await trio.sleep(2.0)
        if first == "bell":
            bell.ring()
        elif first == "drain":
            own.drain("the end")
    assert over == [{"time": 9.0, "bell": 2.0, "drain": 2.0, "drained before": 0.0}[first]]


async def test_a_rest_without_a_bell_ends_by_time(autojump_clock: MockClock) -> None:
    await context().rest(3.0)
    assert trio.current_time() == 3.0


async def test_a_ring_is_not_lost_to_the_end_of_a_rest(autojump_clock: MockClock) -> None:
    own, bell = context(), Bell()
    bell.ring()
    own.drain("the end")
    await own.rest(9.0, bell)
    with trio.fail_after(1.0):
        await bell.wait()


async def test_every_task_of_an_actor_wakes_when_draining_begins(autojump_clock: MockClock) -> None:
    own = context()
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(own.rest, math.inf)
        await wait_all_tasks_blocked()
        own.drain("the end")
        own.drain("and again")
    assert (trio.current_time(), own.stop_reason) == (0.0, "the end")


async def test_what_stands_outside_of_the_scope_is_not_disturbed(autojump_clock: MockClock) -> None:
    own = context()
    questions: list[str] = []

    async def work() -> None:
        with own.until_draining() as scope:
            await trio.sleep(50.0)
            questions.append("answered")
        questions.append("given up" if scope.cancelled_caught else "whole")
        await trio.sleep(5.0)
        questions.append("committed")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.sleep(1.0)
        own.drain("the end")
    assert questions == ["given up", "committed"]
    assert trio.current_time() == 6.0


class Idler(Actor):
    """Leaves as it is told to: by itself when it drains, or not before its cancel, or not at all."""

    def __init__(self, name: str, *, drains: bool, let_go: trio.Event | None = None) -> None:
        self.name = name
        self.heard = ""
        self._drains = drains
        self._let_go = let_go

    async def run(self, context: ActorContext) -> None:
        context.started()
        try:
            await context.draining.wait()
            if not self._drains:
                await trio.sleep_forever()
        except trio.Cancelled:
            self.heard = context.stop_reason
            with trio.CancelScope(shield=self._let_go is not None):
                if self._let_go is not None:
                    await self._let_go.wait()
            raise


async def test_the_report_says_who_left_how_and_why(autojump_clock: MockClock) -> None:
    """Four below a branch, told in reverse order: one drains, one does not in time, one has no time for it, and one
    would not stop."""
    let_go = trio.Event()
    troupe = Troupe()
    plain = Idler("plain", drains=False)
    branch = one_for_one(
        ChildSpec("stuck", lambda: Idler("stuck", drains=False, let_go=let_go), stop_timeout=1.0),
        ChildSpec("plain", lambda: plain),
        ChildSpec("late", lambda: Idler("late", drains=False), drain_timeout=3.0),
        ChildSpec("prompt", lambda: Idler("prompt", drains=True), drain_timeout=3.0),
    )
    async with troupe.performing(one_for_one(ChildSpec("branch", branch))) as supervisor:
        report = await supervisor.stop("SIGTERM")
        let_go.set()
        told = [(each.name, each.how, each.cancelled, each.supervisor) for each in report.departures]
        assert told == [
            ("prompt", "drained", "", False),
            ("late", "cancelled", "SIGTERM; not drained within 3 s", False),
            ("plain", "cancelled", "SIGTERM", False),
            ("stuck", "zombie", "SIGTERM", False),
            ("branch", "cancelled", "SIGTERM", True),
        ]
        assert plain.heard == "SIGTERM"
        where = {each.name: each.whereabouts for each in report.departures if each.whereabouts}
        assert where.keys() == {"stuck"}
        assert any(each.startswith("test_runtime_finishing.py:") for each in where["stuck"])


async def test_a_failure_is_the_reason_of_those_it_takes_down(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    actor = Idler("idler", drains=False)
    async with troupe.performing(one_for_one(troupe.child("a"), ChildSpec("idler", lambda: actor))) as supervisor:
        await troupe.crash("a", KeyboardInterrupt("enough"))
        report: StopReport = supervisor.report
    assert [(each.name, each.how, each.cancelled) for each in report.departures] == [
        ("idler", "cancelled", "KeyboardInterrupt: enough"), ("a", "ended", ""),
    ]  # fmt: skip
    assert actor.heard == "KeyboardInterrupt: enough"


async def test_the_reason_is_the_first_ones(autojump_clock: MockClock) -> None:
    spec = one_for_one(
        ChildSpec("last", lambda: Idler("last", drains=False)),
        ChildSpec("first", lambda: Idler("first", drains=False), drain_timeout=3.0),
    )
    async with Troupe().performing(spec) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.stop, "SIGTERM")
        await trio.sleep(1.0)
        report = await supervisor.stop("SIGINT")
        assert trio.current_time() == 3.0
    assert [each.cancelled for each in report.departures] == ["SIGTERM; not drained within 3 s", "SIGTERM"]
