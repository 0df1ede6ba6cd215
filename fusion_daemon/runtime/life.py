"""One life of one child: its task, its end, and what is left when it will not end.

trio has no kill. A task that shields itself, waits for a thread or for asyncio code that swallows its
cancellation goes on; so lives are system tasks, which no nursery of a supervisor waits for. What would
not stop is a zombie: reported with its age and whereabouts, fenced from the store by its epoch, and in
the end a reason for the process to exit non-zero.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath

import trio

from fusion_daemon.runtime.actor import ActorContext, Ignore
from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.trace import TraceKind, enter

_MOST_FRAMES = 24
_LOOKS = 8


@dataclass(frozen=True, slots=True)
class Zombie:
    """A life that was told to stop and did not within its budget."""

    name: str
    life: int
    """1 for the first life of the child, and so on."""
    age: float
    """Seconds since it was told to stop."""
    whereabouts: tuple[str, ...]
    """Where its tasks wait, `file:line function`, outermost first."""


@dataclass(frozen=True, slots=True)
class Departure:
    """How one child left when it was told to."""

    name: str
    seconds: float
    error: str
    """What it raised on its way out; empty when nothing."""
    zombie: bool
    drained: bool
    """It finished and returned by itself when it was asked to; nobody had to cancel it."""
    cancelled: str
    """Why it was cancelled; empty when it was not."""
    whereabouts: tuple[str, ...]
    """Of a zombie: where its tasks wait, `file:line function`, outermost first."""
    supervisor: bool
    """It is one: it left when all below it had, who stand before it."""

    @property
    def how(self) -> str:
        """One word."""
        if self.zombie:
            return "zombie"
        if self.drained:
            return "drained"
        return "cancelled" if self.cancelled else "ended"


@dataclass(frozen=True, slots=True)
class StopReport:
    """An ordered stop, child by child in the order in which they were told."""

    departures: tuple[Departure, ...] = ()
    zombies: tuple[Zombie, ...] = ()
    """All that still run, also those left by earlier restarts."""

    @property
    def clean(self) -> bool:
        return not self.zombies


class Graveyard:
    """The lives of one whole tree that outlived their stop."""

    __slots__ = ("_lives",)

    def __init__(self) -> None:
        self._lives: list[Life] = []

    def take_in(self, life: Life) -> None:
        if life not in self._lives:
            self._lives.append(life)

    def release(self, life: Life) -> bool:
        """The life has ended after all; False when it was none of these."""
        if life not in self._lives:
            return False
        self._lives.remove(life)
        return True

    def zombies(self) -> tuple[Zombie, ...]:
        return tuple(life.as_zombie() for life in self._lives)


class Life:
    """Runs `body(context)` in a task of its own.

    INVARIANTS: no error and no return of the body is lost: both end in `ended` with `error` set or
    None. The body's own tasks are in its nurseries, so none outlives it. `drain` and `cancel` may come
    any number of times, the deadlines stay those of the first.
    """

    def __init__(
        self,
        number: int,
        context: ActorContext,
        body: Callable[[ActorContext], Awaitable[None]],
        on_end: Callable[[Life], None],
    ) -> None:
        self.number = number
        self.context = context
        self.error: BaseException | None = None
        self.declined = False
        """It answered `Ignore` instead of starting."""
        self.ended = trio.Event()
        self.begun_at = context.clock.now()
        self.stop_asked_at: float | None = None
        """Unix seconds of the first `drain` or `cancel`."""
        self.stop_asked_monotonic = 0.0
        self.cancelled = ""
        """Why; empty while it is not."""
        self.drain_deadline = 0.0
        """In trio's time, as is the next."""
        self.stop_deadline = 0.0
        self._ended_monotonic: float | None = None
        self._body = body
        self._on_end = on_end
        self._scope = trio.CancelScope()
        self._task: trio.lowlevel.Task | None = None

    @property
    def clock(self) -> Clock:
        return self.context.clock

    @property
    def started(self) -> bool:
        return self.context.started_monotonic is not None

    @property
    def ended_by_itself(self) -> bool:
        return self.ended.is_set() and self.stop_asked_at is None

    def begin(self) -> None:
        context = contextvars.copy_context()
        context.run(enter, self.context.trace)
        name = f"actor {self.context.name}"
        self._task = trio.lowlevel.spawn_system_task(self._live, name=name, context=context)

    @property
    def drained(self) -> bool:
        return self.ended.is_set() and self.stop_asked_at is not None and not self.cancelled

    def drain(self, reason: str, budget: float) -> None:
        """Ask it to finish and return, for which it has `budget` seconds."""
        if self.stop_asked_at is None and not self.ended.is_set():
            self._note_stop(reason)
            self.drain_deadline = trio.current_time() + budget
            self.context.drain(reason)

    def cancel(self, reason: str, budget: float) -> None:
        """Tell it to stop; `budget` seconds from the first such call on, it counts as a zombie."""
        if not self.cancelled and not self.ended.is_set():
            self._note_stop(reason)
            self.cancelled = reason
            self.stop_deadline = trio.current_time() + budget
            self._scope.cancel(reason)

    def _note_stop(self, reason: str) -> None:
        if self.stop_asked_at is None:
            self.context.stop_reason = reason
            self.stop_asked_at = self.clock.now()
            self.stop_asked_monotonic = self.clock.monotonic()

    def lived(self) -> float | None:
        """Seconds from `started()` to its end, or to now; None if it never started."""
        begun = self.context.started_monotonic
        end = self.clock.monotonic() if self._ended_monotonic is None else self._ended_monotonic
        return None if begun is None else end - begun

    def as_zombie(self) -> Zombie:
        return Zombie(
            self.context.name,
            self.number,
            self.clock.monotonic() - self.stop_asked_monotonic,
            self.whereabouts(),
        )

    def whereabouts(self) -> tuple[str, ...]:
        """Where its tasks wait, `file:line function`, outermost first; empty when they have ended. Any thread: from
        another one it may be torn, as its tasks run on, and then it looks again."""
        task = self._task
        if task is None or self.ended.is_set():
            return ()
        for _ in range(_LOOKS):
            with suppress(RuntimeError, AttributeError, TypeError):  # a frame or a nursery went away meanwhile
                return tuple(_whereabouts(task)[:_MOST_FRAMES])
        return ()

    async def _live(self) -> None:
        try:
            with self._scope:
                await self._body(self.context)
        except trio.Cancelled:
            raise  # not the scope's: the trio run itself is ending
        except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor decides what follows
            self.declined = isinstance(error, Ignore) and not self.started
            self.error = None if self.declined else error
        finally:
            self._ended_monotonic = self.clock.monotonic()
            self.ended.set()
            self.context.decided.set()
            if self.error is None:
                self.context.trace.note(TraceKind.ENDED)
            else:
                self.context.trace.note(TraceKind.CRASHED, text=describe(self.error))
            self._on_end(self)


def _whereabouts(task: trio.lowlevel.Task) -> list[str]:
    frames = [
        f"{PurePath(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
        for frame, line in task.iter_await_frames()
        if frame.f_code.co_filename != __file__
    ]
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            frames.extend(_whereabouts(child))
    return frames


def ends_program(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt or SystemExit is in it: then nothing is restarted any more."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup((KeyboardInterrupt, SystemExit)) is not None
    return isinstance(error, KeyboardInterrupt | SystemExit)


def describe(error: BaseException) -> str:
    """`Type: text` on one line for an operator; of a group, its first real error."""
    leaf = error
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    text = " ".join(str(leaf).split())
    return f"{type(leaf).__name__}: {text}"[:500] if text else type(leaf).__name__
