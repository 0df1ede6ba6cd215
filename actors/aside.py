"""Where an actor decides about much at once: in a thread, so that trio's loop goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def aside(decide: Callable[[*Ts], T], *args: *Ts) -> T:
    """`decide` is pure: nobody else changes what it is given. Cancelled, it is waited for."""
    return await trio.to_thread.run_sync(decide, *args)
