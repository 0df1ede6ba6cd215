"""One crossing of the door, in either direction, and how it ends."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

import trio

from fusion_daemon.aio.loop_thread import LoopThread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Value(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class Raised:
    error: BaseException


def name_of(fn: object) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    described = fn if hasattr(fn, "__qualname__") else type(fn)
    return f"{described.__module__}.{described.__qualname__}"


async def guarded(body: Callable[[], Awaitable[T]]) -> Value[T] | Raised:
    # asyncio lets exactly these two out of the running loop, and with it every call in flight.
    try:
        return Value(await body())
    except (KeyboardInterrupt, SystemExit) as error:
        return Raised(error)


class Call(Generic[T]):
    """One call from trio to asyncio. Methods without a note run on the asyncio side."""

    __slots__ = (
        "_body", "_nag", "_settled", "_swallowed", "_task", "_thread", "_trio_task",
        "fn", "outcome", "raise_cancel",
    )  # fmt: skip

    def __init__(self, thread: LoopThread, fn: object, body: Callable[[], Awaitable[T]]) -> None:
        self._thread = thread
        self._trio_task = trio.lowlevel.current_task()
        self._settled = False
        self._nag: asyncio.TimerHandle | None = None
        self.fn = fn
        self._body = body
        self.outcome: Value[T] | Raised | None = None
        """None means that it was cancelled, or that its loop died."""
        self.raise_cancel: Callable[[], NoReturn] | None = None
        self._task: asyncio.Task[Value[T] | Raised] | None = None
        self._swallowed = False

    def start(self) -> None:
        self._task = self._thread.loop.create_task(guarded(self._body))
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        if self._task is None:
            return
        self._task.cancel("the trio caller was cancelled")
        self._nag = self._thread.loop.call_later(self._thread.swallow_grace, self._insist)

    def _insist(self) -> None:
        if not self._swallowed:
            self._swallowed = True
            self._thread.swallowed[name_of(self.fn)] += 1
        self.cancel()

    def _ended(self, task: asyncio.Task[Value[T] | Raised]) -> None:
        self._task = None
        if self._nag is not None:
            self._nag.cancel()
        if not task.cancelled():
            error = task.exception()
            self.outcome = task.result() if error is None else Raised(error)
        self._thread.post_to_trio(self.settle)

    def settle(self) -> None:
        """Trio side: wake the caller, once."""
        if not self._settled:
            self._settled = True
            trio.lowlevel.reschedule(self._trio_task)


class Portal(Generic[T]):
    """One call from asyncio to trio. Methods without a note run on the trio side."""

    __slots__ = ("_body", "_context", "_ended", "_thread", "expired", "name", "outcome", "scope")

    def __init__(self, thread: LoopThread, name: str, body: Callable[[], Awaitable[T]]) -> None:
        self._thread = thread
        self.name = name
        self._body = body
        self._context = contextvars.copy_context()
        self.scope = trio.CancelScope()
        self._ended: asyncio.Future[None] = thread.loop.create_future()
        self.expired = False
        self.outcome: Value[T] | Raised | None = None
        """None means that it was cancelled, by either side."""

    def start(self) -> None:
        self._thread.portals.add(self)
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
                self.outcome = Value(await self._body())
        except trio.Cancelled:
            raise  # not ours: the trio run itself is ending
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, whatever it is
            self.outcome = Raised(error)
        finally:
            self._thread.portals.discard(self)
            self._thread.post_to_asyncio(self._finish)

    def _finish(self) -> None:
        """Asyncio side."""
        if not self._ended.done():
            self._ended.set_result(None)
