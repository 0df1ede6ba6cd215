"""What happens now, kept for somebody who looks, and only as long as they do."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fusion_daemon.runtime.clock import Clock

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LEASE = 10.0
"""Seconds after a look for which what happens is kept."""


@dataclass(frozen=True, slots=True)
class Look(Generic[T_co]):
    """What was seen, oldest first."""

    items: tuple[tuple[int, T_co], ...]
    """With their numbers."""
    missed: int
    """Numbers up to the last item seen that were not kept."""
    next: int
    """Look after this number next time."""


class Window(Generic[T]):
    """The last `capacity` of an ascending series of numbered items. One thread puts, any thread looks.

    INVARIANTS
    * Who puts never waits, and while nobody looks keeps nothing: a look opens the window for LEASE seconds, and what
      is put after that closes it.
    * No item is shown twice to somebody who goes on where their last look ended, and what they were not shown is
      counted as missed.
    """

    __slots__ = ("_capacity", "_clock", "_kept", "_until")

    def __init__(self, capacity: int, clock: Clock) -> None:
        self._capacity = capacity
        self._clock = clock
        self._kept: deque[tuple[int, T]] | None = None
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether somebody has looked, and nothing was put since their time ran out."""
        return self._kept is not None

    def put(self, first: int, items: Sequence[T]) -> None:
        """Items numbered `first`, `first`+1 …, before anybody is told that the series has got so far."""
        kept = self._kept
        if kept is None:
            return
        if self._clock.monotonic() > self._until:
            self._kept = None
            return
        skipped = max(len(items) - self._capacity, 0)
        kept.extend(enumerate(items[skipped:], first + skipped))

    def look(self, head: int, after: int | None, limit: int) -> Look[T]:
        """At most `limit` items numbered above `after`, or none and where to go on when it is None.

        `head`: how far the series has got, read before this call.
        """
        self._until = self._clock.monotonic() + LEASE
        if self._kept is None:
            self._kept = deque(maxlen=self._capacity)
        if after is None:
            return Look((), 0, head)
        after = min(after, head)
        seen = tuple(each for each in self._present() if each[0] > after)[:limit]
        last = seen[-1][0] if seen else head
        return Look(seen, last - after - len(seen), last)

    def _present(self) -> tuple[tuple[int, T], ...]:
        while (kept := self._kept) is not None:
            try:
                return tuple(kept)
            except RuntimeError:
                continue  # the other thread put something meanwhile: look again
        return ()
