"""Rule: back-off, restart windows, beats and deadlines are monotonic: a jump of the wall clock moves none of them."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from fusion_daemon.runtime import (
    Actor,
    ActorContext,
    ActorState,
    ChildSpec,
    Supervisor,
    SupervisorSpec,
    TrioClock,
    stale,
    stalled,
)

HOURS = 3_600.0


class JumpingClock:
    """Trio's clock, whose wall time a test can set."""

    def __init__(self) -> None:
        self._inner = TrioClock(1_800_000_000.0)
        self.jumped = 0.0

    def now(self) -> float:
        return self._inner.now() + self.jumped

    def monotonic(self) -> float:
        return self._inner.monotonic()


class Sleeper(Actor):
    name = "sleeper"

    async def run(self, context: ActorContext) -> None:
        context.started()
        await trio.sleep_forever()


class Crasher(Actor):
    name = "crasher"

    def __init__(self, lives: list[float]) -> None:
        self._lives = lives

    async def run(self, context: ActorContext) -> None:
        context.started()
        self._lives.append(trio.current_time())
        if len(self._lives) < 5:
            raise RuntimeError("planned")
        await trio.sleep_forever()


@pytest.mark.parametrize("jump", [-5 * HOURS, 5 * HOURS])
async def test_a_jump_makes_nobody_look_stalled(autojump_clock: MockClock, jump: float) -> None:
    clock = JumpingClock()
    spec = SupervisorSpec((ChildSpec("sleeper", Sleeper, beat_limit=30.0),))
    tree = Supervisor("root", spec, clock=clock, random=Random(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        await trio.sleep(10)
        clock.jumped = jump
        assert stalled(tree.tree()) == ()
        [status] = [each for each in tree.tree() if each.name == "sleeper"]
        assert status.beat_age == pytest.approx(10.0)
        await trio.sleep(21)
        assert [each.name for each in stalled(tree.tree())] == ["sleeper"]
        await tree.stop()


class Reader(Actor):
    """Reads once, what is three seconds old, and hangs."""

    name = "reader"

    async def run(self, context: ActorContext) -> None:
        context.started()
        context.fresh(context.clock.now() - 3.0)
        await trio.sleep_forever()


@pytest.mark.parametrize("jump", [-5 * HOURS, 5 * HOURS])
async def test_a_jump_makes_no_data_older_or_younger(autojump_clock: MockClock, jump: float) -> None:
    # a clock set back by hours must not hide for hours that a reader hangs
    clock = JumpingClock()
    spec = SupervisorSpec((ChildSpec("reader", Reader, data_limit=30.0),))
    tree = Supervisor("root", spec, clock=clock, random=Random(1))
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        await trio.sleep(10)
        clock.jumped = jump
        assert tree.find("reader").data_age == pytest.approx(13.0)
        assert stale(tree.find("reader")) is None
        await trio.sleep(18)
        assert stale(tree.find("reader")) == "what it knows is 31 s old, limit 30 s"
        await tree.stop()


@pytest.mark.parametrize("jump", [-5 * HOURS, 5 * HOURS])
async def test_restarts_are_spaced_and_counted_as_without_the_jump(autojump_clock: MockClock, jump: float) -> None:
    # five lives, the clock jumps before the third: the supervisor's budget of five in a minute holds
    lives: list[float] = []
    clock = JumpingClock()
    tree = Supervisor(
        "root", SupervisorSpec((ChildSpec("crasher", lambda: Crasher(lives)),)), clock=clock, random=Random(1)
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        while len(lives) < 5:
            clock.jumped = jump if len(lives) > 2 else 0.0
            await trio.sleep(0.05)
        assert max(lives) - min(lives) < 10
        [status] = [each for each in tree.tree() if each.name == "crasher"]
        assert (status.state, status.restarts) == (ActorState.RUNNING, 4)
        await tree.stop()
