"""How the risk calculator writes: margin events with their alerts, standings and cursors, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import trio

from actors.risk_inputs import OWNER
from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.risk.monitor import MarginMonitor
from fusion_daemon.risk.records import MARGIN_COLUMNS, SAVE_CONFIGURATION, row_of, save_standings
from fusion_daemon.runtime import ActorContext, Bell, Topic
from fusion_daemon.store import Advance, Append, Claim, Commit, Execute, SqlValue, Store, Write

UNCOMMITTED_ENTRIES = 1_000
UNCOMMITTED_SECONDS = 5.0
"""How far the cursors may lag behind what was folded when nothing happens."""
ACCEPTED_AT_ONCE = 64
"""Margin events rendered between two checkpoints."""


class Accept(Protocol):
    """The alerts of margin events, and the deliveries of those that may not wait, as writes."""

    def __call__(
        self, events: Sequence[MarginEvent], accounts: Mapping[AccountId, AccountRecord], /
    ) -> Sequence[Write]: ...


class MarginCommits:
    """What was folded and what of it is committed. INVARIANT: publishes only what has committed."""

    def __init__(
        self,
        store: Store,
        claim: Claim,
        margin: Topic[MarginEvent],
        dispatcher: Bell,
        accept: Accept,
        context: ActorContext,
    ) -> None:
        self._store = store
        self._epoch = claim.epoch
        self._head = claim.heads[MARGIN_STREAM]
        self._committed = dict(claim.positions)
        self._folded = dict(claim.positions)
        self._margin = margin
        self._dispatcher = dispatcher
        self._accept = accept
        self._clock = context.clock
        self._last = context.clock.monotonic()

    def folded(self, stream: str, seq: int) -> None:
        self._folded[stream] = seq

    @property
    def behind(self) -> int:
        """Entries that were folded and whose cursors are not committed."""
        return sum(self._folded.values()) - sum(self._committed.values())

    @property
    def due_in(self) -> float:
        """Seconds until the cursors should be committed; infinite when they are."""
        if self.behind == 0:
            return float("inf")
        if self.behind >= UNCOMMITTED_ENTRIES:
            return 0.0
        return self._last + UNCOMMITTED_SECONDS - self._clock.monotonic()

    async def cursors(self, monitor: MarginMonitor) -> None:
        await self._commit(Commit(self._standings((), monitor), advances=self._advances()), monitor)

    async def events(
        self, events: Sequence[MarginEvent], monitor: MarginMonitor, writes: tuple[Write, ...] = ()
    ) -> None:
        """The events of one case, in one transaction."""
        rows: list[tuple[SqlValue, ...]] = []
        collected = [*self._standings(events, monitor), *writes]
        records = monitor.portfolio.records
        for start in range(0, len(events), ACCEPTED_AT_ONCE):
            portion = events[start : start + ACCEPTED_AT_ONCE]
            rows += map(row_of, portion)
            collected += self._accept(portion, records)
            await trio.lowlevel.checkpoint()
        append = Append(MARGIN_STREAM, self._epoch, self._head, "margin_events", MARGIN_COLUMNS, rows)
        await self._commit(Commit(tuple(collected), (append,), self._advances()), monitor)
        self._head += len(events)
        self._margin.publish(self._head - len(events) + 1, events)
        self._dispatcher.ring()

    async def configuration(self, monitor: MarginMonitor) -> None:
        """Nobody's state changed under the new configuration."""
        fingerprint = monitor.settings.fingerprint
        proof = Execute("SELECT fingerprint = $1 FROM risk_configuration", (fingerprint,))
        writes = (*self._standings((), monitor), Execute(SAVE_CONFIGURATION, (fingerprint,)))
        await self._commit(Commit(writes, (), self._advances(), proof), monitor)

    def _standings(self, events: Sequence[MarginEvent], monitor: MarginMonitor) -> tuple[Write, ...]:
        changed = dict.fromkeys(event.account for event in events) | monitor.unsaved
        return (save_standings(changed, monitor.standings),) if changed else ()

    async def _commit(self, commit: Commit, monitor: MarginMonitor) -> None:
        await self._store.commit(commit)
        monitor.unsaved.clear()
        self._committed = dict(self._folded)
        self._last = self._clock.monotonic()

    def _advances(self) -> tuple[Advance, ...]:
        return tuple(
            Advance(OWNER, stream, self._epoch, self._committed[stream], folded)
            for stream, folded in self._folded.items()
            if folded > self._committed[stream]
        )
