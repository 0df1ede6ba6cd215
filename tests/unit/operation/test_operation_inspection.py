"""Rule: an operator is told all that is known, at once, whatever the actors and the database do; in words and as values
alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import cast

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from fusion_daemon.aio import Aio
from fusion_daemon.http.operation_routes import UnknownActor, UnknownTopic
from fusion_daemon.inspection import Inspection
from fusion_daemon.operation import ActorNotReady, ActorOperations
from fusion_daemon.operation_text import actors_text, detail_text, event_text, mailboxes_text, obeyed_text, tree_text
from fusion_daemon.operation_views import EventView
from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    Backoff,
    Bell,
    ChildSpec,
    DeadLetters,
    Mailbox,
    Overflow,
    Supervisor,
    SupervisorSpec,
    SystemClock,
    Topic,
)
from fusion_daemon.store import Claim, Store, StoreUnavailable


class Shelf:
    """What the inspection asks of a store; it can be away."""

    def __init__(self) -> None:
        self.trouble: object = None
        self.away = False
        self.asked = 0

    def statistics(self) -> Shelf:
        return self

    def claim_of(self, owner: str) -> Claim | None:
        return Claim(owner, 7, {"results": 3}, {"feed": 4}) if owner == "clerk" else None

    async def cursors_of(self, consumer: str) -> Mapping[str, int]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("It is away.", "Nothing is known.", "Wait.")
        return {"feed": 5}


class Clerk(Actor):
    name = "clerk"

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    async def run(self, context: ActorContext) -> None:
        bell = Bell()
        self._scene.feed.subscribe("clerk", 5, self._scene.fill, bell)
        with self._scene.box.attended(bell):
            context.started()
            while True:
                await context.gate()
                await bell.wait()
                if self._scene.deadly:
                    raise RuntimeError("over it")


class Scene:
    def __init__(self) -> None:
        clock = SystemClock()
        self.deadly = False
        self.shelf = Shelf()
        self.feed = Topic[str]("feed", 8, clock)
        self.office = DeadLetters(clock)
        self.box = Mailbox[str, None]("requests", 4, Overflow.FAIL, self.office)
        clerk = ChildSpec("clerk", lambda: Clerk(self), beat_limit=30.0, backoff=Backoff(60.0, 60.0))
        spec = SupervisorSpec((ChildSpec("desk", SupervisorSpec((clerk,))),))
        self.tree = Supervisor("root", spec, clock=clock, random=Random(0))
        self.inspection = Inspection(
            self.tree,
            [self.feed],
            lambda: [self.box.statistics()],
            self.office.statistics,
            lambda name: {"done": 1} if name == "clerk" else None,
            cast("Store", self.shelf),
        )

    async def fill(self, after: int, limit: int) -> list[str]:
        raise AssertionError("nobody takes anything")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Inspection]:
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: self.tree.run(task_status=task_status))
            yield self.inspection
            await self.tree.stop()


async def test_all_that_is_known_of_an_actor() -> None:
    scene = Scene()
    async with scene.running() as inspection:
        scene.feed.publish(6, ["a", "b"])
        await wait_all_tasks_blocked()
        await scene.box.tell("x")
        detail = await inspection.actor("clerk")
        assert (detail.epoch, detail.actor.queued, detail.statistics) == (7, 1, {"done": 1})
        (read,) = detail.reads
        assert (read.stream, read.committed, read.taken, read.head, read.lag) == ("feed", 5, 5, 7, 2)
        assert [each.name for each in detail.mailboxes] == ["requests"]
        text = "\n".join(detail_text(detail))
        for part in (
            "clerk  running since ",
            ", under desk\n",
            "s ago, limit 30 s\n",
            "  epoch: 7\n",
            "  writes results: head 3\n",
            "  reads feed: committed 5, head 7, taken 5, lag 2 (",
            "  serves mailbox requests: served by clerk; 1 of 4 queued",
            '  counts: {"done": 1}\n',
            "  waits at:\n",
            "    test_operation_inspection.py:",
        ):
            assert part in text


@pytest.mark.parametrize("known", [True, False])
async def test_the_database_is_away_and_the_rest_is_told(known: bool) -> None:
    scene = Scene()
    scene.shelf.away, scene.shelf.trouble = True, object() if known else None
    async with scene.running() as inspection:
        detail = await inspection.actor("clerk")
    assert detail.reads[0].committed is None
    assert scene.shelf.asked == (0 if known else 1), "who is known to be away is not asked"
    assert "committed unknown" in "\n".join(detail_text(detail))


async def test_an_actor_that_fell_is_told_with_its_error_and_without_a_place() -> None:
    scene = Scene()
    async with scene.running() as inspection:
        scene.deadly = True
        scene.feed.publish(6, ["a"])
        await wait_all_tasks_blocked(0.05)
        detail = await inspection.actor("clerk")
        assert (detail.last_error, detail.whereabouts) == ("RuntimeError: over it", ())
        text = "\n".join(detail_text(detail))
        assert "RuntimeError: over it" in text
        assert "nobody serves it (clerk did last)" in text
        (line,) = list(actors_text(inspection.actors()))[1:]
        assert line.split()[:2] == ["clerk", "restarting"]
        root, desk, _ = tree_text(inspection.tree())
        assert root.startswith("root  one_for_one, 0 of 5 restarts")
        assert "1 of 5 restarts" in desk
        with pytest.raises(ActorNotReady, match="restarting"):
            await ActorOperations(scene.tree, cast("Aio", Straight())).restart("clerk")


class Straight:
    """A door with no wall: trio on both sides."""

    async def to_trio(self, fn, *args, timeout):  # type: ignore[no-untyped-def]
        return await fn(*args)


async def test_orders_are_answered_when_they_are_obeyed() -> None:
    scene = Scene()
    operations = ActorOperations(scene.tree, cast("Aio", Straight()))
    async with scene.running() as inspection:
        assert operations.knows("clerk")
        assert not operations.knows("desk"), "a supervisor is no actor"
        restarted = await operations.restart("clerk")
        assert (restarted.settled, obeyed_text(restarted)[:31]) == (True, "clerk was restarted (running si")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(operations.pause, "clerk")
            await wait_all_tasks_blocked()
            (row,) = inspection.actors().actors
            assert (row.state, row.pause_requested) == ("running", True)
            assert "a pause is asked for" in "\n".join(detail_text(await inspection.actor("clerk")))
            await scene.box.tell("x")  # which brings it to its gate
        assert (await operations.resume("clerk")).settled
        await scene.tree.stop_child("clerk")
        nobody = await operations.pause("clerk")
        assert (nobody.settled, nobody.state) == (False, "stopped")
        assert "has not reached its gate yet" in obeyed_text(nobody)


async def test_what_is_told_of_mailboxes_and_topics() -> None:
    scene = Scene()
    async with scene.running() as inspection:
        with pytest.raises(Exception, match="no reply"):
            await scene.box.ask("x", 0.001)
        text = "\n".join(mailboxes_text(inspection.mailboxes(), inspection.topics()))
        assert "accepted 1 = handled 0 + dropped 0 + dead 1 + queued 0 + in hand 0" in text
        assert "dead letters of requests: 1 expired" in text
        assert "topic feed: head 5, 0 published here\n  clerk at 5, lag 0 (0.0 s), 0 of 8 buffered" in text


async def test_who_looks_on() -> None:
    scene = Scene()
    async with scene.running() as inspection:
        start, tapped = inspection.trace("clerk", None, 10), inspection.tap("feed", None, 10)
        scene.feed.publish(6, ["a"])
        await wait_all_tasks_blocked()
        trace, tap = inspection.trace("clerk", start.next, 10), inspection.tap("feed", tapped.next, 10)
        assert [each.kind for each in trace.events] == ["beat"]
        assert msgspec.json.encode(tap) == b'{"stream":"feed","items":[{"position":6,"value":"a"}],"missed":0,"next":6}'
        for ask, error in ((inspection.trace, UnknownActor), (inspection.tap, UnknownTopic)):
            with pytest.raises(error):
                ask("nobody", None, 1)
        with pytest.raises(UnknownActor):
            await inspection.actor("nobody")


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"kind": "beat"}, "beat"),
        ({"kind": "handled", "subject": "box", "text": "Ask", "seconds": 0.00125}, "handled   box Ask 1.2 ms"),
        ({"kind": "taken", "subject": "feed", "first": 3, "last": 5}, "taken     feed 3-5"),
        ({"kind": "published", "subject": "feed", "first": 3, "last": 3}, "published feed 3"),
        ({"kind": "crashed", "text": "Boom: x"}, "crashed   Boom: x"),
    ],
)
def test_an_event_is_a_line(event: dict[str, object], text: str) -> None:
    view = msgspec.convert({"number": 1, "at": "2026-01-02T03:04:05.678Z"} | event, EventView)
    assert event_text(view) == f"03:04:05.678Z {text}"
