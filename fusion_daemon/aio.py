"""The one door to asyncio: a uvloop loop in one thread, called from trio, with a portal back.

INVARIANTS
* One call is one coroutine. Neither side returns to its caller before the task on the other side has
  ended, whatever is cancelled. (A dead loop thread is the exception: there is nothing to wait for.)
* Cancellation is forwarded both ways. trio repeats a cancel until it is obeyed, asyncio delivers it
  once: so a callee that still runs `swallow_grace` seconds after its cancel is counted by name as
  having swallowed it, and is cancelled again, as often as it takes.
* A known outcome is not thrown away: a callee that finished although it was cancelled or late
  delivers its value or its error to the trio caller.
* A callee's KeyboardInterrupt or SystemExit reaches its caller and never the loop, which would end
  on it.

Knows nothing else of the project but how to count (`aio_statistics`). On virtual time a pending call
does not hold trio's clock back: tests of code behind this door run in real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import math
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar, TypeVarTuple, cast

import structlog
import trio
import uvloop
from structlog.typing import FilteringBoundLogger

from fusion_daemon.aio_statistics import AioStatistics, Meter, Pulse

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class AioError(Exception):
    """The crossing itself failed; errors of the callee arrive as they are."""


class AioTimeout(AioError):
    """The callee was cancelled at its deadline, and has ended."""

    def __init__(self, callee: str, seconds: float) -> None:
        self.callee = callee
        self.seconds = seconds
        super().__init__(f"{callee} did not finish within {seconds:g} s and was cancelled.")


class AioDead(AioError):
    """The other side's loop has ended; whether the callee had an effect is unknown."""

    def __init__(self, callee: str, cause: str) -> None:
        self.callee = callee
        super().__init__(f"{callee} cannot be called or lost its answer: {cause}.")


class CalleeCancelled(AioError):
    """The callee was cancelled by somebody on its own side, not by this caller."""

    def __init__(self, callee: str) -> None:
        self.callee = callee
        super().__init__(f"{callee} was cancelled on its own side.")


class CalleeExited(AioError):
    """A trio callee of the portal raised KeyboardInterrupt or SystemExit (its `__cause__`)."""

    def __init__(self, callee: str) -> None:
        self.callee = callee
        super().__init__(f"{callee} tried to end the program.")


@dataclass(frozen=True, slots=True)
class BackgroundFailure:
    """What asyncio's loop had to say when nobody else would hear it."""

    message: str
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Value(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


def _name_of(fn: object) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    described = fn if hasattr(fn, "__qualname__") else type(fn)
    return f"{described.__module__}.{described.__qualname__}"


def _log_background_failure(failure: BackgroundFailure) -> None:
    log = cast("FilteringBoundLogger", structlog.get_logger("aio"))
    log.error("asyncio_background_failure", message=failure.message, exc_info=failure.error)


class _LoopThread:
    """The thread with the loop, and the way to post to either side. Written by the side noted."""

    def __init__(
        self,
        *,
        on_background_failure: Callable[[BackgroundFailure], None],
        swallow_grace: float,
        beat_interval: float,
        close_timeout: float,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.swallow_grace = swallow_grace
        self.close_timeout = close_timeout
        self.swallowed: Counter[str] = Counter()
        self.background_failures = 0
        self.asyncio_pulse, self.trio_pulse = Pulse(), Pulse()
        self.pending: set[_Call[object]] = set()
        """Trio side: calls whose caller still waits."""
        self.portals: set[_Portal[object]] = set()
        """Trio side: portal calls that run."""
        self.closed_because = ""
        """Trio side: why no call can be made any more."""
        self.died = trio.Event()
        self.ended = trio.Event()
        self._closing = self._winding_down = False
        """Asyncio side: asked to end; has ended its ordinary run, whether asked or not."""
        self._on_background_failure = on_background_failure
        self._beat_interval = beat_interval
        self._beat_timer: asyncio.TimerHandle | None = None
        self._trio_beat_posted = False
        self._trio_token = trio.lowlevel.current_trio_token()
        self._thread = threading.Thread(target=self._serve, name="aio", daemon=True)

    def start(self) -> None:
        self.loop.set_exception_handler(self._background_failed)
        self.loop.call_soon(self._beat, self.loop.time())
        self._thread.start()

    def post_to_trio(self, fn: Callable[[*Ts], object], *args: *Ts) -> bool:
        """Asyncio side. False when the trio run is over: then nobody there waits for it either."""
        try:
            self._trio_token.run_sync_soon(fn, *args)
        except trio.RunFinishedError:
            return False
        return True

    def post_to_asyncio(self, fn: Callable[[*Ts], object], *args: *Ts) -> bool:
        """Trio side, in the poster's context. False when the loop is closed."""
        try:
            self.loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:  # "Event loop is closed", the only one it raises
            return False
        return True

    async def close(self) -> bool:
        """Trio side: cancel what still runs on both sides, end the thread; False if it would not end
        within the close timeout (plus a second for the thread itself)."""
        self.closed_because = self.closed_because or "the door to asyncio is closed"
        for portal in tuple(self.portals):
            portal.cancel()
        self.post_to_asyncio(self._close)
        with trio.move_on_after(self.close_timeout + 1.0):
            await self.ended.wait()
            self._thread.join()  # saying so was the last thing it did
            return True
        return False

    def _serve(self) -> None:
        """The thread's whole life."""
        cause: BaseException | None = None
        try:
            self.loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - a background task's exit must not pass unseen
            cause = error
        if not self._closing:
            why = f"the asyncio loop ended on {cause!r}" if cause is not None else "the asyncio loop was stopped"
            self.post_to_trio(self._mourn, why)
        self._winding_down = True
        try:
            self.loop.run_until_complete(self._wind_down())
        finally:
            self.loop.close()
            self.post_to_trio(self.ended.set)

    def _close(self) -> None:
        self._closing = True
        if not self._winding_down:  # a loop that died does so already, and must be let finish
            self.loop.stop()

    async def _wind_down(self) -> None:
        if self._beat_timer is not None:
            self._beat_timer.cancel()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel("the asyncio loop is closing")
        if others:
            await asyncio.wait(others, timeout=self.close_timeout)
        await self.loop.shutdown_asyncgens()
        with contextlib.suppress(TimeoutError):  # a worker thread that hangs is a daemon no longer
            await asyncio.wait_for(self.loop.shutdown_default_executor(), self.close_timeout)

    def _mourn(self, why: str) -> None:
        """Trio side: nobody will answer any more."""
        self.closed_because = why
        self.died.set()
        for call in tuple(self.pending):
            call.settle()

    def _beat(self, due: float) -> None:
        now = self.loop.time()
        self.asyncio_pulse.beat(now - due)
        self._beat_timer = self.loop.call_later(self._beat_interval, self._beat, now + self._beat_interval)
        # One at a time: a blocked trio shows as a beat that ages, not as a queue that grows.
        if not self._trio_beat_posted:
            self._trio_beat_posted = True
            self.post_to_trio(self._trio_beat, time.monotonic())

    def _trio_beat(self, posted: float) -> None:
        self._trio_beat_posted = False
        self.trio_pulse.beat(time.monotonic() - posted)

    def _background_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.background_failures += 1
        error = context.get("exception")
        self._on_background_failure(
            BackgroundFailure(str(context.get("message", "")), error if isinstance(error, BaseException) else None)
        )


async def _guarded(body: Callable[[], Awaitable[T]]) -> _Value[T] | _Raised:
    # asyncio lets exactly these two out of the running loop, and with it every call in flight.
    try:
        return _Value(await body())
    except (KeyboardInterrupt, SystemExit) as error:
        return _Raised(error)


class _Call(Generic[T]):
    """One call from trio to asyncio. Methods without a note run on the asyncio side."""

    __slots__ = (
        "_body", "_nag", "_settled", "_swallowed", "_task", "_thread", "_trio_task",
        "fn", "outcome", "raise_cancel",
    )  # fmt: skip

    def __init__(self, thread: _LoopThread, fn: object, body: Callable[[], Awaitable[T]]) -> None:
        self._thread = thread
        self._trio_task = trio.lowlevel.current_task()
        self._settled = False
        self._nag: asyncio.TimerHandle | None = None
        self.fn = fn
        self._body = body
        self.outcome: _Value[T] | _Raised | None = None
        """None means that it was cancelled, or that its loop died."""
        self.raise_cancel: Callable[[], NoReturn] | None = None
        self._task: asyncio.Task[_Value[T] | _Raised] | None = None
        self._swallowed = False

    def start(self) -> None:
        self._task = self._thread.loop.create_task(_guarded(self._body))
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        if self._task is None:
            return
        self._task.cancel("the trio caller was cancelled")
        self._nag = self._thread.loop.call_later(self._thread.swallow_grace, self._insist)

    def _insist(self) -> None:
        if not self._swallowed:
            self._swallowed = True
            self._thread.swallowed[_name_of(self.fn)] += 1
        self.cancel()

    def _ended(self, task: asyncio.Task[_Value[T] | _Raised]) -> None:
        self._task = None
        if self._nag is not None:
            self._nag.cancel()
        if not task.cancelled():
            error = task.exception()
            self.outcome = task.result() if error is None else _Raised(error)
        self._thread.post_to_trio(self.settle)

    def settle(self) -> None:
        """Trio side: wake the caller, once."""
        if not self._settled:
            self._settled = True
            trio.lowlevel.reschedule(self._trio_task)


class _Portal(Generic[T]):
    """One call from asyncio to trio. Methods without a note run on the trio side."""

    __slots__ = ("_body", "_context", "_ended", "_thread", "expired", "name", "outcome", "scope")

    def __init__(self, thread: _LoopThread, name: str, body: Callable[[], Awaitable[T]]) -> None:
        self._thread = thread
        self.name = name
        self._body = body
        self._context = contextvars.copy_context()
        self.scope = trio.CancelScope()
        self._ended: asyncio.Future[None] = thread.loop.create_future()
        self.expired = False
        self.outcome: _Value[T] | _Raised | None = None
        """None means that it was cancelled, by either side."""

    def start(self) -> None:
        self._thread.portals.add(cast("_Portal[object]", self))
        trio.lowlevel.spawn_system_task(self._run, name=self.name, context=self._context)

    def expire(self) -> None:
        """Asyncio side: the deadline has come."""
        self.expired = True
        self._thread.post_to_trio(self.cancel)

    def cancel(self) -> None:
        self.scope.cancel("the asyncio caller was cancelled or is late")

    async def ended_or_cancelled(self) -> asyncio.CancelledError | None:
        """Asyncio side: wait for the end of the trio task whatever happens; the cancel that came first."""
        first: asyncio.CancelledError | None = None
        while not self._ended.done():
            try:
                await asyncio.shield(self._ended)
            except asyncio.CancelledError as cancelled:
                first = first or cancelled
                self._thread.post_to_trio(self.cancel)
        return first

    async def _run(self) -> None:
        try:
            with self.scope:
                self.outcome = _Value(await self._body())
        except trio.Cancelled:
            raise  # not ours: the trio run itself is ending
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, whatever it is
            self.outcome = _Raised(error)
        finally:
            self._thread.portals.discard(cast("_Portal[object]", self))
            self._thread.post_to_asyncio(self._finish)

    def _finish(self) -> None:
        """Asyncio side."""
        if not self._ended.done():
            self._ended.set_result(None)


class Aio:
    """The door, open. Made by `open_aio`."""

    def __init__(self, thread: _LoopThread) -> None:
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
            raise AioDead(_name_of(fn), self._thread.closed_because)
        begun = self._calls.begin()
        try:
            with trio.CancelScope(deadline=trio.current_time() + timeout):
                return await self._cross(_Call(self._thread, fn, lambda: fn(*args)))
            self._calls.timeouts += 1
            raise AioTimeout(_name_of(fn), timeout)
        except trio.Cancelled:
            self._calls.cancelled += 1
            raise
        finally:
            self._calls.end(begun)

    async def _cross(self, call: _Call[T]) -> T:
        def forward(raise_cancel: Callable[[], NoReturn]) -> trio.lowlevel.Abort:
            call.raise_cancel = raise_cancel
            self._thread.post_to_asyncio(call.cancel)
            return trio.lowlevel.Abort.FAILED

        pending = cast("_Call[object]", call)
        self._thread.pending.add(pending)
        try:
            if not self._thread.post_to_asyncio(call.start):
                raise AioDead(_name_of(call.fn), self._thread.closed_because or "the asyncio loop has ended")
            await trio.lowlevel.wait_task_rescheduled(forward)
        finally:
            self._thread.pending.discard(pending)
        outcome = call.outcome
        if isinstance(outcome, _Value):
            return outcome.value
        try:
            if outcome is not None:
                self._calls.failures += 1
                raise outcome.error
            if self._thread.closed_because:
                raise AioDead(_name_of(call.fn), self._thread.closed_because)
            if call.raise_cancel is not None:
                call.raise_cancel()
            raise CalleeCancelled(_name_of(call.fn))
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
        name = _name_of(fn)
        portal = _Portal(self._thread, name, lambda: fn(*args))
        if self._thread.closed_because or not self._thread.post_to_trio(portal.start):
            raise AioDead(name, self._thread.closed_because or "the trio program has ended")
        begun = self._portal.begin()
        deadline = self._thread.loop.call_later(timeout, portal.expire)
        try:
            cancelled = await portal.ended_or_cancelled()
            if cancelled is not None:
                self._portal.cancelled += 1
                raise cancelled from (portal.outcome.error if isinstance(portal.outcome, _Raised) else None)
            return self._portal_result(portal, timeout)
        finally:
            deadline.cancel()
            self._portal.end(begun)

    def _portal_result(self, portal: _Portal[T], timeout: float) -> T:
        outcome = portal.outcome
        if isinstance(outcome, _Value):
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
    close_timeout: float = 5.0,
) -> AsyncIterator[Aio]:
    """Start the loop thread; leaving the context cancels what still runs there and ends the thread.

    Trio side. `on_background_failure` is called on the asyncio thread. Times in seconds. Leaving is
    not interrupted by cancellation and takes at most about `close_timeout` + 1 s; a thread that would
    not end by then is logged and left behind (it is a daemon thread).
    """
    thread = _LoopThread(
        on_background_failure=on_background_failure,
        swallow_grace=swallow_grace,
        beat_interval=beat_interval,
        close_timeout=close_timeout,
    )
    thread.start()
    try:
        yield Aio(thread)
    finally:
        with trio.CancelScope(shield=True):
            if not await thread.close():
                log = cast("FilteringBoundLogger", structlog.get_logger("aio"))
                log.error("asyncio_thread_left_behind", waited_seconds=close_timeout + 1.0)
