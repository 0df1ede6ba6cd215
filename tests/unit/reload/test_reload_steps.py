"""Rule: a step does to the living tree what it says, and the old description is in force where a step back fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from fusion_daemon.composition import House, Stand
from fusion_daemon.reload_plan import Action, Step
from fusion_daemon.reload_steps import HouseSteps
from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ActorState,
    ChildSpec,
    StartFailed,
    Supervisor,
    SupervisorSpec,
    SystemClock,
)
from fusion_daemon.secret_files import SecretFiles


@pytest.fixture
def mock_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@dataclass
class Troupe:
    """Actors by branch and stand, which can be kept from starting."""

    broken: set[tuple[str, str]] = field(default_factory=set)
    started: list[tuple[str, str]] = field(default_factory=list)
    slow: float = 0.0
    """Seconds that a start takes."""

    def stand(self, name: str, *branches: str) -> Stand:
        specs = {branch: ChildSpec(branch, SupervisorSpec((self._actor(branch, name),))) for branch in branches}
        nothing = cast("Any", None)
        return Stand(nothing, nothing, nothing, {}, specs, ())

    def _actor(self, branch: str, stand: str) -> ChildSpec:
        troupe = self

        class Player(Actor):
            name = f"actor of {branch}"

            async def run(self, context: ActorContext) -> None:
                if (branch, stand) in troupe.broken:
                    raise ValueError("broken")
                await trio.sleep(troupe.slow)
                troupe.started.append((branch, stand))
                context.started()
                while True:
                    await context.gate()
                    await trio.sleep(1.0)

        return ChildSpec(f"actor of {branch}", Player)


@dataclass
class Scene:
    troupe: Troupe
    tree: Supervisor
    steps: HouseSteps
    old: Stand
    new: Stand

    def state(self, name: str) -> ActorState | None:
        return next((each.state for each in self.tree.tree() if each.name == name), None)


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    troupe = Troupe()
    old, new = troupe.stand("old", "risk", "oracle"), troupe.stand("new", "risk", "oracle", "chain:3")
    house = SimpleNamespace(stand=old, fixtures=SimpleNamespace(alive={"actor of oracle": object()}))
    nothing = cast("Any", None)
    steps = HouseSteps(Path("x"), SecretFiles(None), cast("House", house), nothing, nothing, nothing)
    tree = Supervisor("root", old.tree, clock=SystemClock(), random=Random(0), log=structlog.get_logger())
    steps.act_on(tree, lambda: None)
    async with trio.open_nursery() as nursery:
        with capture_logs():
            await nursery.start(lambda task_status: tree.run(task_status=task_status))
            yield Scene(troupe, tree, steps, old, new)
            await tree.stop()


def step(action: Action, target: str) -> Step:
    return Step(action, target, ("why",))


async def test_a_branch_starts_anew_with_the_new_settings_and_others_live_on(mock_clock: MockClock) -> None:
    async with scene() as stage:
        await stage.steps.take(step(Action.RESTART, "risk"), stage.new)
        assert stage.troupe.started == [("risk", "old"), ("oracle", "old"), ("risk", "new")]
        stage.tree.restart("actor of risk")
        await trio.sleep(10.0)
        assert stage.troupe.started[-1] == ("risk", "new"), "so do its later lives"


async def test_a_branch_that_does_not_start_stays_as_it_was(mock_clock: MockClock) -> None:
    async with scene() as stage:
        stage.troupe.broken = {("risk", "new")}
        with pytest.raises(StartFailed, match="broken"):
            await stage.steps.take(step(Action.RESTART, "risk"), stage.new)
        await trio.sleep(60.0)
        assert stage.troupe.started[-1] == ("risk", "old")
        assert stage.state("actor of risk") is ActorState.RUNNING


async def test_a_chain_comes_and_goes_and_leaves_nothing(mock_clock: MockClock) -> None:
    async with scene() as stage:
        await stage.steps.take(step(Action.ADD, "chain:3"), stage.new)
        assert stage.state("actor of chain:3") is ActorState.RUNNING
        await stage.steps.take(step(Action.REMOVE, "chain:3"), stage.old)
        assert stage.state("chain:3") is stage.state("actor of chain:3") is None
        await stage.steps.take(step(Action.REMOVE, "oracle"), stage.new)
        assert stage.steps._house.fixtures.alive == {}, "no metrics of whoever is gone"


async def test_a_chain_that_does_not_start_is_not_kept(mock_clock: MockClock) -> None:
    async with scene() as stage:
        stage.troupe.broken = {("chain:3", "new")}
        with pytest.raises(StartFailed):
            await stage.steps.take(step(Action.ADD, "chain:3"), stage.new)
        assert stage.state("chain:3") is None


@pytest.mark.parametrize("action", [Action.RESTART, Action.ADD])
async def test_what_cannot_start_now_is_described_and_starts_when_it_can(
    mock_clock: MockClock, action: Action
) -> None:
    """new ──undo─▶ old does not start ──insist─▶ … the cause is mended … ─▶ old runs"""
    async with scene() as stage:
        back = step(action, "oracle")
        if action is Action.RESTART:
            await stage.steps.take(back, stage.new)
        else:
            await stage.steps.take(step(Action.REMOVE, "oracle"), stage.new)
        stage.troupe.broken = {("oracle", "old")}
        with pytest.raises(StartFailed):
            await stage.steps.take(back, stage.old)
        await stage.steps.insist(back, stage.old)
        await trio.sleep(5.0)
        assert stage.state("oracle") is not ActorState.RUNNING
        stage.troupe.broken = set()
        await trio.sleep(120.0)
        assert stage.troupe.started[-1] == ("oracle", "old")
        assert stage.state("actor of oracle") is ActorState.RUNNING


async def test_whom_the_operator_holds_is_held_in_its_next_life_and_no_longer(mock_clock: MockClock) -> None:
    async with scene() as stage:
        stage.tree.pause("actor of risk")
        await trio.sleep(2.0)
        await stage.steps.take(step(Action.RESTART, "risk"), stage.new)
        await trio.sleep(2.0)
        assert stage.state("actor of risk") is ActorState.PAUSED
        assert stage.state("risk") is ActorState.RUNNING
        stage.tree.resume("actor of risk")
        await trio.sleep(2.0)
        assert stage.state("actor of risk") is ActorState.RUNNING
        await stage.steps.take(step(Action.RESTART, "risk"), stage.new)
        await trio.sleep(2.0)
        assert stage.state("actor of risk") is ActorState.RUNNING, "nothing of the hold is left"


async def test_a_hold_outlives_a_replacement_that_failed_and_grows_no_wider(mock_clock: MockClock) -> None:
    """held ──new does not start─▶ old, held ──resume─▶ runs ──next reload─▶ runs"""
    async with scene() as stage:
        stage.tree.pause("actor of risk")
        await trio.sleep(2.0)
        stage.troupe.broken = {("risk", "new")}
        with pytest.raises(StartFailed):
            await stage.steps.take(step(Action.RESTART, "risk"), stage.new)
        await trio.sleep(60.0)
        assert stage.state("actor of risk") is ActorState.PAUSED
        assert not stage.tree.find("risk").pause_requested, "the operator holds the actor, not its branch"
        stage.tree.resume("actor of risk")
        stage.troupe.broken = set()
        await stage.steps.take(step(Action.RESTART, "risk"), stage.new)
        await trio.sleep(2.0)
        assert stage.state("actor of risk") is ActorState.RUNNING, "nothing of the hold is left"


async def test_who_is_let_go_while_its_next_life_starts_is_not_held_again(mock_clock: MockClock) -> None:
    async with scene() as stage:
        stage.tree.pause("actor of risk")
        await trio.sleep(2.0)
        stage.troupe.slow = 5.0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.steps.take, step(Action.RESTART, "risk"), stage.new)
            await trio.sleep(4.0)
            assert stage.state("actor of risk") is ActorState.STARTING
            stage.tree.resume("actor of risk")
        await trio.sleep(2.0)
        assert stage.state("actor of risk") is ActorState.RUNNING


async def test_without_a_tree_a_branch_has_nothing_to_do() -> None:
    nothing = cast("Any", None)
    steps = HouseSteps(Path("x"), SecretFiles(None), nothing, nothing, nothing, nothing)
    for action in (Action.ADD, Action.RESTART, Action.REMOVE):
        await steps.take(step(action, "chain:3"), Troupe().stand("new", "chain:3"))
        await steps.insist(step(action, "chain:3"), Troupe().stand("new", "chain:3"))
