"""Rows 27 and 28 of the case table: significant children, and supervisors that end with them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import ActorState, AutoShutdown, ChildSpec, Restart, Strategy, SupervisorSpec
from tests.unit.runtime.troupe import AT_ONCE, HANG, Boom, Start, Troupe, one_for_all, one_for_one, rest_for_one

ANY, ALL = AutoShutdown.ANY, AutoShutdown.ALL
TEMPORARY, TRANSIENT = Restart.TEMPORARY, Restart.TRANSIENT


@pytest.mark.parametrize("build", [one_for_one, one_for_all, rest_for_one])
@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
async def test_otp_27_any_significant_ends_with_the_first(
    autojump_clock: MockClock, build: object, restart: Restart
) -> None:
    # s and t are significant; s returns: everybody else is stopped in reverse order, and run returns.
    troupe = Troupe()
    assert callable(build)
    s, t = (troupe.child(name, restart, significant=True) for name in "st")
    async with troupe.performing(build(troupe.child("a"), s, t, auto_shutdown=ANY)):
        troupe.cleared()
        await troupe.finish("s")
        assert troupe.over.is_set()
    assert troupe.cleared() == ["stop t1", "stop a1"]
    assert troupe.ending is None
    assert troupe.report is not None
    assert [each.name for each in troupe.report.departures][:2] == ["t", "a"] or restart is TRANSIENT


async def test_otp_27_all_significant_ends_with_the_last(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    s, t, u = (troupe.child(name, TRANSIENT, significant=True) for name in "stu")
    async with troupe.performing(one_for_one(s, t, u, troupe.child("a"), auto_shutdown=ALL)) as supervisor:
        await troupe.finish("s")
        await supervisor.stop_child("t")  # stopped by hand: it triggers nothing, and nobody waits for it
        assert not troupe.over.is_set()
        await troupe.finish("u")
        assert troupe.over.is_set()
    assert troupe.ending is None


async def test_otp_27_a_significant_child_in_its_backoff_counts_as_present(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    s, t = (troupe.child(name, TRANSIENT, significant=True) for name in "st")
    async with troupe.performing(one_for_one(s, t, auto_shutdown=ALL)) as supervisor:
        troupe.starts["t"].append(HANG)
        await troupe.crash("t")
        await troupe.finish("s")
        assert not troupe.over.is_set()
        assert supervisor.find("t").state is ActorState.STARTING


async def test_otp_27_a_temporary_one_triggers_by_any_exit_a_transient_one_by_a_normal_one(
    autojump_clock: MockClock,
) -> None:
    for restart, ends in ((TEMPORARY, True), (TRANSIENT, False)):
        troupe = Troupe()
        spec = one_for_one(troupe.child("s", restart, significant=True), auto_shutdown=ANY)
        async with troupe.performing(spec):
            await troupe.crash("s")
            assert troupe.over.is_set() is ends
            assert troupe.lives["s"] == (1 if ends else 2)


@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
async def test_otp_27_a_stop_by_the_supervisor_never_triggers(
    autojump_clock: MockClock, restart: Restart
) -> None:
    # By the operator, as a bystander of a restart, as a replacement, and by an answer of Ignore: nothing ends.
    for mode in (ANY, ALL):
        troupe = Troupe()
        spec = one_for_all(
            troupe.child("a"),
            *(troupe.child(name, restart, significant=True) for name in "st"),
            auto_shutdown=mode,
        )
        async with troupe.performing(spec) as supervisor:
            await supervisor.stop_child("s")
            troupe.starts["t"].append(Start.IGNORE)
            await troupe.crash("a")
            await supervisor.add(troupe.child("u", restart, significant=True))
            await supervisor.replace(troupe.child("u", restart, significant=True))
            await wait_all_tasks_blocked()
            assert troupe.lives["u"] == 2
            assert not troupe.over.is_set()


async def test_otp_27_nonsignificant_children_trigger_nothing(autojump_clock: MockClock) -> None:
    for mode in (ANY, ALL):
        troupe = Troupe()
        spec = one_for_one(troupe.child("a", TRANSIENT), troupe.child("t", TEMPORARY), auto_shutdown=mode)
        async with troupe.performing(spec):
            await troupe.finish("a")
            await troupe.finish("t")
            assert not troupe.over.is_set()


async def test_otp_27_a_temporary_one_that_fails_to_start_again_triggers(autojump_clock: MockClock) -> None:
    # The operator restarts it, and it does not come up: it is gone by itself and for good.
    troupe = Troupe()
    spec = one_for_one(troupe.child("s", TEMPORARY, significant=True), auto_shutdown=ANY)
    async with troupe.performing(spec) as supervisor:
        troupe.starts["s"].append(Boom("no"))
        supervisor.restart("s")
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()
    assert troupe.ending is None


async def test_otp_27_one_that_is_done_at_boot_ends_a_supervisor_that_has_started(
    autojump_clock: MockClock,
) -> None:
    troupe = Troupe()
    troupe.starts["s"].append(Start.DONE)
    spec = one_for_one(
        troupe.child("s", TRANSIENT, significant=True), troupe.child("a"), auto_shutdown=ANY
    )
    async with troupe.performing(spec):
        await wait_all_tasks_blocked()
        assert troupe.over.is_set()
    assert troupe.journal == ["start s1", "start a1", "stop a1"]


async def test_otp_27_impossible_combinations_are_refused(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    with pytest.raises(ValueError, match="p comes back always, so it cannot be significant"):
        troupe.child("p", significant=True)
    idle = troupe.child("s", TRANSIENT, significant=True)
    with pytest.raises(ValueError, match="s is significant, but its supervisor's auto_shutdown is never"):
        one_for_one(idle)
    async with troupe.performing(one_for_one(troupe.child("s"))) as supervisor:
        for order in (supervisor.add, supervisor.replace):
            with pytest.raises(ValueError, match="auto_shutdown is never"):
                await order(idle)
        with pytest.raises(ValueError, match="auto_shutdown is never"):
            supervisor.update(idle)


def branch(troupe: Troupe, name: str, restart: Restart, mode: AutoShutdown = ANY) -> ChildSpec:
    """name <- (name+"s", significant)."""
    child = troupe.child(f"{name}s", TRANSIENT, significant=True)
    significant = restart is not Restart.PERMANENT
    below = SupervisorSpec((child,), Strategy.ONE_FOR_ONE, auto_shutdown=mode)
    return ChildSpec(name, below, restart, backoff=AT_ONCE, significant=significant)


async def test_otp_28_significant_escalation_goes_up_the_tree(autojump_clock: MockClock) -> None:
    # The significant child of a significant transient branch ends: branch and root end, normally.
    for restart in (TRANSIENT, TEMPORARY):
        troupe = Troupe()
        spec = one_for_one(branch(troupe, "b", restart), troupe.child("a"), auto_shutdown=ANY)
        async with troupe.performing(spec):
            await troupe.finish("bs")
            assert troupe.over.is_set()
        assert troupe.ending is None
        assert troupe.journal == ["start bs1", "start a1", "stop a1"]


async def test_otp_28_a_permanent_branch_that_ended_with_its_children_comes_back(
    autojump_clock: MockClock,
) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(branch(troupe, "b", Restart.PERMANENT))) as supervisor:
        await troupe.finish("bs")
        assert troupe.lives["bs"] == 2
        assert supervisor.find("b").last_error == ""


async def test_otp_28_significant_upgrade_a_new_mode_is_obeyed(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    children = [troupe.child(name, TRANSIENT, significant=True) for name in "stu"]
    async with troupe.performing(one_for_one(*children, auto_shutdown=ALL)) as supervisor:
        await troupe.finish("s")
        assert not troupe.over.is_set()
        with pytest.raises(ValueError, match="auto_shutdown is never"):
            supervisor.change(one_for_one(*children))
        supervisor.change(one_for_one(*children, auto_shutdown=ANY))
        await troupe.finish("t")
        assert troupe.over.is_set()
    assert troupe.ending is None
    assert troupe.journal[-1] == "stop u1"


async def test_an_automatic_shutdown_lets_the_others_drain(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = one_for_one(
        troupe.child("s", TEMPORARY, significant=True), troupe.child("a", drain_timeout=3.0), auto_shutdown=ANY
    )
    async with troupe.performing(spec):
        context = troupe.present["a"].context
        assert context is not None
        await troupe.finish("s")
        assert context.draining.is_set()
        assert not troupe.over.is_set()
        await trio.sleep(3.5)
        assert troupe.over.is_set()
