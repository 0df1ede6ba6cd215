"""Those who read beside a chain's listener, and what they have for it to commit.

INVARIANT: they only read. The listener commits what they found between two looks at the head; so the journal keeps one
writer, and the head waits for a commit at most, never for an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from actors.chain_audit import AuditStatistics, ChainAudit
from actors.chain_comparison import ChainComparison
from actors.chain_history import Finding, LateHistory
from actors.chain_orders import ChainOrders
from actors.chain_reader import ChainReader
from fusion_daemon.chain.blocks import Head
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.runtime import ActorContext, Bell
from fusion_daemon.store import Store


class Companion(Protocol):
    @property
    def trouble(self) -> str | None:
        """Why the chain's health is less than it could be."""

    def look(self, view: ChainView, head: Head | None = None) -> None:
        """Where the chain stands now, and at whose word, unless that is as before."""

    async def take(self, view: ChainView, epoch: int) -> Finding | None:
        """What was found, if it still fits the view. It is committed, or this life ends."""

    async def run(self) -> None: ...


class Companions:
    """Of one life of a chain's listener. Trio side."""

    def __init__(self, ready: Bell, companions: Sequence[Companion]) -> None:
        """`ready` rings when one of them has something to take."""
        self.ready = ready
        self._all = companions

    @property
    def trouble(self) -> str | None:
        return next((each.trouble for each in self._all if each.trouble is not None), None)

    def look(self, view: ChainView, head: Head | None = None) -> None:
        for each in self._all:
            each.look(view, head)

    async def take(self, view: ChainView, epoch: int) -> Finding | None:
        """The first that there is."""
        for each in self._all:
            if (found := await each.take(view, epoch)) is not None:
                return found
        return None

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """They read while the body runs. What the body raises leaves as it is, not in a group."""
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            for each in self._all:
                nursery.start_soon(each.run)
            try:
                yield
            except Exception as raised:  # noqa: BLE001 - raised again below, whatever it is
                failure = raised
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


def companions(
    settings: ChainSettings,
    store: Store,
    readers: Sequence[ChainReader],
    context: ActorContext,
    table: EventTable,
    audit: AuditStatistics,
    accuse: Callable[[int], None],
) -> Companions:
    """With readers of their own: what they learn of ranges is not what the head needs. One for late history, one for
    comparisons."""
    ready = Bell()
    comparison = ChainComparison(settings, store, readers[1], table)
    return Companions(
        ready,
        (
            LateHistory(settings, store, readers[0], context, table, ready),
            ChainAudit(settings, store, comparison, context, table, ready, audit, accuse),
            ChainOrders(settings, store, comparison, context, table, ready, audit, accuse),
        ),
    )
