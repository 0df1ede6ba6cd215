"""Reads a chain's late history beside its head: what is missing of contracts that were configured later.

INVARIANTS
* It only reads. The listener commits what was read, between two looks at the head; so the journal keeps one writer,
  and the head waits for a commit at most, never for an answer.
* Where it goes on from is the stored coverage alone: killed anywhere, it asks for nothing again that was committed.
"""

from __future__ import annotations

from dataclasses import replace

from actors.aside import aside
from actors.chain_reader import ChainReader, ListenerDrains
from fusion_daemon.aio import AioTimeout
from fusion_daemon.chain.blocks import Head, Span
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.factories import created
from fusion_daemon.chain.journal import ChainView, Plan, finality_of
from fusion_daemon.chain.late import LateSpan, check_late, first_gap, plan_late, still_fits
from fusion_daemon.chain.repository import load_headers
from fusion_daemon.chain.rpc_errors import RateLimited, RpcFailure
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import Inconsistent, Unlinked
from fusion_daemon.domain.failure import Failure
from fusion_daemon.runtime import ActorContext, Bell
from fusion_daemon.store import Store

Finding = tuple[Plan, Span]
"""What is to be committed, and what was read for it."""


class LateHistory:
    """Of one life of a chain's listener. Trio side."""

    def __init__(
        self,
        settings: ChainSettings,
        store: Store,
        reader: ChainReader,
        context: ActorContext,
        table: EventTable,
        ready: Bell,
    ) -> None:
        """`ready` rings when there is something to take."""
        self._settings = settings
        self._store = store
        self._reader = reader
        self._context = context
        self._table = table
        self._wanted = Bell()
        self._view: ChainView | None = None
        self._head: Head | None = None
        self._read: LateSpan | None = None
        self._ready = ready
        self.trouble: str | None = None
        """Why nothing comes although something is missing."""

    def look(self, view: ChainView, head: Head | None = None) -> None:
        """Where the chain stands now, and at whose word, unless that is as before: the endpoint is asked."""
        self._view, self._head = view, head or self._head
        self._wanted.ring()

    async def take(self, view: ChainView, epoch: int) -> Finding | None:
        """What was read, if it was and is still missing. The next is read after the next `look`, which knows what
        became of this one."""
        read, self._read = self._read, None
        if read is None:
            return None
        self._view = None
        if not still_fits(view, read):
            return None
        return await aside(plan_late, view, epoch, self._table, read), read.span

    async def run(self) -> None:
        while not self._context.draining.is_set():
            view, head = self._view, self._head
            gap = None if view is None or self._read is not None else first_gap(view)
            if view is None or head is None or gap is None:
                if view is not None:
                    self.trouble = None  # what was missing may have been skipped
                await self._wanted.wait()
                continue
            try:
                self._read = await self._span(view, head, *gap)
                self.trouble = None
                self._ready.ring()
            except ListenerDrains:
                return
            except Unlinked:
                await self._context.rest(self._settings.poll.shortest)  # the listener follows the reorg meanwhile
            except RateLimited as limited:
                await self._context.rest(limited.retry_after or self._settings.poll.longest)
            except (Failure, AioTimeout) as failure:
                if isinstance(failure, RpcFailure | Inconsistent):
                    self._reader.blame(head.endpoint, failure)
                self.trouble = str(failure)
                self._context.log.warning("late_history_failed", chain=view.chain, reason=str(failure))
                await self._context.rest(self._settings.poll.longest)

    async def _span(self, view: ChainView, head: Head, version: int, gap: Range) -> LateSpan:
        finality = finality_of(head, view, self._settings.finality_depth)
        contracts = view.coverage.of_version(version, gap.last)
        span = await self._reader.span(head, finality, gap.first, gap.last, contracts)
        span = replace(
            span,
            logs=view.coverage.counting(span.logs),
            created=tuple(created(self._table, self._settings.factories, span.logs)),
        )
        last = span.headers[-1].number
        stored = await self._store.read(load_headers, view.chain, gap.first - 1, last + 1)
        check_late(span, gap.first, stored)
        return LateSpan(version, span, frozenset(block for block, _ in stored.values()))
