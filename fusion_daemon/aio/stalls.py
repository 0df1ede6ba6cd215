"""Who holds a loop up? A thread of its own looks at the beats that both loops owe, and when one is late
takes a picture of where that loop's thread stands: the culprit is on it while it is still at it.

It sees Python frames only, and a call that keeps the interpreter's lock delays this thread as well; then
it is told late or not at all, and only the lag histogram knows.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from fusion_daemon.aio.statistics import Pulse

_LOOK_INTERVAL = 0.05
_MOST_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Stall:
    """One loop, caught while it ran nothing of what was due."""

    loop: str
    late: float
    """Seconds that the owed beat was late when the picture was taken."""
    whereabouts: tuple[str, ...]
    """Where its thread stood, `file:line function`, outermost first."""


@dataclass(frozen=True, slots=True)
class Watched:
    loop: str
    pulse: Pulse
    thread: int
    """Its identifier."""


class StallWatch:
    """INVARIANTS: a late beat is told once. When this thread itself woke late, the whole process was held
    (stopped, suspended, starved), which is no loop's fault, and nothing is told."""

    def __init__(self, watched: Sequence[Watched], limit: float, on_stall: Callable[[Stall], None]) -> None:
        """`limit`: seconds. `on_stall` is called on this watch's thread."""
        self._watched = watched
        self._limit = limit
        self._on_stall = on_stall
        self._over = threading.Event()
        self._told: dict[str, float] = {}
        """Loop -> when the beat was due that was told last."""
        self._looked: float | None = None
        """When it looked last."""
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Blocks until the thread has ended, which is at once."""
        self._over.set()
        self._thread.join()

    def look(self, now: float) -> None:
        """Tell of every loop that is late at `now` (monotonic seconds)."""
        held = self._looked is not None and now - self._looked > _LOOK_INTERVAL + self._limit
        self._looked = now
        for watched in () if held else self._watched:
            due = watched.pulse.due
            if due is not None and now - due >= self._limit and self._told.get(watched.loop) != due:
                self._told[watched.loop] = due
                watched.pulse.stalls += 1
                self._on_stall(Stall(watched.loop, now - due, _whereabouts(watched.thread)))

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_INTERVAL):
            self.look(time.monotonic())


def _whereabouts(thread: int) -> tuple[str, ...]:
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
    if frame is None:
        return ()
    stack = list(traceback.walk_stack(frame))[:_MOST_FRAMES]
    return tuple(f"{PurePath(f.f_code.co_filename).name}:{line} {f.f_code.co_name}" for f, line in reversed(stack))
