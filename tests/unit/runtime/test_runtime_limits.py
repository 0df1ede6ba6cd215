"""How often and how fast children come back, and what happens when that does not help."""

from __future__ import annotations

from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    ActorBusy,
    ActorState,
    Backoff,
    ChildSpec,
    HealthLevel,
    Intensity,
    RestartLimitExceeded,
    StartFailed,
    StartTimeout,
    Strategy,
    SupervisorSpec,
)
from fusion_daemon.runtime.restart import RestartWindow, failures_after
from tests.unit.runtime.troupe import HANG, Boom, Start, Troupe, one_for_all, one_for_one, rest_for_one

ONE_A_SECOND = Intensity(1, 1.0)


async def test_otp_13_multiple_restarts_the_window_slides(autojump_clock: MockClock) -> None:
    # Limit 1 per second; four crashes 2.1 s apart: alive.
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"), intensity=ONE_A_SECOND)) as supervisor:
        for _ in range(4):
            await troupe.crash("a")
            await trio.sleep(2.1)
        assert supervisor.find("a").restarts == 4
        assert not troupe.over.is_set()


@pytest.mark.parametrize("build", [one_for_one, one_for_all, rest_for_one])
async def test_otp_14_one_crash_too_many_ends_the_supervisor(autojump_clock: MockClock, build: object) -> None:
    # Limit 2 per second: the third crash within it stops everybody and is an error with its cause.
    troupe = Troupe()
    assert callable(build)
    spec = build(troupe.child("a"), troupe.child("b"), intensity=Intensity(2, 1.0))
    async with troupe.performing(spec) as supervisor:
        for _ in range(2):
            await troupe.crash("b")
        assert not troupe.over.is_set()
        await troupe.crash("b")
        assert troupe.over.is_set()
        assert supervisor.find("a").state is ActorState.STOPPED
    assert isinstance(troupe.ending, RestartLimitExceeded)
    assert "root gives up on b: more than 2 restarts within 1 s" in str(troupe.ending)
    assert isinstance(troupe.ending.__cause__, Boom)
    assert [each.name for each in troupe.ending.report.departures] == ["a"]


async def test_otp_15_escalation_failed_starts_have_a_budget_of_their_own(autojump_clock: MockClock) -> None:
    # a crashes once and then cannot start any more: 4 failed starts are allowed, the fifth ends it.
    troupe = Troupe()
    spec = one_for_one(
        troupe.child("a"), troupe.child("b"), intensity=Intensity(1, 60.0), start_intensity=Intensity(4, 60.0)
    )
    async with troupe.performing(spec):
        troupe.cleared()
        troupe.starts["a"].extend(Boom("no start") for _ in range(9))
        await troupe.crash("a")
        assert troupe.over.is_set()
    assert troupe.cleared() == ["fail a2", "fail a3", "fail a4", "fail a5", "fail a6", "stop b1"]
    assert isinstance(troupe.ending, RestartLimitExceeded)
    assert "4 failed starts" in str(troupe.ending)


def branch(troupe: Troupe, name: str, *children: ChildSpec, intensity: Intensity) -> ChildSpec:
    return ChildSpec(
        name,
        SupervisorSpec(children, Strategy.ONE_FOR_ALL, intensity),
        backoff=Backoff(initial=0.0, maximum=0.0),
    )


async def test_otp_21_tree_a_branch_that_gives_up_is_a_crash_of_its_parents_child(autojump_clock: MockClock) -> None:
    # root (one_for_all) <- left (a, b), right (c): left exhausts its limit, both branches come back.
    troupe = Troupe()
    left = branch(troupe, "left", troupe.child("a"), troupe.child("b"), intensity=Intensity(0, 1.0))
    right = branch(troupe, "right", troupe.child("c"), intensity=ONE_A_SECOND)
    async with troupe.performing(one_for_all(left, right, intensity=ONE_A_SECOND)) as supervisor:
        assert troupe.cleared() == ["start a1", "start b1", "start c1"]
        await troupe.crash("a")
        assert troupe.cleared() == ["stop b1", "stop c1", "start a2", "start b2", "start c2"]
        assert supervisor.find("left").last_error.startswith("RestartLimitExceeded: left gives up on a")
        assert [(each.name, each.supervisor) for each in supervisor.tree()] == [
            ("left", "root"), ("a", "left"), ("b", "left"), ("right", "root"), ("c", "right"),
        ]  # fmt: skip
        await troupe.crash("a")  # the second within a second: now the root gives up as well
        assert troupe.over.is_set()
    assert isinstance(troupe.ending, RestartLimitExceeded)
    assert isinstance(troupe.ending.__cause__, RestartLimitExceeded)
    assert isinstance(troupe.ending.__cause__.__cause__, Boom)


async def test_otp_04_faulty_start_at_boot_stops_the_started_ones_in_reverse(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["c"].append(Boom("no"))
    with trio.fail_after(10), pytest.raises(ExceptionGroup) as caught:
        async with troupe.performing(one_for_one(*map(troupe.child, "abcd"))):
            pass
    assert caught.group_contains(RuntimeError, match=r"exited without calling task_status.started")
    assert troupe.journal == ["start a1", "start b1", "fail c1", "stop b1", "stop a1"]
    assert isinstance(troupe.ending, StartFailed)
    assert str(troupe.ending) == "root could not start c: Boom: no"
    assert isinstance(troupe.ending.__cause__, Boom)


async def test_trio_6_a_start_that_hangs_at_boot_times_out(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["a"].append(HANG)
    with pytest.raises(ExceptionGroup):
        async with troupe.performing(one_for_one(troupe.child("a", start_timeout=3.0))):
            pass
    assert isinstance(troupe.ending, StartFailed)
    assert isinstance(troupe.ending.__cause__, StartTimeout)
    assert troupe.journal == ["start a1", "stop a1"]


async def test_trio_6_a_restart_that_hangs_times_out_and_is_tried_again(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a", start_timeout=3.0))) as supervisor:
        troupe.starts["a"].append(HANG)
        await troupe.crash("a")
        assert supervisor.find("a").state is ActorState.STARTING
        await trio.sleep(3.5)
        assert troupe.journal == ["start a1", "start a2", "stop a2", "start a3"]
        assert supervisor.find("a").last_error == "StartTimeout: a did not start within 3 s and was stopped."
        assert supervisor.statistics().recent_failed_starts == 1


SLOW = Backoff(initial=8.0, maximum=60.0, factor=2.0, stable_after=100.0)


async def test_backoff_delays_and_shows(autojump_clock: MockClock) -> None:
    # Random(7) draws 0.3238... first: the restart comes 8 s x 0.32 = 2.59 s after the crash.
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a", backoff=SLOW))) as supervisor:
        crashed_at = trio.current_time()
        await troupe.crash("a")
        status = supervisor.find("a")
        assert status.state is ActorState.RESTARTING
        assert status.health.level is HealthLevel.UNHEALTHY
        assert status.health.reason == "restarting after Boom: a"
        with pytest.raises(ActorBusy, match="a is restarting"):
            supervisor.restart("a")
        await trio.sleep_until(crashed_at + 8.0 * Random(7).random() - 0.001)
        assert supervisor.find("a").state is ActorState.RESTARTING
        await trio.sleep(0.002)
        assert supervisor.find("a").state is ActorState.RUNNING


async def test_trio_7_stop_during_backoff_is_immediate(autojump_clock: MockClock) -> None:
    for whole_tree in (True, False):
        troupe = Troupe()
        async with troupe.performing(one_for_one(troupe.child("a", backoff=SLOW))) as supervisor:
            await troupe.crash("a")
            before = trio.current_time()
            await (supervisor.stop() if whole_tree else supervisor.stop_child("a"))
            assert trio.current_time() == before
            assert supervisor.find("a").state is ActorState.STOPPED
            await trio.sleep(100)
            assert troupe.lives["a"] == 1


async def test_otp_19_hanging_restart_loop_holds_no_sibling_up(autojump_clock: MockClock) -> None:
    # a fails to start again and again, with long delays; b crashes meanwhile and comes back at once.
    troupe = Troupe()
    async with troupe.performing(
        one_for_one(troupe.child("a", backoff=SLOW), troupe.child("b"))
    ) as supervisor:
        troupe.starts["a"].extend(Boom("no") for _ in range(50))
        await troupe.crash("a")
        await troupe.crash("b")
        assert supervisor.find("b").state is ActorState.RUNNING
        await trio.sleep(300)
        assert supervisor.find("a").state is ActorState.RESTARTING
        report = await supervisor.stop_child("a")
        assert report.clean


async def test_a_stable_life_wipes_the_slate(autojump_clock: MockClock) -> None:
    spec = Backoff(initial=1.0, maximum=60.0, factor=2.0, stable_after=100.0)
    assert failures_after(spec, 5, lived=99.9) == 6
    assert failures_after(spec, 5, lived=100.0) == 1
    assert failures_after(spec, 5, lived=None) == 6

    troupe = Troupe()
    async with troupe.performing(
        one_for_one(troupe.child("a", backoff=spec), intensity=Intensity(9, 1.0))
    ) as it:
        for _ in range(6):
            await troupe.crash("a")
            await trio.sleep(60)
        await trio.sleep(100)
        await troupe.crash("a")
        await trio.sleep(1.0)  # the ceiling is back at one second
        assert it.find("a").state is ActorState.RUNNING


@given(
    initial=st.floats(0, 10), span=st.floats(0, 1000), factor=st.floats(1, 10), failures=st.integers(1, 5000),
    seed=st.integers(),
)  # fmt: skip
def test_full_jitter_stays_below_a_ceiling_that_only_grows(
    initial: float, span: float, factor: float, failures: int, seed: int
) -> None:
    backoff = Backoff(initial, initial + span, factor)
    assert backoff.ceiling(1) == initial
    assert initial <= backoff.ceiling(failures) <= backoff.ceiling(failures + 1) <= backoff.maximum
    assert 0 <= backoff.delay(failures, Random(seed)) <= backoff.ceiling(failures)


@given(
    limit=st.integers(0, 6),
    period=st.floats(0.1, 100),
    gaps=st.lists(st.floats(0, 60), min_size=1, max_size=60),
)
def test_the_window_decides_as_the_definition_does(limit: int, period: float, gaps: list[float]) -> None:
    window = RestartWindow(Intensity(limit, period))
    moments: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        moments.append(now)
        recent = sum(1 for moment in moments if now - moment <= period)
        assert window.exceeded_by_one_at(now) == (recent > limit)


def test_a_restart_exactly_a_period_ago_still_counts() -> None:
    window = RestartWindow(Intensity(1, 5.0))
    assert not window.exceeded_by_one_at(10.0)
    assert window.exceeded_by_one_at(15.0)
    assert not window.exceeded_by_one_at(20.1)


async def test_work_done_without_started_is_a_restart_and_no_failed_start(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        troupe.starts["a"].append(Start.DONE)
        await troupe.finish("a")
        assert troupe.lives["a"] == 3
        figures = supervisor.statistics()
        assert (figures.recent_restarts, figures.recent_failed_starts) == (2, 0)


async def test_an_earlier_child_that_crashes_in_a_backoff_waits_out_its_own(
    autojump_clock: MockClock,
) -> None:
    # rest_for_one: b waits up to 1 s; then a crashes, whose own delay (8 s x the second draw) counts.
    troupe = Troupe()
    random = Random(7)
    first, second = random.random(), random.random()
    short = Backoff(initial=1.0, maximum=1.0)
    spec = rest_for_one(troupe.child("a", backoff=SLOW), troupe.child("b", backoff=short))
    async with troupe.performing(spec) as supervisor:
        troupe.cleared()
        await troupe.crash("b")
        await troupe.crash("a")
        assert first < 8.0 * second
        await trio.sleep(8.0 * second - 0.01)
        assert troupe.cleared() == []
        assert {each.state for each in supervisor.children()} == {ActorState.RESTARTING}
        await trio.sleep(0.02)
        assert troupe.cleared() == ["start a2", "start b2"]


def test_otp_05_nonsense_is_refused() -> None:
    troupe = Troupe()
    for nonsense in (lambda: Intensity(-1, 1.0), lambda: Intensity(1, 0.0), lambda: Backoff(2.0, 1.0)):
        with pytest.raises(ValueError, match="needs"):
            nonsense()
    assert (
        one_for_one(troupe.child("a", stop_timeout=2.0), troupe.child("b", stop_timeout=3.0)).stop_budget()
        == 5.0
    )


async def test_otp_05_a_name_is_unique_in_the_whole_tree(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    nested = branch(troupe, "left", troupe.child("a"), intensity=ONE_A_SECOND)
    with pytest.raises(ValueError, match="two members of the tree below 'root' are named 'a'"):
        async with troupe.performing(one_for_one(nested, troupe.child("a"))):
            pass
    await wait_all_tasks_blocked()
