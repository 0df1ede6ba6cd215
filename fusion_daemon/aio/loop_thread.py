"""The thread with the asyncio loop, and the way to post to either side."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVarTuple

import trio
import uvloop

from fusion_daemon.aio.stalls import Stall, StallWatch, Watched
from fusion_daemon.aio.statistics import Pulse

Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class BackgroundFailure:
    """What asyncio's loop had to say when nobody else would hear it."""

    message: str
    error: BaseException | None


class PendingCall(Protocol):
    """A call from trio whose caller still waits."""

    def settle(self) -> None:
        """Trio side: wake the caller, once."""
        ...


class RunningPortal(Protocol):
    """A call from asyncio that runs in trio."""

    def cancel(self) -> None:
        """Trio side."""
        ...


class LoopThread:
    """Written by the side noted."""

    def __init__(
        self,
        *,
        on_background_failure: Callable[[BackgroundFailure], None],
        swallow_grace: float,
        beat_interval: float,
        close_timeout: float,
        stall_limit: float,
        on_stall: Callable[[Stall], None],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self.swallow_grace = swallow_grace
        self.close_timeout = close_timeout
        self.swallowed: Counter[str] = Counter()
        self.background_failures = 0
        self.asyncio_pulse, self.trio_pulse = Pulse(), Pulse()
        self.pending: set[PendingCall] = set()
        """Trio side: calls whose caller still waits."""
        self.portals: set[RunningPortal] = set()
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
        self._stall_limit = stall_limit
        self._on_stall = on_stall
        self._watch: StallWatch | None = None

    def start(self) -> None:
        self.loop.set_exception_handler(self._background_failed)
        self.loop.call_soon(self._beat, self.loop.time())
        self._thread.start()
        watched = [Watched("trio", self.trio_pulse, threading.get_ident())]
        if self._thread.ident is not None:
            watched.append(Watched("asyncio", self.asyncio_pulse, self._thread.ident))
        self._watch = StallWatch(watched, self._stall_limit, self._on_stall)
        self._watch.start()

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
        if self._watch is not None:
            self._watch.stop()
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
        self.asyncio_pulse.due = time.monotonic() + self._beat_interval
        self._beat_timer = self.loop.call_later(self._beat_interval, self._beat, now + self._beat_interval)
        # One at a time: a blocked trio shows as a beat that ages, not as a queue that grows.
        if not self._trio_beat_posted:
            self._trio_beat_posted = True
            self.trio_pulse.due = posted = time.monotonic()
            self.post_to_trio(self._trio_beat, posted)

    def _trio_beat(self, posted: float) -> None:
        self._trio_beat_posted = False
        self.trio_pulse.beat(time.monotonic() - posted)

    def _background_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.background_failures += 1
        error = context.get("exception")
        self._on_background_failure(
            BackgroundFailure(str(context.get("message", "")), error if isinstance(error, BaseException) else None)
        )
