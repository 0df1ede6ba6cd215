"""Rows of Erlang/OTP's supervisor suite on children that come and go: ignored, added, deleted, pooled.

The number in a test's name is the row's in the case table.
"""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    Actor,
    ActorBusy,
    ActorContext,
    ActorState,
    Backoff,
    ChildSpec,
    Ignore,
    NameTaken,
    NotRunning,
    Restart,
    StartFailed,
    StartTimeout,
    Strategy,
    Supervisor,
    SupervisorSpec,
    TrioClock,
    UnknownActor,
)
from tests.effort import effort
from tests.unit.runtime.troupe import (
    HANG,
    QUIET,
    Boom,
    Start,
    Troupe,
    one_for_all,
    one_for_one,
    pool,
    rest_for_one,
)

SLOW = Backoff(initial=1000.0, maximum=1000.0)


def names(supervisor: Supervisor) -> list[str]:
    return [each.name for each in supervisor.children()]


def states(supervisor: Supervisor) -> dict[str, ActorState]:
    return {each.name: each.state for each in supervisor.children()}


@pytest.mark.parametrize("build", [one_for_one, one_for_all, rest_for_one])
async def test_otp_01_start_ignore_child_keeps_its_place(autojump_clock: MockClock, build: object) -> None:
    # b has nothing to do: the boot goes on, b's spec stays (2 specs, 1 active), and it can be started later.
    troupe = Troupe()
    assert callable(build)
    troupe.starts["b"].append(Start.IGNORE)
    async with troupe.performing(build(troupe.child("b"), troupe.child("a"))) as supervisor:
        assert states(supervisor) == {"b": ActorState.STOPPED, "a": ActorState.RUNNING}
        status = supervisor.find("b")
        assert (status.restarts, status.last_error, supervisor.statistics().recent_restarts) == (0, "", 0)
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        assert supervisor.find("b").state is ActorState.RUNNING


async def test_otp_01_a_restart_that_is_ignored_keeps_its_place(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_all(troupe.child("a"), troupe.child("b"))) as supervisor:
        troupe.starts["a"].append(Start.IGNORE)
        troupe.cleared()
        await troupe.crash("a")
        assert troupe.cleared() == ["stop b1", "ignore a2", "start b2"]
        assert states(supervisor) == {"a": ActorState.STOPPED, "b": ActorState.RUNNING}


async def test_otp_01_after_started_ignore_is_a_crash_like_any_other(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        await troupe.crash("a", Ignore())
        assert (supervisor.find("a").restarts, supervisor.find("a").last_error) == (1, "Ignore")


async def test_otp_02_start_ignore_temporary_child_leaves_nothing(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    for name in "tu":
        troupe.starts[name].append(Start.IGNORE)
    async with troupe.performing(one_for_one(troupe.child("t", Restart.TEMPORARY))) as supervisor:
        await supervisor.add(troupe.child("u", Restart.TEMPORARY))
        await wait_all_tasks_blocked()
        assert names(supervisor) == []


@pytest.mark.parametrize("build", [one_for_one, one_for_all])
async def test_otp_03_start_child_returns_error(autojump_clock: MockClock, build: object) -> None:
    # A child that cannot be started is an error with its reason; nothing is kept and nobody is disturbed.
    troupe = Troupe()
    assert callable(build)

    def junk() -> Actor:
        raise Boom("no actor at all")

    async with troupe.performing(build()) as supervisor:
        troupe.starts["a"].append(Boom("no"))
        with pytest.raises(StartFailed, match="root could not start a: Boom: no") as failed:
            await supervisor.add(troupe.child("a"))
        assert isinstance(failed.value.__cause__, Boom)
        with pytest.raises(StartFailed, match="no actor at all"):
            await supervisor.add(ChildSpec("junk", junk))
        troupe.starts["h"].append(HANG)
        with pytest.raises(StartFailed, match="did not start within 2 s") as hung:
            await supervisor.add(troupe.child("h", start_timeout=2.0))
        assert isinstance(hung.value.__cause__, StartTimeout)
        assert names(supervisor) == []
        assert supervisor.statistics().recent_failed_starts == 0
        await supervisor.add(troupe.child("a"))
        assert states(supervisor) == {"a": ActorState.RUNNING}


async def test_otp_08_child_administration(autojump_clock: MockClock) -> None:
    """Start a running or stopped id, restart or delete a running one, unknown ids, terminate twice.

    Unlike OTP, `restart` of a running child restarts it: the operator asks for a new life.
    """
    troupe = Troupe()
    async with troupe.performing(one_for_one(troupe.child("a"))) as supervisor:
        with pytest.raises(NameTaken, match="'a' is the name of another member"):
            await supervisor.add(troupe.child("a"))
        with pytest.raises(ActorBusy, match="a is running"):
            supervisor.delete("a")
        await supervisor.stop_child("a")
        assert (await supervisor.stop_child("a")).departures == ()
        with pytest.raises(NameTaken):
            await supervisor.add(troupe.child("a"))
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        supervisor.restart("a")
        await wait_all_tasks_blocked()
        assert troupe.lives["a"] == 3
        await supervisor.stop_child("a")
        supervisor.delete("a")
        assert names(supervisor) == []
        for unknown in (supervisor.delete, supervisor.restart, supervisor.find):
            with pytest.raises(UnknownActor):
                unknown("a")
        with pytest.raises(UnknownActor):
            await supervisor.add(troupe.child("a"), under="nobody")
        with pytest.raises(NameTaken):
            await supervisor.add(troupe.child("root"))
        await supervisor.add(troupe.child("a"))
        assert states(supervisor) == {"a": ActorState.RUNNING}
    with pytest.raises(NotRunning, match="The supervisor root is not running"):
        await supervisor.add(troupe.child("b"))
    with pytest.raises(NotRunning):
        await supervisor.replace(troupe.child("a"))


async def test_otp_08_two_that_ask_for_one_name_get_one_child(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    taken: list[NameTaken] = []

    async def ask() -> None:
        try:
            await supervisor.add(troupe.child("a"))
        except NameTaken as error:
            taken.append(error)

    async with troupe.performing(one_for_one()) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert (len(taken), troupe.lives["a"]) == (1, 1)


async def test_otp_08_a_name_is_taken_also_by_who_does_not_live(autojump_clock: MockClock) -> None:
    # The branch is stopped: its child's name stays its own, and a branch that lives has names below it too.
    troupe = Troupe()
    branch = ChildSpec("branch", one_for_one(troupe.child("a")))
    async with troupe.performing(one_for_one(branch)) as supervisor:
        await supervisor.stop_child("branch")
        with pytest.raises(NameTaken):
            await supervisor.add(troupe.child("a"))
        with pytest.raises(NotRunning):
            await supervisor.add(troupe.child("b"), under="branch")
        other = one_for_one(troupe.child("b"), troupe.child("b"))
        with pytest.raises(NameTaken, match="'b'"):
            await supervisor.add(ChildSpec("other", other))


async def test_otp_19_every_order_has_its_answer_in_a_restart_loop(autojump_clock: MockClock) -> None:
    """restart and delete: restarting; start_child: already present; terminate and shutdown: done at once."""
    for build in (one_for_one, rest_for_one, one_for_all):
        troupe = Troupe()
        async with troupe.performing(build(troupe.child("a", backoff=SLOW), troupe.child("b"))) as supervisor:
            troupe.starts["a"].extend(Boom("no") for _ in range(100))
            await troupe.crash("a")
            await trio.sleep(3000)
            before = trio.current_time()
            for order in (supervisor.restart, supervisor.delete):
                with pytest.raises(ActorBusy, match="a is restarting"):
                    order("a")
            with pytest.raises(NameTaken):
                await supervisor.add(troupe.child("a"))
            await supervisor.stop_child("a")
            assert supervisor.find("a").state is ActorState.STOPPED
            await supervisor.stop()
            assert trio.current_time() == before


async def test_otp_19_a_member_of_a_pool_in_a_restart_loop(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = pool(lambda name: troupe.child(name, backoff=SLOW))
    async with troupe.performing(spec) as supervisor:
        await supervisor.add_member("a")
        troupe.starts["a"].extend(Boom("no") for _ in range(100))
        await troupe.crash("a")
        assert states(supervisor) == {"a": ActorState.RESTARTING}
        before = trio.current_time()
        await supervisor.stop_child("a")
        await wait_all_tasks_blocked()
        assert names(supervisor) == []
        assert trio.current_time() == before


class Slow(Actor):
    """Needs so many seconds to clean up."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self._seconds = seconds

    async def run(self, context: ActorContext) -> None:
        context.started()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._seconds)


async def test_otp_22_a_pool_stops_all_its_members_at_once(autojump_clock: MockClock) -> None:
    # They need 1, 1 and 5 s; the stop timeout is 2 s: all of it takes 2 s, and the third is a zombie.
    seconds = {"x": 1.0, "y": 1.0, "z": 5.0}
    spec = pool(lambda name: ChildSpec(name, lambda: Slow(name, seconds[name]), stop_timeout=2.0))
    assert spec.stop_budget() == 2.0
    async with Troupe().performing(one_for_one(ChildSpec("pool", spec))) as supervisor:
        for name in seconds:
            await supervisor.add_member(name, pool="pool")
        assert supervisor.statistics().stop_budget == 3.0
        before = trio.current_time()
        report = await supervisor.stop()
        assert trio.current_time() - before == pytest.approx(2.0)
        assert [(each.name, each.zombie) for each in report.departures] == [
            ("z", True), ("y", False), ("x", False), ("pool", False),
        ]  # fmt: skip
        await trio.sleep(10.0)


async def test_a_pool_takes_names_and_forgets_who_is_over(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    spec = pool(lambda name: troupe.child(name, Restart.TRANSIENT))
    async with troupe.performing(one_for_one(ChildSpec("pool", spec), troupe.child("a"))) as supervisor:
        for name in ("x", "y", "z"):
            await supervisor.add_member(name, pool="pool")
        await troupe.finish("x")
        await troupe.crash("y")
        await supervisor.stop_child("z")
        await wait_all_tasks_blocked()
        assert [each.name for each in supervisor.tree()] == ["pool", "y", "a"]
        with pytest.raises(ValueError, match="pool is a pool"):
            await supervisor.add(troupe.child("b"), under="pool")
        with pytest.raises(ValueError, match="root is no pool"):
            await supervisor.add_member("b")
        with pytest.raises(NotRunning):
            await supervisor.add_member("b", pool="a")
        with pytest.raises(NameTaken):
            await supervisor.add_member("a", pool="pool")


def test_a_pool_has_no_static_children_and_no_group() -> None:
    troupe = Troupe()
    for children, strategy in (((troupe.child("a"),), Strategy.ONE_FOR_ONE), ((), Strategy.ONE_FOR_ALL)):
        with pytest.raises(ValueError, match="a pool begins without children"):
            SupervisorSpec(children, strategy, member=troupe.child)


async def test_otp_23_simple_one_for_one_restart_ignore_drops_the_child(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    async with troupe.performing(pool(troupe.child)) as supervisor:
        await supervisor.add_member("a")
        await supervisor.add_member("b")
        troupe.starts["a"].append(Start.IGNORE)
        await troupe.crash("a")
        assert names(supervisor) == ["b"]
        assert not troupe.over.is_set()


async def test_otp_24_count_restarting_children(autojump_clock: MockClock) -> None:
    # Two of three are in a restart loop: one running, two restarting; at last three running.
    troupe = Troupe()
    children = [troupe.child(name, backoff=Backoff(10.0, 10.0)) for name in "abc"]
    for spec in (one_for_one(*children), pool(lambda name: troupe.child(name, backoff=Backoff(10.0, 10.0)))):
        async with troupe.performing(spec) as supervisor:
            if spec.member is not None:
                for name in "abc":
                    await supervisor.add_member(name)
            for name in "ab":
                troupe.starts[name].append(Boom("no"))
                await troupe.crash(name)
            assert dict(supervisor.statistics().states) == {ActorState.RUNNING: 1, ActorState.RESTARTING: 2}
            await trio.sleep(100.0)
            assert dict(supervisor.statistics().states) == {ActorState.RUNNING: 3}


@dataclass(slots=True, weakref_slot=True)
class Large:
    """What a child is given for its work."""

    payload: bytes

    def worker(self) -> Actor:
        return Slow(f"with {len(self.payload)} bytes", 0.0)


async def test_otp_25_temporary_children_leave_no_arguments_behind(autojump_clock: MockClock) -> None:
    """OTP does not keep a temporary child's arguments; ours are the closure of its spec, which goes with it."""
    troupe = Troupe()
    watched: list[weakref.ref[Large]] = []

    def child(number: int, restart: Restart) -> ChildSpec:
        large = Large(bytes(1000))
        watched.append(weakref.ref(large))
        return ChildSpec(f"c{number}", large.worker, restart=restart)

    async with troupe.performing(one_for_one()) as supervisor:
        for number in range(100):
            await supervisor.add(child(number, Restart.TEMPORARY))
        await supervisor.add(child(100, Restart.PERMANENT))
        for number in range(101):
            await supervisor.stop_child(f"c{number}")
        await wait_all_tasks_blocked()
        gc.collect()
        assert [ref() is None for ref in watched] == [True] * 100 + [False]


async def test_otp_26_the_time_to_stop_many_temporary_children_grows_as_their_number(
    autojump_clock: MockClock,
) -> None:
    """OTP's 1,000 against 10,000 children and a ratio below 50, in tenths, and in calls instead of seconds."""

    async def cost(children: int) -> int:
        spec = pool(lambda name: ChildSpec(name, lambda: Slow(name, 0.0), restart=Restart.TEMPORARY))
        supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(1), log=QUIET)
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            async with trio.open_nursery() as adding:
                for number in range(children):
                    adding.start_soon(supervisor.add_member, f"c{number}")
            with effort() as stopping:
                report = await supervisor.stop()
            assert len(report.departures) == children
            return stopping.calls

    assert await cost(1000) < 50 * await cost(100)


async def test_an_added_child_is_last_and_lives_under_the_strategy(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    for build, after_crash in (
        (one_for_one, ["start b2"]),
        (rest_for_one, ["stop c1", "start b2", "start c2"]),
        (one_for_all, ["stop c1", "stop a1", "start a2", "start b2", "start c2"]),
    ):
        troupe = Troupe()
        async with troupe.performing(build(troupe.child("a"))) as supervisor:
            await supervisor.add(troupe.child("b"))
            await supervisor.add(troupe.child("c"))
            assert names(supervisor) == ["a", "b", "c"]
            troupe.cleared()
            await troupe.crash("b")
            assert troupe.cleared() == after_crash


async def test_one_who_gives_up_waiting_leaves_the_start_to_go_on(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["a"].append(HANG)
    async with troupe.performing(one_for_one()) as supervisor:
        with trio.move_on_after(1.0) as patience:
            await supervisor.add(troupe.child("a", start_timeout=5.0))
        assert patience.cancelled_caught
        for order in (supervisor.restart, supervisor.delete):
            with pytest.raises(ActorBusy, match="a is starting"):
                order("a")
        await trio.sleep(5.0)
        assert names(supervisor) == []


async def test_a_supervisor_that_comes_down_ends_the_start(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["a"].append(HANG)
    async with troupe.performing(one_for_one()) as supervisor:
        with pytest.RaisesGroup(NotRunning):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervisor.add, troupe.child("a"))
                await wait_all_tasks_blocked()
                nursery.start_soon(supervisor.stop)
        assert troupe.journal == ["start a1", "stop a1"]


async def test_a_start_that_the_operator_stops_is_no_failure(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["a"].append(HANG)
    async with troupe.performing(one_for_one()) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.add, troupe.child("a"))
        await wait_all_tasks_blocked()
        await supervisor.stop_child("a")
        assert states(supervisor) == {"a": ActorState.STOPPED}


async def test_one_stopped_before_its_turn_at_boot_can_be_started(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    troupe.starts["a"].append(HANG)
    spec = one_for_one(troupe.child("a", start_timeout=50.0), troupe.child("b"))
    supervisor = Supervisor("root", spec, clock=TrioClock(0.0), random=Random(1), log=QUIET)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await wait_all_tasks_blocked()
        await supervisor.stop_child("b")
        await supervisor.stop_child("a")
        await wait_all_tasks_blocked()
        supervisor.restart("b")
        await wait_all_tasks_blocked()
        assert states(supervisor) == {"a": ActorState.STOPPED, "b": ActorState.RUNNING}
        await supervisor.stop()


