"""One stream as a consumer reads it: in portions, one by one, with one look ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from fusion_daemon.runtime import Subscription

T = TypeVar("T")

TAKEN = 256
"""Entries taken from a topic at once."""


class Input(Generic[T]):
    """Trio side."""

    def __init__(
        self,
        stream: str,
        subscription: Subscription[T],
        head: int,
        resting: int | None = None,
        skipped: frozenset[int] = frozenset(),
    ) -> None:
        """`head`: of the stream at the start of this life. A stream that is held has no entry after `resting`.
        `skipped`: entries that are not for folding."""
        self.stream = stream
        self.skipped = skipped
        self._subscription = subscription
        self._taken: deque[T] = deque()
        self._resting = resting
        self._popped = subscription.position
        self._head = head if resting is None else min(head, resting)

    @property
    def behind(self) -> bool:
        """Whether it has yet to reach the head that its stream had at the start, or the place at which it is held."""
        return self._popped < self._head

    @property
    def age(self) -> float:
        """Seconds for which the oldest entry has been announced that is not in hand yet."""
        return self._subscription.age

    async def look(self) -> bool:
        """Whether there is a next entry. A checkpoint when the topic is asked; cancelled, nothing is lost."""
        if self._resting is not None and self._popped >= self._resting:
            return False
        if not self._taken and self._subscription.ready:
            self._taken.extend(await self._subscription.take(TAKEN))
        return bool(self._taken)

    @property
    def next(self) -> T:
        """After a `look` that was true."""
        return self._taken[0]

    @property
    def next_seq(self) -> int:
        """Its number."""
        return self._popped + 1

    def pop(self) -> T:
        self._popped += 1
        return self._taken.popleft()

    def put_back(self, entries: Sequence[T]) -> None:
        """The last ones popped, in their order: they could not be folded yet."""
        self._popped -= len(entries)
        self._taken.extendleft(reversed(entries))
