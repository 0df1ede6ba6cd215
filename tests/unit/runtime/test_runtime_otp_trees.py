"""Rows of Erlang/OTP's supervisor suite on whole trees and on stops, and that every row has its test."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorBusy,
    ActorContext,
    ActorState,
    AutoShutdown,
    Backoff,
    ChildSpec,
    Intensity,
    Restart,
    Strategy,
    Supervisor,
    SupervisorSpec,
)
from tests.unit.runtime.troupe import AT_ONCE, HANG, Boom, Troupe, one_for_all, one_for_one

ROWS = {"otp": range(1, 32), "trio": range(1, 9)}


def test_every_row_of_the_case_table_has_a_test() -> None:
    """31 rows from OTP, and 8 that only trio has; the eighth, no real time, is a test of the files below."""
    sources = [path.read_text() for path in Path(__file__).parent.glob("test_runtime_*.py")]
    for kind, rows in ROWS.items():
        tested = {
            int(row)
            for text in sources
            for row in re.findall(rf"^(?:async )?def test_{kind}_(\d+)_", text, re.MULTILINE)
        }
        assert tested == set(rows)


def test_trio_8_no_test_of_supervision_knows_real_time() -> None:
    # Deterministic: no sleep but trio's own, and every test that waits runs on virtual time, but for the one
    # that needs a thread.
    for path in Path(__file__).parent.glob("test_runtime_*.py"):
        text = path.read_text()
        assert not re.search(r"\btime\.sleep|asyncio\.sleep", text)
        if re.search(r"\b(Supervisor|Troupe)\(", text):
            tests = re.findall(r"^async def (test_\w+)\(([^)]*)\)", text, re.MULTILINE)
            real = {name for name, arguments in tests if "autojump_clock" not in arguments}
            assert real <= {"test_trio_5_a_thread_that_does_not_return_cannot_hang_the_stop"}


def test_otp_05_start_map_the_defaults() -> None:
    """One_for_one, never an automatic shutdown, permanent, 5 s to stop. Where ours differ, on purpose: 5 restarts
    a minute instead of 1 in 5 s, and a supervisor's time to stop is its children's instead of infinity."""
    child = ChildSpec("a", nobody)
    assert (child.restart, child.stop_timeout, child.drain_timeout) == (Restart.PERMANENT, 5.0, 0.0)
    assert (child.start_timeout, child.backoff, child.beat_limit) == (30.0, Backoff(), None)
    assert not child.significant
    spec = SupervisorSpec((child, child))
    assert (spec.strategy, spec.auto_shutdown) == (Strategy.ONE_FOR_ONE, AutoShutdown.NEVER)
    assert (spec.intensity, spec.start_intensity) == (Intensity(5, 60.0), Intensity(20, 600.0))
    assert spec.member is None
    assert ChildSpec("branch", spec, stop_timeout=0.0, drain_timeout=9.0).stop_budget() == 11.0


def test_otp_05_faulty_specs() -> None:
    """Missing and unknown keys and unknown strategies are the type checker's and the dataclass's to refuse."""
    for name, start, stop, drain in (
        ("", 1.0, 1.0, 1.0), ("a", -0.1, 1.0, 1.0), ("a", 1.0, -1.0, 1.0), ("a", 1.0, 1.0, math.nan),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="a child needs a name and times of 0 s or more"):
            ChildSpec(name, nobody, start_timeout=start, stop_timeout=stop, drain_timeout=drain)
    for period in (math.inf, math.nan, -1.0):
        with pytest.raises(ValueError, match="finite period > 0"):
            Intensity(1, period)
    with pytest.raises(TypeError):
        ChildSpec("a")  # type: ignore[call-arg]  # what is refused here


async def test_otp_07_stop_brutal_kill_there_is_none_but_no_patience_either(autojump_clock: MockClock) -> None:
    """trio has no kill: with a stop timeout of zero one that obeys at once leaves, another is a zombie at once."""
    troupe = Troupe()
    let_go = trio.Event()
    children = [troupe.child(name, stop_timeout=0.0) for name in "ab"]
    async with troupe.performing(one_for_one(*children)) as supervisor:
        troupe.present["b"].resist = let_go
        before = trio.current_time()
        report = await supervisor.stop()
        assert trio.current_time() == before
        assert [zombie.name for zombie in report.zombies if zombie.name == "b"] == ["b"]
        let_go.set()
        await wait_all_tasks_blocked()
        assert supervisor.zombies() == ()


async def test_otp_07_stop_infinity_waits_for_ever(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    let_go = trio.Event()
    async with troupe.performing(one_for_one(troupe.child("a", stop_timeout=math.inf))) as supervisor:
        troupe.present["a"].resist = let_go
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop)
            await trio.sleep(80_000.0)
            assert supervisor.find("a").state is ActorState.STOPPING
            assert not troupe.over.is_set()
            let_go.set()
    assert troupe.report is not None
    assert troupe.report.clean


async def test_otp_20_child_unlink_one_that_swallows_its_cancellation_hangs_no_stop(
    autojump_clock: MockClock,
) -> None:
    """In OTP a child can unlink itself, so that its exit is not seen. Ours can swallow its cancellation, and
    return or go on: the first is an end like any other, the second a zombie."""

    class Deaf(Actor):
        name = "deaf"

        def __init__(self, *, goes_on: bool) -> None:
            self._goes_on = goes_on

        async def run(self, context: ActorContext) -> None:
            context.started()
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                if self._goes_on:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(3600.0)

    for goes_on in (False, True):
        troupe = Troupe()
        child = ChildSpec("deaf", partial(Deaf, goes_on=goes_on), stop_timeout=2.0)
        async with troupe.performing(one_for_one(child)) as supervisor:
            report = await supervisor.stop_child("deaf")
            assert report.clean is not goes_on
            assert supervisor.find("deaf").state is (ActorState.ZOMBIE if goes_on else ActorState.STOPPED)
            supervisor.restart("deaf")  # the place is free all the same
            await wait_all_tasks_blocked()
            assert supervisor.find("deaf").state is ActorState.RUNNING
            await trio.sleep(4000.0)


def branch(name: str, *children: ChildSpec, restart: Restart = Restart.PERMANENT) -> ChildSpec:
    spec = SupervisorSpec(children, Strategy.ONE_FOR_ALL, Intensity(0, 1.0))
    return ChildSpec(name, spec, restart, backoff=AT_ONCE)


async def test_otp_21_tree_static_children_come_back_dynamic_ones_do_not(autojump_clock: MockClock) -> None:
    # root (one_for_all) <- left (a, +d), right (b), transient side (c), stopped by hand; left gives up.
    troupe = Troupe()
    right, side = branch("right", troupe.child("b")), branch("side", troupe.child("c"), restart=Restart.TRANSIENT)
    spec = one_for_all(branch("left", troupe.child("a")), right, side)
    async with troupe.performing(spec) as supervisor:
        await supervisor.add(troupe.child("d"), under="left")
        await supervisor.add(troupe.child("e"))
        await supervisor.stop_child("side")
        assert [each.name for each in supervisor.tree()] == ["left", "a", "d", "right", "b", "side", "c", "e"]
        await troupe.crash("a")
        assert [each.name for each in supervisor.tree()] == ["left", "a", "right", "b", "side", "c", "e"]
        assert {each.state for each in supervisor.tree()} == {ActorState.RUNNING}
        assert dict(troupe.lives) == {"a": 2, "b": 2, "c": 2, "d": 1, "e": 2}


async def test_otp_31_a_fresh_supervisor_has_a_fresh_worker_and_no_orphan(autojump_clock: MockClock) -> None:
    """OTP registers it globally and kills both. Ours: the branch is stopped and started by hand, gives up, and is
    restarted; its worker crashes, and is stopped and started."""
    troupe = Troupe()
    worker = ChildSpec("worker", troupe.child("w").start, backoff=AT_ONCE)
    spec = SupervisorSpec((worker,), intensity=Intensity(1, 5.0))
    async with troupe.performing(one_for_one(ChildSpec("branch", spec, backoff=AT_ONCE))) as supervisor:
        await troupe.crash("w")  # kill the worker
        assert (supervisor.find("branch").restarts, troupe.lives["w"]) == (0, 2)
        await troupe.crash("w")  # and so the supervisor
        assert (supervisor.find("branch").restarts, troupe.lives["w"]) == (1, 3)
        assert supervisor.find("worker").restarts == 0
        await supervisor.stop_child("worker")
        supervisor.restart("worker")
        await wait_all_tasks_blocked()
        await supervisor.stop_child("branch")
        supervisor.restart("branch")
        await wait_all_tasks_blocked()
        assert {each.name: each.state for each in supervisor.tree()} == {
            "branch": ActorState.RUNNING, "worker": ActorState.RUNNING,
        }  # fmt: skip
    begun, ended = ([entry for entry in troupe.journal if entry.startswith(word)] for word in ("start", "stop"))
    assert (len(begun), len(ended)) == (5, 3)  # two crashed: nobody is left over


async def test_trio_7_cancelled_in_its_backoff_a_supervisor_stops_at_once(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    slow = Backoff(1000.0, 1000.0)
    async with troupe.performing(one_for_all(troupe.child("a", backoff=slow), troupe.child("b"))) as supervisor:
        await troupe.crash("a")
        before = trio.current_time()
        supervisor._root._scope.cancel("as if from above")
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()
        assert trio.current_time() == before


async def test_list_and_orders_are_answered_in_no_time_in_every_state_of_a_group(
    autojump_clock: MockClock,
) -> None:
    """On virtual time an answer that waits for a lane would move the clock. One lane for all, and it is busy:
    waiting out a delay, waiting for a start, or waiting for one that will not go down."""
    for trouble in ("delay", "start", "stop"):
        troupe = Troupe()
        let_go = trio.Event()
        backoff = Backoff(1000.0, 1000.0) if trouble == "delay" else AT_ONCE
        children = [troupe.child(name, backoff=backoff, start_timeout=500.0, stop_timeout=500.0) for name in "abc"]
        async with troupe.performing(one_for_all(*children)) as supervisor:
            if trouble == "start":
                troupe.starts["a"].append(HANG)
            if trouble == "stop":
                troupe.present["c"].resist = let_go
            await troupe.crash("a")
            before = trio.current_time()
            await answers(supervisor)
            assert trio.current_time() == before
            let_go.set()
            await supervisor.stop()
            assert trio.current_time() == before


async def answers(supervisor: Supervisor) -> None:
    """Every order that is no wait for a start; where it may be refused, it is refused at once."""
    supervisor.tree(), supervisor.children(), supervisor.statistics(), supervisor.zombies()
    supervisor.pause_all()
    supervisor.resume_all()
    for order in (supervisor.find, supervisor.pause, supervisor.resume, supervisor.restart, supervisor.delete):
        with suppress(ActorBusy):  # an answer, too
            order("a")
    supervisor.update(ChildSpec("b", nobody))
    supervisor.change(one_for_all(ChildSpec("b", nobody)))
    await supervisor.stop_child("a")


def nobody() -> Actor:
    raise Boom("never started here")
