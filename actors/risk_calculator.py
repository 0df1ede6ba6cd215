"""The risk calculator: folds prices, registrations and journals into margin events, and commits each with
its alerts.

INVARIANT: a margin event, the account's standing, the accepted alert with its immediate deliveries, and the
cursors of everything folded so far commit together. So after a stop at any moment the next life stands
exactly where the last commit left the cursors, and finds the same events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from actors.stream_input import Input
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.risk.history import Paces
from fusion_daemon.risk.monitor import Case, MarginMonitor, in_order
from fusion_daemon.risk.portfolio import Portfolio
from fusion_daemon.risk.records import MARGIN_COLUMNS, SAVE_CONFIGURATION, row_of, save_standings
from fusion_daemon.risk.report import AccountMargin, report
from fusion_daemon.risk.repository import EntriesAfter, load_snapshot
from fusion_daemon.risk.settings import RiskSettings
from fusion_daemon.risk.snapshot import Snapshot, restore
from fusion_daemon.risk.valuation import names
from fusion_daemon.runtime import Actor, ActorContext, Bell, Desk, Fill, Mailbox, Topic
from fusion_daemon.store import Advance, Append, Claim, Commit, Execute, SqlValue, Store, Write

T = TypeVar("T")

OWNER = "risk_calculator"
UNCOMMITTED_ENTRIES = 1_000
UNCOMMITTED_SECONDS = 5.0
"""How far the cursors may lag behind what was folded when nothing happens."""
ACCEPTED_AT_ONCE = 64
"""Margin events rendered between two checkpoints."""
SNAPSHOT_SECONDS = 600.0


class Accept(Protocol):
    """The alerts of margin events, and the deliveries of those that may not wait, as writes."""

    def __call__(
        self, events: Sequence[MarginEvent], accounts: Mapping[AccountId, AccountRecord], /
    ) -> Sequence[Write]: ...


@dataclass(frozen=True, slots=True)
class MarginOf:
    """Ask for an account's margin now; the reply is None for an unknown account."""

    account: AccountId


MarginRequests = Mailbox[MarginOf, AccountMargin | None]


@dataclass(frozen=True, slots=True)
class Sources:
    """The streams that are folded, and how each is read from the store where a topic dropped something."""

    prices: Topic[Price]
    price_fill: Fill[Price]
    accounts: Topic[AccountChange]
    account_fill: Fill[AccountChange]
    journals: Mapping[ChainId, Topic[JournalEntry]]
    journal_fills: Mapping[ChainId, Fill[JournalEntry]]
    entries_after: EntriesAfter
    """The same entries, for the snapshot's own transaction."""

    @property
    def streams(self) -> Sequence[str]:
        return [PRICE_STREAM, ACCOUNT_STREAM, *map(journal_stream, self.journals)]

    def advance(self, heads: Mapping[str, int]) -> None:
        """Announce what the store holds, whether or not the writers have started."""
        self.prices.advance(heads.get(PRICE_STREAM, 0))
        self.accounts.advance(heads.get(ACCOUNT_STREAM, 0))
        for topic in self.journals.values():
            topic.advance(heads.get(topic.stream, 0))


class RiskCalculator(Actor):
    name = OWNER

    def __init__(
        self,
        store: Store,
        settings: RiskSettings,
        sources: Sources,
        margin: Topic[MarginEvent],
        dispatcher: Bell,
        requests: MarginRequests,
        accept: Accept,
    ) -> None:
        self._store = store
        self._settings = settings
        self._sources = sources
        self._margin = margin
        self._dispatcher = dispatcher
        self._requests = requests
        self._accept = accept

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, it answers what it has been asked and commits its cursors, and returns. Cancelled
        at any moment it leaves whole commits only. Raises Fenced when another
        calculator has claimed its streams, JournalMismatch when a journal contradicts itself."""
        started_at = int(context.clock.now())
        sources = self._sources
        claim = await self._store.claim(OWNER, produces=[MARGIN_STREAM], consumes=sources.streams)
        snapshot = await self._snapshot(claim)
        portfolio = Portfolio(self._settings.tokens, sources.journals)
        await _in_portions(restore(snapshot, portfolio))
        monitor = MarginMonitor(self._settings, portfolio, snapshot.standings, started_at)
        await _in_portions(monitor.mirror())
        sources.advance(snapshot.heads)
        self._margin.advance(claim.heads[MARGIN_STREAM])
        bell = Bell()
        commits = _Commits(self._store, claim, self._margin, self._dispatcher, self._accept, context)
        with self._requests.attended(bell) as desk:
            loop = _Loop(monitor, commits, sources, claim, snapshot, bell, desk, context)
            context.started()
            await loop.run()

    async def _snapshot(self, claim: Claim) -> Snapshot:
        cursors = {chain: claim.positions[journal_stream(chain)] for chain in self._sources.journals}
        return await self._store.read(
            load_snapshot,
            sorted(set(self._settings.tokens.values())),
            claim.positions[PRICE_STREAM],
            claim.positions[ACCOUNT_STREAM],
            cursors,
            self._sources.entries_after,
            timeout=SNAPSHOT_SECONDS,
        )


class _Commits:
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


class _Loop:
    """Fold one input, decide its case to the end, commit if anything happened, look again.

    Prices go first: a backlog of a chain never delays a margin call. Of several chains' journals the
    earliest block is next.

    INVARIANT: up to the heads of its start, a life folds prices and blocks in the order of their times.
    The cursors of the life before stood up to UNCOMMITTED_SECONDS behind what it had folded; prices
    first would now meet accounts without their latest positions, and miss a crossing or invent one.
    What is older than the prices even so is history (`risk.history`): not judged before it is level.
    """

    def __init__(
        self,
        monitor: MarginMonitor,
        commits: _Commits,
        sources: Sources,
        claim: Claim,
        snapshot: Snapshot,
        bell: Bell,
        desk: Desk[MarginOf, AccountMargin | None],
        context: ActorContext,
    ) -> None:
        self._monitor = monitor
        self._commits = commits
        self._bell = bell
        self._desk = desk
        self._context = context
        self._clock = context.clock

        def input_of(topic: Topic[T], fill: Fill[T]) -> Input[T]:
            subscription = topic.subscribe(OWNER, claim.positions[topic.stream], fill, bell)
            return Input(topic.stream, subscription, snapshot.heads.get(topic.stream, 0))

        self._prices = input_of(sources.prices, sources.price_fill)
        self._accounts = input_of(sources.accounts, sources.account_fill)
        self._journals = {
            chain: input_of(topic, sources.journal_fills[chain])
            for chain, topic in sorted(sources.journals.items())
        }
        self._paces = Paces()
        self._reconfigured = snapshot.fingerprint != monitor.settings.fingerprint
        self._interest_due = self._clock.monotonic() + monitor.settings.interest_seconds
        self._fresh_due = self._clock.monotonic()

    async def run(self) -> None:
        while not self._context.draining.is_set():
            await self._context.gate()
            self._tell_age()
            await self._desk.drain(self._answer)
            if not await self._step():
                self._judge_health()
                await self._rest()
            if self._commits.due_in <= 0:
                await self._commits.cursors(self._monitor)
        await self._desk.finish(self._answer)
        if self._commits.behind:
            await self._commits.cursors(self._monitor)

    async def _reconfigure(self) -> None:
        """Look at everybody under the new limits, and remember them.

        Not before all inputs have reached their heads of the start: until then accounts stand where
        nobody's money is any more.
        """
        self._reconfigured = False
        fingerprint = self._monitor.settings.fingerprint
        events = await self._decided(self._monitor.configuration(self._now))
        if events:
            await self._commits.events(events, self._monitor, (Execute(SAVE_CONFIGURATION, (fingerprint,)),))
        else:
            await self._commits.configuration(self._monitor)

    async def _step(self) -> bool:
        """Fold the next input; False when there is none."""
        in_time = self._prices.behind or any(journal.behind for journal in self._journals.values())
        if self._reconfigured and not in_time and not self._accounts.behind:
            await self._reconfigure()
        elif await self._prices.look() and not in_time:
            await self._fold_price()
        elif await self._accounts.look():
            change = self._accounts.pop()
            self._commits.folded(ACCOUNT_STREAM, change.seq)
            await self._conclude(self._monitor.registration(change.record, self._now))
        elif waiting := [journal for journal in self._journals.values() if await journal.look()]:
            earliest = min(waiting, key=lambda journal: journal.next.block.timestamp)
            if await self._prices.look() and self._prices.next.published_at <= earliest.next.block.timestamp:
                await self._fold_price()
            else:
                await self._fold_journal(earliest)
        elif await self._prices.look():
            await self._fold_price()
        elif (chain := self._paces.level(self._monitor.history, self._clock.monotonic())) is not None:
            self._commits.folded(journal_stream(chain), self._monitor.portfolio.chains[chain].seq)
            await self._conclude(self._monitor.level(chain, self._now))
        elif self._clock.monotonic() >= self._interest_due:
            self._interest_due = self._clock.monotonic() + self._monitor.settings.interest_seconds
            await self._conclude(self._monitor.interest(self._now))
        else:
            return False
        return True

    async def _fold_price(self) -> None:
        price = self._prices.pop()
        self._commits.folded(PRICE_STREAM, price.seq)
        await self._conclude(self._monitor.price(price))

    async def _fold_journal(self, journal: Input[JournalEntry]) -> None:
        """The next entry, or the whole of a reorg: the cursor never rests between its entries, nor on an entry
        that is history and not judged yet."""
        settled = False
        while not settled and await journal.look():
            entry = journal.pop()
            settled = entry.settles
            case = self._monitor.entry(entry, self._now)
            if case is not None:
                self._commits.folded(journal.stream, entry.seq)
                await self._conclude(case)

    async def _conclude(self, case: Case) -> None:
        events = await self._decided(case)
        if events:
            await self._commits.events(events, self._monitor)

    async def _decided(self, case: Case) -> list[MarginEvent]:
        events: list[MarginEvent] = []
        for portion in self._monitor.blocks(case):
            events += self._monitor.decide(portion, case.driver)
            await trio.lowlevel.checkpoint()
        return in_order(events)

    async def _answer(self, request: MarginOf) -> AccountMargin | None:
        return report(self._monitor, request.account, self._now)

    def _judge_health(self) -> None:
        troubles = []
        if unvalued := self._monitor.portfolio.unvalued():
            what = ", ".join(names(unvalued))
            troubles.append(f"accounts hold what has no price or no parameters: {what}")
        troubles += [
            f"chain {chain} is being read up to block {block.number}, older than the prices: "
            "whom its blocks touch is judged when it is level with the present"
            for chain, block in self._monitor.history.items()
        ]
        if troubles:
            self._context.degraded("; ".join(troubles))
        else:
            self._context.healthy()

    def _tell_age(self) -> None:
        now = self._clock.monotonic()
        if now >= self._fresh_due:
            self._fresh_due = now + 1.0
            ages = [self._prices.age, self._accounts.age, *(each.age for each in self._journals.values())]
            self._context.fresh(self._clock.now() - max(ages))

    async def _rest(self) -> None:
        until_interest = self._interest_due - self._clock.monotonic()
        due_in = max(0.0, min(until_interest, self._commits.due_in, UNCOMMITTED_SECONDS))
        await self._context.rest(due_in, self._bell)

    @property
    def _now(self) -> int:
        return int(self._clock.now())


async def _in_portions(work: Iterator[object]) -> None:
    for _ in work:
        await trio.lowlevel.checkpoint()
