"""The door to asyncio, in real time: values, errors, deadlines and cancellation in both directions."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import math
import threading
import weakref

import pytest
import sniffio
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.aio import (
    Aio,
    AioDead,
    AioTimeout,
    BackgroundFailure,
    CalleeCancelled,
    CalleeExited,
    open_aio,
)

LONG = 30.0
"""A deadline that only a failing test reaches."""

customer: contextvars.ContextVar[str] = contextvars.ContextVar("customer", default="nobody")


class Boom(Exception):
    """The error of these tests."""


class Sign:
    """An event that the asyncio side sets and the trio side waits for."""

    def __init__(self) -> None:
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def give(self) -> None:
        self._token.run_sync_soon(self._event.set)

    async def seen(self) -> None:
        with trio.fail_after(LONG):
            await self._event.wait()


async def pass_deadline(clock: MockClock, began: Sign) -> None:
    """Let trio's time pass every deadline once the callee has begun, however busy the machine is."""
    await began.seen()
    clock.jump(2 * LONG)


async def add(left: int, right: int) -> int:
    await asyncio.sleep(0)
    return left + right


async def fail(error: BaseException) -> None:
    await asyncio.sleep(0)
    raise error


async def sleep_for_ever() -> None:
    await asyncio.get_running_loop().create_future()


# trio to asyncio


async def test_a_value_comes_back_and_is_counted(aio: Aio) -> None:
    assert await aio.call(add, 2, 3, timeout=LONG) == 5
    figures = aio.statistics().calls
    assert (figures.crossings, figures.in_flight, figures.failures) == (1, 0, 0)
    assert sum(figures.latency.counts) == 1


async def test_an_error_comes_back_as_itself(aio: Aio) -> None:
    error = Boom("x")
    with pytest.raises(Boom) as caught:
        await aio.call(fail, error, timeout=LONG)
    assert caught.value is error
    assert aio.statistics().calls.failures == 1


async def test_a_context_variable_is_carried_and_the_library_is_known(aio: Aio) -> None:
    async def look() -> tuple[str, str]:
        found = customer.get(), sniffio.current_async_library()
        customer.set("changed there")
        return found

    customer.set("acme")
    assert await aio.call(look, timeout=LONG) == ("acme", "asyncio")
    assert customer.get() == "acme"


async def test_the_deadline_names_the_callee_which_has_ended(mock_clock: MockClock, aio: Aio) -> None:
    began, ended = Sign(), list[bool]()

    async def slow() -> None:
        began.give()
        try:
            await sleep_for_ever()
        finally:
            ended.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_deadline, mock_clock, began)
        with pytest.raises(AioTimeout, match=r"slow did not finish within 30 s") as caught:
            await aio.call(slow, timeout=LONG)
    assert caught.value.seconds == LONG
    assert ended == [True]
    figures = aio.statistics().calls
    assert (figures.timeouts, figures.cancelled, figures.in_flight) == (1, 0, 0)


async def test_a_deadline_that_has_passed_starts_nothing(aio: Aio) -> None:
    with pytest.raises(AioTimeout):
        await aio.call(fail, Boom("it ran"), timeout=0.0)


@pytest.mark.parametrize("timeout", [math.inf, math.nan])
async def test_a_call_without_a_deadline_is_refused(aio: Aio, timeout: float) -> None:
    with pytest.raises(ValueError, match="finite timeout"):
        await aio.call(add, 1, 1, timeout=timeout)
    with pytest.raises(ValueError, match="finite timeout"):
        await aio.call(functools.partial(aio.to_trio, trio.sleep, 0, timeout=timeout), timeout=LONG)


async def test_a_cancel_is_forwarded_and_the_caller_waits_for_the_clean_up(aio: Aio) -> None:
    began, steps = Sign(), list[str]()

    async def clean() -> None:
        began.give()
        try:
            await sleep_for_ever()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            steps.append("cleaned")

    async with trio.open_nursery() as nursery:

        async def call() -> None:
            try:
                await aio.call(clean, timeout=LONG)
            finally:
                steps.append("caller went on")

        nursery.start_soon(call)
        await began.seen()
        nursery.cancel_scope.cancel()
    assert steps == ["cleaned", "caller went on"]
    assert aio.statistics().calls.cancelled == 1


async def test_a_cancelled_caller_starts_nothing(aio: Aio) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await aio.call(fail, Boom("it ran"), timeout=LONG)
    assert scope.cancelled_caught
    assert aio.statistics().calls.crossings == 0


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [None, Boom("conflict")])
async def test_an_outcome_that_is_known_is_not_thrown_away(
    mock_clock: MockClock, aio: Aio, late: bool, error: Boom | None
) -> None:
    # The callee finishes although it is late or cancelled: a commit that went through, for example.
    began, outcome = Sign(), ""

    async def finish() -> str:
        began.give()
        try:
            await sleep_for_ever()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None
        return "committed"

    async def cancel(scope: trio.CancelScope) -> None:
        await began.seen()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            if late:
                nursery.start_soon(pass_deadline, mock_clock, began)
            else:
                nursery.start_soon(cancel, scope)
            try:
                outcome = await aio.call(finish, timeout=LONG)
            except Boom as caught:
                outcome = str(caught)
    assert outcome == ("committed" if error is None else "conflict")


async def test_a_swallowed_cancel_is_counted_by_name_and_repeated(mock_clock: MockClock) -> None:
    began = Sign()

    async def stubborn() -> str:
        began.give()
        swallowed = 0
        while swallowed < 3:
            try:
                await sleep_for_ever()
            except asyncio.CancelledError:
                swallowed += 1
        return "at last"

    async with open_aio(swallow_grace=0.01) as aio, trio.open_nursery() as nursery:
        nursery.start_soon(pass_deadline, mock_clock, began)
        assert await aio.call(stubborn, timeout=LONG) == "at last"
        ((name, count),) = aio.statistics().swallowed.items()
        assert name.endswith("stubborn")
        assert count == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
async def test_a_callee_that_ends_the_program_reaches_its_caller_and_not_the_loop(
    aio: Aio, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        await aio.call(fail, error, timeout=LONG)
    assert caught.value is error
    assert await aio.call(add, 1, 1, timeout=LONG) == 2
    assert not aio.died.is_set()


async def test_a_callee_cancelled_on_its_own_side_is_an_error_of_its_own(aio: Aio) -> None:
    async def suicide() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(CalleeCancelled, match="suicide was cancelled on its own side"):
        await aio.call(suicide, timeout=LONG)


async def test_a_thousand_calls_in_flight_are_cancelled_together(aio: Aio) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(functools.partial(aio.call, sleep_for_ever, timeout=LONG))
        await wait_all_tasks_blocked()
        assert aio.statistics().calls.in_flight == 1000
        nursery.cancel_scope.cancel()
    figures = aio.statistics().calls
    assert (figures.in_flight, figures.cancelled) == (0, 1000)


async def test_an_error_leaves_no_cycle_behind(aio: Aio) -> None:
    # The value that the callee's frame held is free as soon as the error is, without the collector.
    class Heavy:
        pass

    held: list[weakref.ref[Heavy]] = []

    async def heavy() -> None:
        burden = Heavy()
        held.append(weakref.ref(burden))
        raise Boom("x")

    gc.disable()
    try:
        with pytest.raises(Boom):
            await aio.call(heavy, timeout=LONG)
        await aio.call(add, 1, 1, timeout=LONG)
    finally:
        alive = held[0]() is not None
        gc.enable()
    assert not alive


# asyncio to trio


async def double(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number * 2


async def test_the_portal_carries_values_errors_and_context(aio: Aio) -> None:
    async def look() -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return customer.get(), sniffio.current_async_library()

    async def fail_there() -> None:
        raise Boom("trio")

    async def use() -> tuple[int, tuple[str, str]]:
        customer.set("acme")
        with pytest.raises(Boom, match="trio"):
            await aio.to_trio(fail_there, timeout=LONG)
        return await aio.to_trio(double, 21, timeout=LONG), await aio.to_trio(look, timeout=LONG)

    assert await aio.call(use, timeout=LONG) == (42, ("acme", "trio"))
    figures = aio.statistics().portal
    assert (figures.crossings, figures.in_flight, figures.failures) == (3, 0, 1)


async def test_a_late_trio_callee_is_cancelled_and_named(aio: Aio) -> None:
    ended: list[bool] = []

    async def slow() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    async def use() -> None:
        await aio.to_trio(slow, timeout=0.01)

    with pytest.raises(AioTimeout, match="slow"):
        await aio.call(use, timeout=LONG)
    assert ended == [True]
    assert aio.statistics().portal.timeouts == 1


async def test_a_cancel_goes_through_both_doors_and_is_waited_for(aio: Aio) -> None:
    # trio -> asyncio -> trio: cancelling the outermost caller ends the innermost callee first.
    began, clean, steps = trio.Event(), trio.Event(), list[str]()

    async def innermost() -> None:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await clean.wait()
            steps.append("innermost")

    async def middle() -> None:
        try:
            await aio.to_trio(innermost, timeout=LONG)
        finally:
            steps.append("middle")

    async with trio.open_nursery() as nursery:

        async def outermost() -> None:
            try:
                await aio.call(middle, timeout=LONG)
            finally:
                steps.append("outermost")

        nursery.start_soon(outermost)
        await began.wait()
        nursery.cancel_scope.cancel()
        nursery.cancel_scope.shield = True
        for _ in range(10):
            with trio.CancelScope(shield=True):
                await aio.call(add, 1, 1, timeout=LONG)
        assert steps == []
        clean.set()
    assert steps == ["innermost", "middle", "outermost"]
    assert aio.statistics().portal.cancelled == 1


async def test_a_trio_callee_cannot_end_the_loop(aio: Aio) -> None:
    async def leave() -> None:
        raise SystemExit(3)

    async def use() -> None:
        await aio.to_trio(leave, timeout=LONG)

    with pytest.raises(CalleeExited) as caught:
        await aio.call(use, timeout=LONG)
    assert isinstance(caught.value.__cause__, SystemExit)
    assert await aio.call(add, 1, 1, timeout=LONG) == 2


# the loop's life


async def test_a_background_failure_is_counted_and_told(aio: Aio) -> None:
    told: list[BackgroundFailure] = []
    sign = Sign()

    def tell(failure: BackgroundFailure) -> None:
        told.append(failure)
        sign.give()

    async def leave_behind() -> None:
        asyncio.get_running_loop().call_soon(int, "no number")

    async with open_aio(on_background_failure=tell) as listening:
        await listening.call(leave_behind, timeout=LONG)
        await sign.seen()
        assert listening.statistics().background_failures == 1
    assert isinstance(told[0].error, ValueError)
    # By default it is logged, and the loop goes on.
    await aio.call(leave_behind, timeout=LONG)
    assert await aio.call(add, 1, 1, timeout=LONG) == 2
    assert aio.statistics().background_failures == 1


async def exit_in_background() -> None:
    def leave() -> None:
        raise SystemExit(9)

    asyncio.get_running_loop().call_soon(leave)
    await sleep_for_ever()


async def stop_loop() -> None:
    asyncio.get_running_loop().stop()
    await sleep_for_ever()


@pytest.mark.parametrize("kill", [exit_in_background, stop_loop])
async def test_when_the_loop_dies_every_call_learns_it_at_once(kill: object) -> None:
    assert callable(kill)
    async with open_aio() as aio, trio.open_nursery() as nursery:
        learned: list[str] = []

        async def wait() -> None:
            try:
                await aio.call(sleep_for_ever, timeout=LONG)
            except AioDead as dead:
                learned.append(dead.callee)

        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        with trio.fail_after(5.0), pytest.raises(AioDead, match="the asyncio loop"):
            await aio.call(kill, timeout=LONG)
        assert aio.died.is_set()
        assert aio.statistics().dead
        with pytest.raises(AioDead, match="add cannot be called or lost its answer: the asyncio loop"):
            await aio.call(add, 1, 1, timeout=LONG)
        await wait_all_tasks_blocked()
        assert [name.rpartition(".")[2] for name in learned] == ["sleep_for_ever"]


async def test_leaving_ends_the_thread_and_what_ran_on_both_sides() -> None:
    ended: list[str] = []
    began = Sign()

    async def in_trio() -> None:
        began.give()
        try:
            await trio.sleep_forever()
        finally:
            ended.append("trio callee")

    async def in_asyncio() -> None:
        try:
            await aio.to_trio(in_trio, timeout=LONG)
        finally:
            ended.append("asyncio task")

    kept: list[asyncio.Task[None]] = []

    async def begin() -> None:
        kept.append(asyncio.get_running_loop().create_task(in_asyncio()))

    with pytest.raises(Boom):
        async with open_aio() as aio:
            await aio.call(begin, timeout=LONG)
            await began.seen()
            raise Boom("the body's own error comes out as it is")
    assert sorted(ended) == ["asyncio task", "trio callee"]
    assert not [thread for thread in threading.enumerate() if thread.name == "aio"]
    with pytest.raises(AioDead, match="closed"):
        await aio.call(add, 1, 1, timeout=LONG)
    assert not aio.died.is_set()
    # The task ended on the door's account; reading its error keeps asyncio from complaining.
    assert isinstance(kept[0].exception() if not kept[0].cancelled() else None, AioDead | None)


async def test_a_blocked_loop_shows_as_an_old_beat_and_as_lag() -> None:
    blocked, release = Sign(), threading.Event()

    async def block() -> None:
        blocked.give()
        release.wait(LONG)

    async with open_aio(beat_interval=0.005) as aio, trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(aio.call, block, timeout=LONG))
        await blocked.seen()
        with trio.fail_after(LONG):
            while aio.statistics().asyncio_loop.beat_age < 0.1:
                await trio.lowlevel.checkpoint()
        release.set()
        with trio.fail_after(LONG):
            while aio.statistics().asyncio_loop.peak_lag < 0.05:
                await trio.lowlevel.checkpoint()
        assert aio.statistics().asyncio_loop.beat_age < LONG

    async with open_aio(beat_interval=0.005) as aio:
        # trio itself blocked: its beat is posted by the other loop, and ages there.
        ages: list[float] = []
        over = threading.Event()

        async def observe() -> None:
            while not ages or ages[-1] < 0.1:
                await asyncio.sleep(0)
                ages.append(aio.statistics().trio_loop.beat_age)
            over.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(functools.partial(aio.call, observe, timeout=LONG))
            await wait_all_tasks_blocked()
            over.wait(LONG)
        assert ages[-1] >= 0.1
        with trio.fail_after(LONG):
            while aio.statistics().trio_loop.peak_lag < 0.05:
                await trio.lowlevel.checkpoint()


async def test_a_thread_that_will_not_end_is_reported_and_left_behind() -> None:
    blocked, release = Sign(), threading.Event()

    async def begin() -> None:
        asyncio.get_running_loop().call_later(0.01, block)

    def block() -> None:
        blocked.give()
        release.wait(LONG)

    with structlog.testing.capture_logs() as logs:
        async with open_aio(close_timeout=0.0) as aio:
            await aio.call(begin, timeout=LONG)
            await blocked.seen()
        (thread,) = [each for each in threading.enumerate() if each.name == "aio"]
        release.set()
        thread.join(LONG)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("asyncio_thread_left_behind", "error")
    ]
