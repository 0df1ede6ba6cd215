"""Rule: nobody is called ready before it is: a tree that has not started has no actors yet, and still is not ready."""

from __future__ import annotations

from random import Random

import trio

from fusion_daemon.aio import open_aio
from fusion_daemon.operation import components_of
from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ChildSpec,
    Supervisor,
    SupervisorSpec,
    SystemClock,
)


class Idle(Actor):
    name = "idle"

    async def run(self, context: ActorContext) -> None:
        context.started()
        await trio.sleep_forever()


async def test_an_actor_that_is_not_required_and_its_branch_say_so() -> None:
    def branch(name: str, *, required: bool) -> ChildSpec:
        return ChildSpec(f"{name} branch", SupervisorSpec((ChildSpec(name, Idle, required=required),)))

    spec = SupervisorSpec((branch("listener", required=True), branch("keeper", required=False)))
    tree = Supervisor("root", spec, clock=SystemClock(), random=Random(0))
    async with open_aio() as aio, trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: tree.run(task_status=task_status))
        assert {each.name: each.required for each in components_of(tree, aio, None, 0.0)} == {
            "aio": True,
            "database": True,
            "listener branch": True,
            "listener": True,
            "keeper branch": False,
            "keeper": False,
        }
        await tree.stop()


async def test_a_branch_that_does_not_run_is_a_component_that_is_not_ready() -> None:
    branch = SupervisorSpec((ChildSpec("actor", Idle),))
    tree = Supervisor(
        "root", SupervisorSpec((ChildSpec("branch", branch),)), clock=SystemClock(), random=Random(0)
    )
    async with open_aio() as aio:

        def seen() -> list[tuple[str, bool, str]]:
            return [(each.name, each.ready, each.state) for each in components_of(tree, aio, None, 0.0)]

        assert seen() == [("aio", True, "running"), ("database", True, "running"), ("branch", False, "starting")]
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda task_status: tree.run(task_status=task_status))
            assert seen()[2:] == [("branch", True, "running"), ("actor", True, "running")]
            await tree.stop()
