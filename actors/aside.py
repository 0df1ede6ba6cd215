"""Where an actor decides about much at once: in a thread, so that trio's loop goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TURNS = trio.CapacityLimiter(1)
"""Two that decide at once would not be done sooner, since they share one interpreter; and the loop, which wants it back
after every wait, would stand behind both."""


async def aside(decide: Callable[[*Ts], T], *args: *Ts) -> T:
    """`decide` is pure: nobody else changes what it is given. Cancelled, it is waited for."""
    return await trio.to_thread.run_sync(decide, *args, limiter=_TURNS)
