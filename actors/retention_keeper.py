"""Retention keeper: drops the partitions that are older than the configuration keeps and that nobody needs.

INVARIANTS
* What may go is the rooms' to say (`<room>/retention.py`); age alone never suffices. A pass drops at most the
  oldest partition of each table and chain.
* It never makes a writer wait: a table that is in use at that moment is left for the next pass.
* After a jump of the wall clock nothing is dropped for HELD seconds, so that a clock set wrong by accident
  costs nothing; one that still stands there by then is taken for right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from actors.retention_settings import RetentionSettings
from fusion_daemon.alerting.retention import spent_deliveries
from fusion_daemon.chain.retention import spent_blocks, spent_journal
from fusion_daemon.crosschain.retention import drop_message_rows
from fusion_daemon.oracle.retention import spent_prices
from fusion_daemon.runtime import Actor, ActorContext, Clock
from fusion_daemon.store import Reader, Store, StoreUnavailable
from fusion_daemon.store.partitions import Partition, drop_partitions
from fusion_daemon.transactions.retention import drop_transaction_steps

NAME = "retention_keeper"

PASS_SECONDS = 600.0
"""Between two looks."""
JUMP = 60.0
"""Seconds by which wall and monotonic clock may part before it counts as a jump."""
HELD = 86_400.0
DROP_SECONDS = 5.0
"""How long a pass tries to find the tables unused."""
ROW_SECONDS = 30.0
"""The same for the rows of a table that is not parted."""
_BEAT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RetentionStatistics:
    dropped: Mapping[str, int]
    """Partitions by table, in this life."""
    rows: Mapping[str, int]
    """Rows by table, of those that are not parted."""
    put_off: int
    """Drops left for a later pass, because the table was in use or the database away."""
    held: bool
    """Whether a clock jump holds it back."""


class ClockWatch:
    """Notices when the wall clock is moved."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()
        self._held_until: float | None = None

    def held(self) -> bool:
        """Whether the wall clock jumped less than HELD seconds ago, by the monotonic clock."""
        now = self._clock.monotonic()
        offset = self._clock.now() - now
        if abs(offset - self._offset) > JUMP:
            self._held_until = now + HELD
        self._offset = offset
        if self._held_until is not None and now >= self._held_until:
            self._held_until = None
        return self._held_until is not None


class RetentionKeeper(Actor):
    """Needs no epoch: a partition can be dropped once, and two keepers would find the same ones."""

    name = NAME

    def __init__(self, settings: Callable[[], RetentionSettings], store: Store) -> None:
        """`settings` is asked at every pass: a change does not end the life, which remembers jumps of the clock."""
        self._settings = settings
        self._store = store
        self._dropped: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._put_off = 0
        self._held = False

    def statistics(self) -> RetentionStatistics:
        return RetentionStatistics(dict(self._dropped), dict(self._rows), self._put_off, self._held)

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, it finishes the drop under way and returns. Cancelled, a drop has happened as a
        whole or not at all."""
        watch = ClockWatch(context.clock)
        context.started()
        while not context.draining.is_set():
            await context.gate()
            self._held = watch.held()
            if self._held:
                context.degraded("The wall clock jumped: nothing is dropped for a day. Check the machine's time.")
                context.fresh(context.clock.now())
            else:
                await self._pass(context)
            due = context.clock.monotonic() + PASS_SECONDS
            while context.clock.monotonic() < due and not context.draining.is_set():
                await context.rest(_BEAT_SECONDS)
                context.beat()

    async def _pass(self, context: ActorContext) -> None:
        try:
            groups = await self._store.read(_spent, self._settings(), context.clock.now())
        except StoreUnavailable as failure:
            context.degraded(str(failure))
            return
        context.healthy()
        context.fresh(context.clock.now())
        for group in groups:
            if context.draining.is_set():
                return
            context.beat()
            try:
                await self._store.transact(drop_partitions, group, timeout=DROP_SECONDS)
            except StoreUnavailable as failure:
                # It may even have happened: the next pass looks again.
                self._put_off += 1
                context.log.info("retention_put_off", partitions=[each.name for each in group], reason=str(failure))
                continue
            for each in group:
                self._dropped[each.parent] += 1
                context.log.info("partition_dropped", table=each.parent, chain=each.chain, low=each.low, high=each.high)
        await self._drop_rows(context)

    async def _drop_rows(self, context: ActorContext) -> None:
        settings, now = self._settings(), context.clock.now()
        for drop, keep in ((drop_message_rows, settings.messages), (drop_transaction_steps, settings.transactions)):
            if context.draining.is_set():
                return
            context.beat()
            try:
                dropped = await self._store.transact(drop, now, keep, timeout=ROW_SECONDS)
            except StoreUnavailable as failure:
                self._put_off += 1
                context.log.info("retention_put_off", partitions=[], reason=str(failure))
                continue
            self._rows.update(dropped)


async def _spent(reader: Reader, settings: RetentionSettings, now: float) -> Sequence[Sequence[Partition]]:
    """What may go now, in groups that go together. asyncio side."""
    blocks = await spent_blocks(reader, now, settings.journal)
    groups: list[Sequence[Partition]] = [[each] for each in await spent_journal(reader, now, settings.journal)]
    groups += [[each for each in blocks if each.chain == chain] for chain in sorted({b.chain or 0 for b in blocks})]
    groups.append(await spent_prices(reader, now, settings.prices, settings.assets))
    groups.append(await spent_deliveries(reader, now, settings.deliveries))
    return [group for group in groups if group]
