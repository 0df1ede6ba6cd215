"""How long one crossing may wait for nodes. Asyncio side.

INVARIANT: what we wait so as not to ask faster than an endpoint's pace is our own doing. It moves the crossing's
deadline by as much, and is told to whoever waits for the crossing, so that he is not taken for stuck.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from fusion_daemon.aio import AioTimeout
from fusion_daemon.chain.rpc_errors import crossing_unanswered

T = TypeVar("T")

LONGEST_CROSSING = 3_600.0
"""Seconds that a crossing may take, with all that it waits for the pace: twenty thousand calls at the slowest."""
PAUSE_SECONDS = 1.0
"""A longer pause is told each so many seconds."""

Pausing = Callable[[], Awaitable[None]]
"""Hears that the crossing waits for the pace. May raise AioTimeout, which is passed over."""


@dataclass(frozen=True, slots=True)
class _Crossing:
    deadline: asyncio.Timeout
    pausing: Pausing | None


_UNDER_WAY: ContextVar[_Crossing | None] = ContextVar("crossing", default=None)


@dataclass(frozen=True, slots=True)
class Patience:
    seconds: float
    """That nodes may take, all together."""
    pausing: Pausing | None = None

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """What the question comes to. Raises Unanswered when nodes take longer."""
        deadline = asyncio.timeout(self.seconds)
        try:
            async with deadline:
                _UNDER_WAY.set(_Crossing(deadline, self.pausing))  # a crossing has a context of its own
                return await question()
        except TimeoutError as late:
            if not deadline.expired():
                raise
            raise crossing_unanswered(self.seconds) from late


async def pause(seconds: float) -> None:
    """Wait for the pace."""
    crossing = _UNDER_WAY.get()
    until = None if crossing is None else crossing.deadline.when()
    if crossing is not None and until is not None:
        crossing.deadline.reschedule(until + seconds)
    while seconds > 0:
        await asyncio.sleep(min(seconds, PAUSE_SECONDS))
        seconds -= PAUSE_SECONDS
        if crossing is not None and crossing.pausing is not None and seconds > 0:
            await _tell(crossing.pausing)


async def _tell(pausing: Pausing) -> None:
    with suppress(AioTimeout):  # the other side is busy: it hears of the next one
        await pausing()
