"""Rule: the data of an actor age by themselves, so one that hangs, is paused or never said anything is found out."""

from __future__ import annotations

from random import Random

import trio

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ActorStatus,
    ChildSpec,
    Supervisor,
    SupervisorSpec,
    TrioClock,
    stale,
)

LIMIT = 30.0


class Reader(Actor):
    """Says how old its data are when it is asked to, and otherwise hangs."""

    name = "reader"

    def __init__(self) -> None:
        self.context: ActorContext

    async def run(self, context: ActorContext) -> None:
        self.context = context
        context.started()
        await trio.sleep_forever()


async def test_data_age_from_what_was_said_until_it_is_said_anew(autojump_clock: trio.testing.MockClock) -> None:
    clock = TrioClock(1_000.0)
    readers: list[Reader] = []

    def reader() -> Reader:
        readers.append(Reader())
        return readers[-1]

    tree = Supervisor(
        "root", SupervisorSpec((ChildSpec("reader", reader, data_limit=LIMIT),)), clock=clock, random=Random(0)
    )

    def status() -> ActorStatus:
        return tree.find("reader")

    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: tree.run(task_status=task_status))
        assert (status().data_age, stale(status())) == (None, "it has not yet said how old what it knows is")
        readers[0].context.fresh(clock.now() - 4.0)
        await trio.sleep(26.0)
        assert (status().data_age, stale(status())) == (30.0, None)
        await trio.sleep(1.0)
        assert stale(status()) == "what it knows is 31 s old, limit 30 s"
        readers[0].context.fresh(clock.now())
        assert stale(status()) is None
        tree.restart("reader")
        await trio.testing.wait_all_tasks_blocked()
        assert status().data_age is None, "a new life knows nothing yet"
        await tree.stop()


async def test_an_actor_without_a_limit_is_never_stale(autojump_clock: trio.testing.MockClock) -> None:
    tree = Supervisor(
        "root", SupervisorSpec((ChildSpec("reader", Reader),)), clock=TrioClock(0.0), random=Random(0)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: tree.run(task_status=task_status))
        await trio.sleep(80_000.0)
        assert stale(tree.find("reader")) is None
        await tree.stop()


def test_a_branch_is_required_if_one_below_it_is() -> None:
    def branch(*required: bool, itself: bool = True) -> ChildSpec:
        children = tuple(ChildSpec(f"child {at}", Reader, required=each) for at, each in enumerate(required))
        return ChildSpec("branch", SupervisorSpec(children), required=itself)

    assert branch(False, True).is_required()
    assert not branch(False, False).is_required()
    assert not branch(True, itself=False).is_required()
    assert branch().is_required(), "its children are yet to come"
