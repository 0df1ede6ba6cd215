"""How many requests are worked on at once, so that a flood of them cannot crowd out the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fusion_daemon.http.pace import Pace
from fusion_daemon.http.problem import Problem


class Admission:
    """At most `running` requests hold a slot and at most `waiting` queue for one, in order of arrival; slots are
    given out at most `rate` times a second, but for `burst` after a quiet time.

    Lives on the asyncio side; the counts may be read from anywhere.
    """

    def __init__(self, running: int, waiting: int, rate: float, burst: int) -> None:
        self._slots = asyncio.Semaphore(running)
        self._pace = Pace(rate, burst)
        self._limit = waiting
        self.running = 0
        self.waiting = 0
        self.rejected = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Holds a slot. Raises Problem 503 at once when the queue is full. Cancellation gives the
        place in the queue, or the slot, back."""
        if self._slots.locked() and self.waiting >= self._limit:
            self.rejected += 1
            raise overloaded()
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            wait = self._pace.wait(asyncio.get_running_loop().time())
            if wait > 0:
                await asyncio.sleep(wait)
            yield
        finally:
            self.running -= 1
            self._slots.release()


def overloaded() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "overloaded",
        "More requests are waiting than this server takes on.",
        remedy="Wait as Retry-After says and ask again, with fewer requests at once.",
        headers={"Retry-After": "1"},
    )
