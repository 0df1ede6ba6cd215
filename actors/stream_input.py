"""One stream as the risk calculator reads it: in portions, one by one, with one look ahead."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from fusion_daemon.runtime import Subscription

T = TypeVar("T")

TAKEN = 256
"""Entries taken from a topic at once."""


class Input(Generic[T]):
    """Trio side."""

    def __init__(self, stream: str, subscription: Subscription[T], head: int) -> None:
        """`head`: of the stream at the start of this life."""
        self.stream = stream
        self._subscription = subscription
        self._taken: deque[T] = deque()
        self._behind = head - subscription.position

    @property
    def behind(self) -> bool:
        """Whether it has yet to reach the head that its stream had at the start."""
        return self._behind > 0

    @property
    def age(self) -> float:
        """Seconds for which the oldest entry has been announced that is not in hand yet."""
        return self._subscription.age

    async def look(self) -> bool:
        """Whether there is a next entry. A checkpoint when the topic is asked; cancelled, nothing is lost."""
        if not self._taken and self._subscription.ready:
            self._taken.extend(await self._subscription.take(TAKEN))
        return bool(self._taken)

    @property
    def next(self) -> T:
        """After a `look` that was true."""
        return self._taken[0]

    def pop(self) -> T:
        self._behind -= 1
        return self._taken.popleft()
