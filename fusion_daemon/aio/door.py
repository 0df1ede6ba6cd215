"""The door itself: call asyncio from trio, and trio from asyncio."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar, TypeVarTuple, cast

import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fusion_daemon.aio.crossing import Call, Portal, Raised, Value, name_of
from fusion_daemon.aio.errors import AioDead, AioTimeout, CalleeCancelled, CalleeExited
from fusion_daemon.aio.loop_thread import BackgroundFailure, LoopThread
from fusion_daemon.aio.stalls import Stall
from fusion_daemon.aio.statistics import AioStatistics, Meter

CLOSE_TIMEOUT = 5.0
"""Seconds that what still runs on the loop gets to end when the door closes."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def _log_background_failure(failure: BackgroundFailure) -> None:
    log = cast("FilteringBoundLogger", structlog.get_logger("aio"))
    log.error("asyncio_background_failure", message=failure.message, exc_info=failure.error)


def _log_stall(stall: Stall) -> None:
    log = cast("FilteringBoundLogger", structlog.get_logger("aio"))
    log.warning("loop_stalled", loop=stall.loop, late_seconds=round(stall.late, 3), whereabouts=stall.whereabouts)


class Aio:
    """The door, open. Made by `open_aio`."""

    def __init__(self, thread: LoopThread) -> None:
        self._thread = thread
        self._calls, self._portal = Meter(), Meter()

    @property
    def died(self) -> trio.Event:
        """Set when the loop thread ended without being asked to: the program should end, too."""
        return self._thread.died

    async def call(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, timeout: float) -> T:
        """Run the coroutine function `fn(*args)` on the asyncio loop; its value or error comes back.

        Trio side. `timeout` (seconds, finite) is mandatory: then the callee is cancelled and, once it
        has ended, `AioTimeout` names it. Cancelling the caller cancels the callee, and the caller
        waits for its end. The caller's context variables are visible to the callee. Raises `AioDead`
        when the loop has died, `CalleeCancelled` when somebody in asyncio cancelled the callee.
        """
        if not math.isfinite(timeout):
            raise ValueError(f"a call needs a finite timeout, not {timeout}")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._thread.closed_because:
            raise AioDead(name_of(fn), self._thread.closed_because)
        begun = self._calls.begin()
        try:
            with trio.CancelScope(deadline=trio.current_time() + timeout):
                return await self._cross(Call(self._thread, fn, lambda: fn(*args)))
            self._calls.timeouts += 1
            raise AioTimeout(name_of(fn), timeout)
        except trio.Cancelled:
            self._calls.cancelled += 1
            raise
        finally:
            self._calls.end(begun)

    async def _cross(self, call: Call[T]) -> T:
        def forward(raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            call.raise_cancel = raise_cancel
            self._thread.post_to_asyncio(call.cancel)
            return trio.lowlevel.Abort.FAILED

        self._thread.pending.add(call)
        try:
            if not self._thread.post_to_asyncio(call.start):
                raise AioDead(name_of(call.fn), self._thread.closed_because or "the asyncio loop has ended")
            await trio.lowlevel.wait_task_rescheduled(forward)
        finally:
            self._thread.pending.discard(call)
        outcome = call.outcome
        if isinstance(outcome, Value):
            return outcome.value
        try:
            if outcome is not None:
                self._calls.failures += 1
                raise outcome.error
            if self._thread.closed_because:
                raise AioDead(name_of(call.fn), self._thread.closed_because)
            if call.raise_cancel is not None:
                call.raise_cancel()
            raise CalleeCancelled(name_of(call.fn))
        finally:
            # An error's traceback holds this frame, which must not hold the error.
            call.outcome = outcome = None

    async def to_trio(self, fn: Callable[[*Ts], Awaitable[T]], *args: *Ts, timeout: float) -> T:
        """Run the trio async function `fn(*args)` in the trio program: the portal.

        Asyncio side (only in coroutines of this loop). `timeout` (seconds, finite) is mandatory: then
        the trio task is cancelled and, once it has ended, `AioTimeout` names it. Cancelling the
        caller cancels the trio task, and the caller waits for its end. Context variables are carried.
        Raises `AioDead` when the trio side is closing, `CalleeExited` instead of a callee's
        KeyboardInterrupt or SystemExit.
        """
        if not math.isfinite(timeout):
            raise ValueError(f"a call needs a finite timeout, not {timeout}")
        name = name_of(fn)
        portal = Portal(self._thread, name, lambda: fn(*args))
        if self._thread.closed_because or not self._thread.post_to_trio(portal.start):
            raise AioDead(name, self._thread.closed_because or "the trio program has ended")
        begun = self._portal.begin()
        deadline = self._thread.loop.call_later(timeout, portal.expire)
        try:
            cancelled = await portal.ended_or_cancelled()
            if cancelled is not None:
                self._portal.cancelled += 1
                raise cancelled from (portal.outcome.error if isinstance(portal.outcome, Raised) else None)
            return self._portal_result(portal, timeout)
        finally:
            deadline.cancel()
            self._portal.end(begun)

    def _portal_result(self, portal: Portal[T], timeout: float) -> T:
        outcome = portal.outcome
        if isinstance(outcome, Value):
            return outcome.value
        if outcome is None:
            if portal.expired:
                self._portal.timeouts += 1
                raise AioTimeout(portal.name, timeout)
            raise AioDead(portal.name, self._thread.closed_because or "the trio program has ended")
        self._portal.failures += 1
        try:
            if isinstance(outcome.error, (KeyboardInterrupt, SystemExit)):
                raise CalleeExited(portal.name) from outcome.error
            raise outcome.error
        finally:
            # An error's traceback holds this frame, which must not hold the error.
            portal.outcome = outcome = None

    def statistics(self) -> AioStatistics:
        """A snapshot; callable from either side."""
        thread = self._thread
        return AioStatistics(
            calls=self._calls.statistics(),
            portal=self._portal.statistics(),
            swallowed=dict(thread.swallowed),
            background_failures=thread.background_failures,
            asyncio_loop=thread.asyncio_pulse.statistics(),
            trio_loop=thread.trio_pulse.statistics(),
            dead=thread.died.is_set(),
        )


@asynccontextmanager
async def open_aio(
    *,
    on_background_failure: Callable[[BackgroundFailure], None] = _log_background_failure,
    swallow_grace: float = 2.0,
    beat_interval: float = 0.25,
    close_timeout: float = CLOSE_TIMEOUT,
    stall_limit: float = 0.25,
    on_stall: Callable[[Stall], None] = _log_stall,
) -> AsyncIterator[Aio]:
    """Start the loop thread; leaving the context cancels what still runs there and ends the thread.

    Trio side. `on_background_failure` is called on the asyncio thread, `on_stall` on one of its own when
    either loop has run nothing for `stall_limit`. Times in seconds. Leaving is
    not interrupted by cancellation and takes at most about `close_timeout` + 1 s; a thread that would
    not end by then is logged and left behind (it is a daemon thread).
    """
    thread = LoopThread(
        on_background_failure=on_background_failure,
        swallow_grace=swallow_grace,
        beat_interval=beat_interval,
        close_timeout=close_timeout,
        stall_limit=stall_limit,
        on_stall=on_stall,
    )
    thread.start()
    try:
        yield Aio(thread)
    finally:
        with trio.CancelScope(shield=True):
            if not await thread.close():
                log = cast("FilteringBoundLogger", structlog.get_logger("aio"))
                log.error("asyncio_thread_left_behind", waited_seconds=close_timeout + 1.0)
