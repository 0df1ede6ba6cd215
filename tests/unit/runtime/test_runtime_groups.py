"""Orders and crashes that meet a group on its way down or up: nobody is lost and nobody waits for ever."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    ActorBusy,
    ActorState,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    Supervisor,
    UnknownActor,
)
from fusion_daemon.runtime.actor import Pause
from tests.unit.runtime.troupe import HANG, Boom, Troupe, one_for_all, one_for_one, rest_for_one

FOUR_SECONDS = Backoff(4.0, 4.0, stable_after=10.0)


def all_run(supervisor: Supervisor) -> bool:
    return {each.state for each in supervisor.children()} == {ActorState.RUNNING}


async def test_a_start_ordered_while_a_later_child_hangs_in_its_start_loses_nobody(
    autojump_clock: MockClock,
) -> None:
    # rest_for_one, a was stopped; b crashes and hangs in its start, c waits behind it; then a is ordered back.
    troupe = Troupe()
    async with troupe.performing(rest_for_one(*map(troupe.child, "abc"))) as supervisor:
        await supervisor.stop_child("a")
        troupe.starts["b"].append(HANG)
        await troupe.crash("b")
        troupe.cleared()
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["stop b2", "start a2", "start b3", "start c2"]
        assert all_run(supervisor)


@pytest.mark.parametrize("build", [one_for_all, rest_for_one])
async def test_one_added_while_its_group_is_down_is_healed_with_it(autojump_clock: MockClock, build: object) -> None:
    # b is in a restart loop; c is added, runs, and crashes: it joins the group and comes back after b.
    troupe = Troupe()
    assert callable(build)
    spec = build(troupe.child("a"), troupe.child("b", backoff=FOUR_SECONDS))
    async with troupe.performing(spec) as supervisor:
        troupe.starts["b"].extend(Boom("no") for _ in range(20))
        await troupe.crash("b")
        await supervisor.add(troupe.child("c"))
        assert supervisor.find("c").state is ActorState.RUNNING
        await troupe.crash("c")
        assert supervisor.statistics().recent_restarts == 2
        await trio.sleep(200.0)
        assert all_run(supervisor)
        begun = [entry for entry in troupe.journal if entry.startswith("start ")]
        assert begun[-2:] == [f"start b{troupe.lives['b']}", f"start c{troupe.lives['c']}"]


async def test_a_life_is_as_long_as_it_was_however_late_its_end_is_noticed(autojump_clock: MockClock) -> None:
    # b lives for 1 s, and its end is noticed 15 s later, when c has been stopped: it was no stable life.
    troupe = Troupe()
    let_go = trio.Event()
    children = [troupe.child("a"), troupe.child("b", backoff=Backoff(1.0, 64.0, stable_after=10.0))]
    spec = rest_for_one(*children, troupe.child("c", stop_timeout=50.0), intensity=Intensity(9, 100.0))
    async with troupe.performing(spec) as supervisor:
        for _ in range(3):
            await troupe.crash("b")
            await trio.sleep(8.0)
        assert all_run(supervisor)
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        troupe.present["c"].resist = let_go
        supervisor.restart("c")
        await trio.sleep(1.0)
        await troupe.crash("b")
        await trio.sleep(15.0)
        let_go.set()
        await wait_all_tasks_blocked()
        (b,) = (each for _, each in supervisor._root.walk() if each.spec.name == "b")
        assert b.failures == 4


async def test_a_place_can_go_twice(autojump_clock: MockClock) -> None:
    # The operator deletes a temporary child in the moment in which its lane forgets it.
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("t", Restart.TEMPORARY))) as supervisor:
        ((owner, child),) = supervisor._root.walk()
        await troupe.finish("t")
        owner.forget(child)
        with pytest.raises(UnknownActor):
            supervisor.delete("t")


async def test_the_first_failure_is_the_ending(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(*map(troupe.child, "ab"))):
        for name in "ab":
            troupe.tell(name, SystemExit(name))
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()
    assert isinstance(troupe.ending, SystemExit)


async def test_two_zombies_of_one_child_end_one_after_the_other(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    let_go = [trio.Event(), trio.Event()]
    async with troupe.performing(one_for_one(troupe.child("a", stop_timeout=1.0))) as supervisor:
        for each in let_go:
            troupe.present["a"].resist = each
            await supervisor.stop_child("a")
            supervisor.restart("a")
            await wait_all_tasks_blocked()
        for left, each in ((1, let_go[0]), (0, let_go[1])):
            each.set()
            await wait_all_tasks_blocked()
            assert len(supervisor.zombies()) == left
            assert (supervisor.find("a").health.reason == "") is (left == 0)


async def test_a_gate_that_closes_again_at_once_holds(autojump_clock: MockClock) -> None:
    pause = Pause()
    pause.close()
    passed = trio.Event()

    async def pass_through() -> None:
        await pause.passed()
        passed.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_through)
        await wait_all_tasks_blocked()
        pause.open()
        pause.close()
        pause.close()
        await wait_all_tasks_blocked()
        assert not passed.is_set()
        pause.open()
    assert passed.is_set()


async def test_two_starts_ordered_together_touch_no_sibling(autojump_clock: MockClock) -> None:
    # one_for_all: a and b were stopped; b is ordered back and hangs, then a: a waits its turn, c is left alone.
    troupe = Troupe()
    async with troupe.performing(one_for_all(*map(troupe.child, "abc"))) as supervisor:
        await supervisor.stop_child("a")
        await supervisor.stop_child("b")
        troupe.starts["b"].append(HANG)
        troupe.cleared()
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["start b2"]
        context = troupe.present["b"].context
        assert context is not None
        context.started()
        await wait_all_tasks_blocked()
        assert troupe.cleared() == ["start a2"]


async def test_a_crash_of_an_earlier_child_ends_a_start_that_was_ordered(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(rest_for_one(*map(troupe.child, "ab"))) as supervisor:
        await supervisor.stop_child("b")
        troupe.starts["b"].append(HANG)
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        troupe.cleared()
        await troupe.crash("a")
        assert troupe.cleared() == ["stop b2", "start a2", "start b3"]


async def test_a_replacement_of_one_that_went_down_with_its_group_starts_nobody(autojump_clock: MockClock) -> None:
    # one_for_all: a crashes while the temporary t, which resists, is being replaced: t is forgotten, and stays so.
    troupe = Troupe()
    let_go = trio.Event()
    spec = one_for_all(troupe.child("a"), troupe.child("t", Restart.TEMPORARY))
    async with troupe.performing(spec) as supervisor:
        troupe.present["t"].resist = let_go
        await troupe.crash("a")
        with pytest.RaisesGroup(UnknownActor):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervisor.replace, troupe.child("t"))
                await wait_all_tasks_blocked()
                ((owner, _), (_, t)) = supervisor._root.walk()
                owner.forget(t)  # as the lane will in the same moment, or just before
                let_go.set()
        await wait_all_tasks_blocked()
        assert [each.name for each in supervisor.children()] == ["a"]
        assert (troupe.lives["a"], troupe.lives["t"]) == (2, 1)


async def test_after_the_end_of_its_supervisor_nobody_of_the_group_is_started(autojump_clock: MockClock) -> None:
    # one_for_all, any_significant: s is restarted by hand and fails; b, down with it, does not come up again.
    troupe = Troupe()
    s = troupe.child("s", Restart.TEMPORARY, significant=True)
    async with troupe.performing(one_for_all(s, troupe.child("b"), auto_shutdown=AutoShutdown.ANY)) as supervisor:
        troupe.starts["s"].append(Boom("no"))
        troupe.cleared()
        supervisor.restart("s")
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()
    assert troupe.cleared() == ["stop b1", "stop s1", "fail s2"]


async def test_a_group_that_nobody_wants_any_more_waits_for_nothing(autojump_clock: MockClock) -> None:
    # one_for_all: a crashes, the temporary t is gone, a is stopped in its delay: ordered back, it comes at once.
    troupe = Troupe()
    children = (troupe.child("a", backoff=FOUR_SECONDS), troupe.child("t", Restart.TEMPORARY))
    async with troupe.performing(one_for_all(*children)) as supervisor:
        await troupe.crash("a")
        await supervisor.stop_child("a")
        await wait_all_tasks_blocked()
        before = trio.current_time()
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        assert all_run(supervisor)
        assert trio.current_time() == before


async def test_a_branch_on_its_way_down_takes_no_order_for_its_children(autojump_clock: MockClock) -> None:
    # branch <- (a, b): b is down already, a resists; b is not ordered back into a branch that will be gone.
    troupe = Troupe()
    let_go = trio.Event()
    branch = ChildSpec("branch", one_for_one(*map(troupe.child, "ab")))
    async with troupe.performing(one_for_one(branch)) as supervisor, trio.open_nursery() as nursery:
        troupe.present["a"].resist = let_go
        nursery.start_soon(supervisor.stop_child, "branch")
        await wait_all_tasks_blocked()
        assert supervisor.find("b").state is ActorState.STOPPED
        with pytest.raises(ActorBusy):
            supervisor.restart("b")
        let_go.set()
        await wait_all_tasks_blocked()
        assert {each.state for each in supervisor.tree()} == {ActorState.STOPPED}
