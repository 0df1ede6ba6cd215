"""Plans commits beside trio's loop.

What a large span becomes takes milliseconds to work out, and nothing else of the daemon runs while trio's thread does
it. The work is pure, so a thread of its own does it: the interpreter then passes from one to the other within its
switch interval.

INVARIANT: who is cancelled meanwhile still waits for the thread to end: no plan is made for nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import trio

from fusion_daemon.chain.blocks import Span
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.journal import ChainView, Finality, Plan, StoredLogs, plan_extend
from fusion_daemon.chain.validate import check_span

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def aside(work: Callable[[*Ts], T], *args: *Ts) -> T:
    """What `work` returns or raises. It must be pure."""
    return await trio.to_thread.run_sync(work, *args)


def checked_extension(
    view: ChainView, epoch: int, table: EventTable, finality: Finality, span: Span, stored: StoredLogs
) -> Plan:
    """Raises Unlinked when `span` does not continue the tip, Inconsistent when it contradicts itself."""
    check_span(span, view.next_number, None if view.tip is None else view.tip.hash)
    return plan_extend(view, epoch, table, finality, span, stored)
