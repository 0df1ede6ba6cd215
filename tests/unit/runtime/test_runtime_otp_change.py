"""Rows 29 and 30 of the case table, and what a reload does: a tree changes while it lives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    ActorBusy,
    ActorState,
    Backoff,
    ChildSpec,
    Intensity,
    NameTaken,
    Restart,
    RestartLimitExceeded,
    StartFailed,
    Supervisor,
    UnknownActor,
)
from tests.unit.runtime.troupe import AT_ONCE, HANG, Boom, Troupe, one_for_all, one_for_one, pool, rest_for_one


def states(supervisor: Supervisor) -> dict[str, ActorState]:
    return {each.name: each.state for each in supervisor.tree()}


def other(
    troupe: Troupe, name: str, stand_in: str, *, start_timeout: float = 30.0, beat_limit: float | None = None
) -> ChildSpec:
    """A child of that name whose work somebody else of the troupe does: its lives tell which spec ran."""
    return replace(troupe.child(stand_in, start_timeout=start_timeout, beat_limit=beat_limit), name=name)


@pytest.mark.parametrize("build", [one_for_one, one_for_all, rest_for_one])
async def test_otp_29_order_of_children_is_the_order_of_start(autojump_clock: MockClock, build: object) -> None:
    """OTP lists in reverse start order; ours lists in start order. Restarts, additions, and a failed start
    under rest_for_one change nothing in it."""
    troupe = Troupe()
    assert callable(build)
    async with troupe.performing(build(*map(troupe.child, "abc"))) as supervisor:
        await supervisor.add(troupe.child("d"))
        for name in "bda":
            troupe.starts[name].append(Boom("once"))
            await troupe.crash(name)
        supervisor.restart("c")
        await supervisor.replace(troupe.child("b"))
        await wait_all_tasks_blocked()
        assert list(states(supervisor)) == ["a", "b", "c", "d"]
        assert set(states(supervisor).values()) == {ActorState.RUNNING}
        troupe.cleared()
        await supervisor.stop()
        assert [entry[:6] for entry in troupe.cleared()] == ["stop d", "stop c", "stop b", "stop a"]


@pytest.mark.parametrize("build", [one_for_one, one_for_all, rest_for_one])
async def test_otp_30_code_change_of_children(autojump_clock: MockClock, build: object) -> None:
    # Changed: used at the next restart. Removed: kept, behind the others. Added: known, not started.
    troupe = Troupe()
    assert callable(build)
    async with troupe.performing(build(*map(troupe.child, "ab"))) as supervisor:
        troupe.cleared()
        supervisor.change(build(troupe.child("n"), other(troupe, "b", "bee")))
        await wait_all_tasks_blocked()
        assert troupe.cleared() == []
        assert states(supervisor) == {
            "n": ActorState.STOPPED, "b": ActorState.RUNNING, "a": ActorState.RUNNING,
        }  # fmt: skip
        await supervisor.stop_child("a")
        await troupe.crash("b")
        assert troupe.present["bee"].life == 1
        await supervisor.stop_child("n")
        supervisor.restart("n")
        await wait_all_tasks_blocked()
        assert states(supervisor)["n"] is ActorState.RUNNING


async def test_otp_30_code_change_of_flags(autojump_clock: MockClock) -> None:
    # The new intensity judges what has happened already; the new strategy holds from the next restart on.
    troupe = Troupe()
    children = [troupe.child(name) for name in "abc"]
    async with troupe.performing(one_for_all(*children, intensity=Intensity(9, 60.0))) as supervisor:
        await troupe.crash("a")
        supervisor.change(rest_for_one(*children, intensity=Intensity(2, 60.0)))
        troupe.cleared()
        await troupe.crash("b")
        assert troupe.cleared() == ["stop c2", "start b3", "start c3"]
        assert supervisor.statistics().recent_restarts == 2
        await troupe.crash("b")
        assert troupe.over.is_set()
    assert isinstance(troupe.ending, RestartLimitExceeded)
    assert "more than 2 restarts" in str(troupe.ending)


async def test_otp_30_an_error_leaves_the_old_state(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    branch = ChildSpec("branch", one_for_one(troupe.child("x")))
    troupe.starts["s"].append(HANG)
    async with troupe.performing(one_for_one(troupe.child("a"), branch)) as supervisor:
        before = supervisor.tree(), supervisor.statistics()
        a, y = troupe.child("a"), troupe.child("y")
        for error, faulty, of in (
            (ValueError, one_for_all(a), None),
            (ValueError, pool(troupe.child), None),
            (ValueError, one_for_one(y, y), None),
            (NameTaken, one_for_one(y, troupe.child("x")), None),
            (NameTaken, one_for_one(troupe.child("a")), "branch"),
            (UnknownActor, one_for_one(y), "nobody"),
        ):
            with pytest.raises(error):
                supervisor.change(faulty, of=of)
        assert (supervisor.tree(), supervisor.statistics()) == before
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.add, troupe.child("s"))
            await wait_all_tasks_blocked()
            for order in (supervisor.update, lambda spec: supervisor.change(one_for_one(spec))):
                with pytest.raises(ActorBusy, match="s is starting"):
                    order(troupe.child("s"))
            await supervisor.stop_child("s")


async def test_otp_30_a_changed_branch_comes_back_as_it_was_changed(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    branch = ChildSpec("branch", one_for_one(troupe.child("x")), backoff=AT_ONCE)
    async with troupe.performing(one_for_one(branch)) as supervisor:
        supervisor.change(one_for_one(troupe.child("y")), of="branch")
        assert states(supervisor)["y"] is ActorState.STOPPED
        supervisor.restart("branch")
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"branch": ActorState.RUNNING, "y": ActorState.RUNNING}


async def test_update_in_place_is_used_at_the_next_start(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        supervisor.update(other(troupe, "a", "ay", beat_limit=3.0))
        assert "ay" not in troupe.present
        assert supervisor.find("a").beat_limit == 3.0
        await troupe.crash("a")
        assert troupe.present["ay"].life == 1
        with pytest.raises(UnknownActor):
            supervisor.update(troupe.child("z"))


async def test_a_branch_can_become_an_actor_and_an_actor_a_branch(autojump_clock: MockClock) -> None:
    # Until its end the old branch is stopped as a branch: its child gets its whole budget.
    troupe = Troupe()
    let_go = trio.Event()
    branch = ChildSpec("x", one_for_one(troupe.child("y", stop_timeout=7.0)))
    async with troupe.performing(one_for_one(branch)) as supervisor:
        supervisor.update(troupe.child("x", stop_timeout=0.0))
        troupe.present["y"].resist = let_go
        supervisor.restart("x")
        await trio.sleep(6.5)
        assert supervisor.find("x").state is ActorState.STOPPING
        let_go.set()
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"x": ActorState.RUNNING}
        assert supervisor.zombies() == ()
        await supervisor.replace(branch)
        assert states(supervisor) == {"x": ActorState.RUNNING, "y": ActorState.RUNNING}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (one_for_one, ["stop b1", "start bee1"]),
        (rest_for_one, ["stop c1", "stop b1", "start bee1", "start c2"]),
        (one_for_all, ["stop c1", "stop b1", "stop a1", "start bee1", "start a2", "start c2"]),
    ],
)
async def test_replace_takes_the_siblings_that_the_strategy_names(
    autojump_clock: MockClock, build: object, expected: list[str]
) -> None:
    troupe = Troupe()
    assert callable(build)
    children = [*map(troupe.child, "abc"), troupe.child("d"), troupe.child("t", Restart.TEMPORARY)]
    async with troupe.performing(build(*children)) as supervisor:
        await supervisor.stop_child("d")  # stays stopped: the replacement concerns who ran
        troupe.cleared()
        await supervisor.replace(other(troupe, "b", "bee"))
        await wait_all_tasks_blocked()
        assert [entry for entry in troupe.cleared() if entry != "stop t1"] == expected
        assert states(supervisor)["d"] is ActorState.STOPPED
        assert ("t" in states(supervisor)) is (build is one_for_one)
        assert supervisor.statistics().recent_restarts == 0


@pytest.mark.parametrize("build", [one_for_one, rest_for_one, one_for_all])
async def test_a_replacement_that_does_not_start_brings_the_old_one_back(
    autojump_clock: MockClock, build: object
) -> None:
    troupe = Troupe()
    assert callable(build)
    async with troupe.performing(build(*map(troupe.child, "ab"))) as supervisor:
        for failing, why in ((Boom("bad key"), "Boom: bad key"), (HANG, "StartTimeout")):
            troupe.starts["ay"].append(failing)
            with pytest.raises(StartFailed, match=f"root could not start a: {why}"):
                await supervisor.replace(other(troupe, "a", "ay", start_timeout=2.0))
            await wait_all_tasks_blocked()
            assert states(supervisor) == {"a": ActorState.RUNNING, "b": ActorState.RUNNING}
        assert troupe.lives["a"] == 3
        await troupe.crash("a")
        assert (troupe.lives["a"], troupe.lives["ay"]) == (4, 2)


@pytest.mark.parametrize("build", [one_for_one, rest_for_one])
async def test_replace_ends_a_restart_loop_at_once(autojump_clock: MockClock, build: object) -> None:
    troupe = Troupe()
    assert callable(build)
    slow = Backoff(1000.0, 1000.0)
    async with troupe.performing(build(troupe.child("a", backoff=slow), troupe.child("b"))) as supervisor:
        troupe.starts["a"].extend(Boom("no") for _ in range(9))
        await troupe.crash("a")
        before = trio.current_time()
        await supervisor.replace(other(troupe, "a", "ay"))
        await wait_all_tasks_blocked()
        assert trio.current_time() == before
        assert set(states(supervisor).values()) == {ActorState.RUNNING}
        await troupe.crash("ay")  # its lane has let go of the old one, and cares for the new one
        assert troupe.present["ay"].life == 2
        assert trio.current_time() == before


async def test_what_the_operator_stops_during_a_replacement_stays_stopped(autojump_clock: MockClock) -> None:
    # rest_for_one: c resists for 1 s while it goes down; meanwhile a, b, or both are stopped by hand.
    for stopped in ("b", "c", "bc"):
        troupe = Troupe()
        let_go = trio.Event()
        async with troupe.performing(rest_for_one(*map(troupe.child, "abcd"))) as supervisor:
            troupe.present["d"].resist = let_go
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervisor.replace, troupe.child("b"))
                await wait_all_tasks_blocked()
                with pytest.raises(ActorBusy):
                    await supervisor.replace(troupe.child("b"))
                for order in (supervisor.restart, supervisor.delete):
                    with pytest.raises(ActorBusy):
                        order("b")
                for name in stopped:
                    await supervisor.stop_child(name)
                let_go.set()
            await wait_all_tasks_blocked()
            down = {name for name, state in states(supervisor).items() if state is ActorState.STOPPED}
            assert down == set(stopped)
            await troupe.crash("a")  # and its lane goes on as ever
            assert set(states(supervisor).values()) == {ActorState.RUNNING}


async def test_two_replacements_of_one_child_do_not_meet(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    refused: list[ActorBusy] = []

    async def ask() -> None:
        try:
            await supervisor.replace(troupe.child("a"))
        except ActorBusy as error:
            refused.append(error)

    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            nursery.start_soon(ask)
        assert (len(refused), troupe.lives["a"]) == (1, 2)


@pytest.mark.parametrize("build", [one_for_one, one_for_all, rest_for_one])
async def test_one_that_went_before_its_replacement_is_not_replaced(autojump_clock: MockClock, build: object) -> None:
    # It is deleted in the tick in which the replacement was ordered: either may come first, and nobody falls over.
    troupe = Troupe()
    assert callable(build)

    async def ask() -> None:
        with pytest.raises(UnknownActor):
            await supervisor.replace(troupe.child("b"))

    async with troupe.performing(build(*map(troupe.child, "ac"))) as supervisor:
        for _ in range(20):
            await supervisor.add(troupe.child("b"))
            await supervisor.stop_child("b")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await trio.lowlevel.checkpoint()
                supervisor.delete("b")
        assert states(supervisor) == dict.fromkeys("ac", ActorState.RUNNING)


async def test_a_reload_adds_removes_restarts_and_updates(autojump_clock: MockClock) -> None:
    """The four steps of a configuration's reload, on a tree of branches."""
    troupe = Troupe()
    old = ChildSpec("old", one_for_one(troupe.child("x")))
    async with troupe.performing(one_for_one(old, troupe.child("kept"))) as supervisor:
        await supervisor.add(ChildSpec("new", one_for_one(troupe.child("y"))))
        await supervisor.stop_child("old")
        supervisor.delete("old")
        await supervisor.replace(other(troupe, "y", "why"))
        supervisor.update(other(troupe, "kept", "kept better"))
        await wait_all_tasks_blocked()
        assert states(supervisor) == dict.fromkeys(["kept", "new", "y"], ActorState.RUNNING)
        await supervisor.add(troupe.child("x"), under="new")
        assert supervisor.find("x").supervisor == "new"
        supervisor.restart("new")  # what was added to a branch goes with its life
        await wait_all_tasks_blocked()
        assert list(states(supervisor)) == ["kept", "new", "y"]
