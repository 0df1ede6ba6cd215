"""Rule: an operator who looks sees the events of one actor's life, by type and position, over a restart, and nothing
of another's; nobody looks, nothing is noted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ActorState,
    Bell,
    ChildSpec,
    DeadLetters,
    Mailbox,
    ManualClock,
    Overflow,
    Topic,
    TraceEvent,
    UnknownActor,
)
from fusion_daemon.runtime.life import Life
from fusion_daemon.runtime.window import LEASE
from tests.unit.runtime.troupe import AT_ONCE, Boom, Troupe, one_for_one

SECRET = "the payload"


class Clerk(Actor):
    """Serves a mailbox, follows one topic and writes another."""

    def __init__(self, name: str, scene: Scene) -> None:
        self.name = name
        self._scene = scene

    async def run(self, context: ActorContext) -> None:
        scene, bell = self._scene, Bell()
        feed = scene.feed.subscribe(self.name, scene.feed.head, scene.fill, bell)
        context.started()
        with scene.box.attended(bell) as desk:
            while True:
                await context.gate()
                await desk.drain(self._handle)
                while feed.ready:
                    items = await feed.take(8)
                    scene.results.publish(scene.results.head + 1, items)
                    context.degraded("busy")
                await bell.wait()

    async def _handle(self, message: str) -> str:
        await trio.sleep(0.5)
        if message == "die":
            raise Boom("over a message")
        return message


class Scene:
    """One clerk under a supervisor, and all that it is given."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000.0)
        self.feed = Topic[str]("feed", 8, self.clock)
        self.results = Topic[str]("results", 8, self.clock)
        self.box = Mailbox[str, str]("requests", 4, Overflow.FAIL, DeadLetters(self.clock))
        self.troupe = Troupe()
        self.spec = one_for_one(
            ChildSpec("clerk", lambda: Clerk("clerk", self), backoff=AT_ONCE), self.troupe.child("other")
        )

    async def fill(self, after: int, limit: int) -> Sequence[str]:
        return [SECRET] * min(limit, self.feed.head - after)

    async def busy(self) -> None:
        """An ask, two entries, an ask that kills."""
        assert await self.box.ask(SECRET, 5.0) == SECRET
        self.feed.publish(self.feed.head + 1, [SECRET, SECRET])
        await wait_all_tasks_blocked()
        await self.box.tell("die")
        await trio.sleep(2.0)


def told(events: Sequence[tuple[int, TraceEvent]]) -> list[str]:
    return [
        " ".join(str(part) for part in (each.kind, each.subject, each.text, each.first, each.last) if part)
        for _, each in events
    ]


async def test_a_trace_tells_a_life_and_the_next(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.troupe.performing(scene.spec) as tree:
        look = tree.trace("clerk").look(None, 100)
        other = tree.trace("other").look(None, 100)
        await scene.busy()
        seen = tree.trace("clerk").look(look.next, 100)
        assert [line for line in told(seen.items) if not line.startswith("beat")] == [
            "handled requests str",
            "taken feed 1 2",
            "published results 1 2",
            "health degraded busy",
            "failed requests str",
            "crashed Boom: over a message",
            "started",
            "failed requests str",
            "crashed Boom: over a message",
            "started",
        ]
        assert SECRET not in str(seen)
        assert tree.trace("other").look(other.next, 100).items == ()
        handled = next(each for _, each in seen.items if each.kind == "handled")
        assert handled.seconds == pytest.approx(0.5)
        assert seen.missed == 0


async def test_beats_are_told_once_a_second_at_most(autojump_clock: MockClock) -> None:
    context = ActorContext("clerk", clock := ManualClock())
    look = context.trace.look(None, 1)
    for _ in range(5):
        context.beat()
        clock.advance(0.4)
    assert told(context.trace.look(look.next, 10).items) == ["beat", "beat"]


async def test_the_same_health_again_is_no_event(autojump_clock: MockClock) -> None:
    context = ActorContext("clerk", ManualClock())
    context.trace.look(None, 1)
    context.healthy()
    context.degraded("slow")
    context.degraded("slow")
    context.degraded("slower")
    assert told(context.trace.look(0, 10).items) == ["health degraded slow", "health degraded slower"]


async def test_nobody_looks_any_more_and_nothing_is_noted(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.troupe.performing(scene.spec) as tree:
        trace = tree.trace("clerk")
        await scene.box.ask("x", 5.0)
        assert not trace.on
        look = trace.look(None, 1)
        assert trace.on
        await trio.sleep(LEASE + 1.0)
        await scene.box.ask("x", 5.0)
        assert not trace.on
        assert trace.look(look.next, 10).items == ()


async def test_an_actor_that_was_told_to_stop_ended(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.troupe.performing(scene.spec) as tree:
        look = tree.trace("clerk").look(None, 1)
        await tree.stop_child("clerk")
        assert told(tree.trace("clerk").look(look.next, 10).items)[-1] == "ended"


async def test_a_mailbox_names_who_serves_it_and_how_deep_each_lane_is(autojump_clock: MockClock) -> None:
    scene = Scene()
    assert scene.box.statistics().server == ""
    async with scene.troupe.performing(scene.spec) as tree:
        assert scene.box.statistics().server == "clerk"
        tree.pause("clerk")
        await scene.box.tell("x")
        await wait_all_tasks_blocked()
        await scene.box.tell("y")
        assert scene.box.statistics().lanes == (0, 0, 2)
        await tree.stop_child("clerk")
        seen = scene.box.statistics()
        assert (seen.serving, seen.server) == (False, "clerk")


async def test_until_waits_for_a_state(autojump_clock: MockClock) -> None:
    scene = Scene()
    async with scene.troupe.performing(scene.spec) as tree:
        tree.pause("clerk")
        with trio.move_on_after(3.0) as patience:
            await tree.until("clerk", lambda status: status.state is ActorState.PAUSED)
        assert patience.cancelled_caught, "it waits for work, not at its gate"
        await scene.box.tell("x")
        held = await tree.until("clerk", lambda status: status.state is ActorState.PAUSED)
        assert held.pause_requested
        tree.resume("clerk")
        assert (await tree.until("clerk", lambda status: status.state is ActorState.RUNNING)).restarts == 0
        tree.restart("clerk")
        assert (await tree.until("clerk", lambda status: status.restarts == 1 and status.state == "running")).restarts


async def test_the_outline_is_the_tree_with_what_its_supervisors_allow(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    below = one_for_one(troupe.child("leaf"))
    async with troupe.performing(one_for_one(ChildSpec("branch", below), troupe.child("other"))) as tree:
        await troupe.crash("leaf")
        outline = tree.outline()
        (branch, under), (other, nothing) = outline.children
        assert (branch.name, other.name, nothing) == ("branch", "other", None)
        assert under is not None
        assert under.supervisor.recent_restarts == 1
        assert [status.name for status, _ in under.children] == ["leaf"]


async def test_where_a_task_waits_is_told_and_by_nobody_for_one_that_has_ended(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("waits"), troupe.child("stopped"))) as tree:
        assert any("troupe.py" in frame and frame.endswith(" run") for frame in tree.whereabouts("waits"))
        await tree.stop_child("stopped")
        assert tree.whereabouts("stopped") == ()
        assert Life(1, ActorContext("unborn", ManualClock()), _nothing, lambda _: None).whereabouts() == ()
        with pytest.raises(UnknownActor):
            tree.whereabouts("nobody")


async def test_a_look_at_a_task_from_another_thread_may_be_torn_and_is_no_error(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(_task: object) -> list[str]:
        raise RuntimeError("Set changed size during iteration")

    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("waits"))) as tree:
        monkeypatch.setattr("fusion_daemon.runtime.life._whereabouts", torn)
        assert tree.whereabouts("waits") == ()


async def _nothing(_context: ActorContext) -> None:
    """A body that never runs."""
