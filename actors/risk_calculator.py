"""The risk calculator: folds prices, registrations and journals into margin events, and commits each with
its alerts.

INVARIANT: a margin event, the account's standing, the accepted alert with its immediate deliveries, and the
cursors of everything folded so far commit together. So after a stop at any moment the next life stands
exactly where the last commit left the cursors, and finds the same events.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import trio

from actors.margin_commits import UNCOMMITTED_SECONDS, Accept, MarginCommits
from actors.quarantine_keeper import Ward
from actors.risk_inputs import OWNER, Inputs, Sources
from actors.stream_input import Input
from fusion_daemon.aio import AioError
from fusion_daemon.domain.account import ACCOUNT_STREAM
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.domain.price import PRICE_STREAM
from fusion_daemon.quarantine.repository import settled_entries
from fusion_daemon.quarantine.rules import Orders, Phase, held_text, orders_of
from fusion_daemon.risk.history import Paces
from fusion_daemon.risk.monitor import Case, MarginMonitor, in_order
from fusion_daemon.risk.portfolio import Portfolio
from fusion_daemon.risk.records import SAVE_CONFIGURATION
from fusion_daemon.risk.report import AccountMargin, report
from fusion_daemon.risk.repository import end_of_reorg, load_snapshot
from fusion_daemon.risk.settings import RiskSettings
from fusion_daemon.risk.snapshot import Snapshot, restore
from fusion_daemon.risk.valuation import names
from fusion_daemon.runtime import Actor, ActorContext, Bell, Desk, Mailbox, Suspect, Topic
from fusion_daemon.store import (
    Advance,
    Claim,
    Commit,
    Execute,
    Fenced,
    Store,
    StoreRefused,
    StoreUnavailable,
    WriteConflict,
)

SNAPSHOT_SECONDS = 600.0
TELL_SECONDS = 1.0
"""How often at most the age of its data is told."""
INNOCENT = (StoreUnavailable, StoreRefused, Fenced, WriteConflict, AioError)
"""What ends a life while it folds an entry, and is not the entry's fault."""


@dataclass(frozen=True, slots=True)
class MarginOf:
    """Ask for an account's margin now; the reply is None for an unknown account."""

    account: AccountId


MarginRequests = Mailbox[MarginOf, AccountMargin | None]


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
        ward: Ward,
    ) -> None:
        self._store = store
        self._settings = settings
        self._sources = sources
        self._margin = margin
        self._dispatcher = dispatcher
        self._requests = requests
        self._accept = accept
        self._ward = ward

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, it answers what it has been asked and commits its cursors, and returns. Cancelled
        at any moment it leaves whole commits only. Raises Fenced when another calculator has claimed its streams,
        JournalMismatch when a journal contradicts itself, and whatever an entry makes it raise: at the second time
        that entry is set aside. When an operator has settled one, it starts over from the store."""
        while not context.draining.is_set():
            await self._run_until_settled(context)

    async def _run_until_settled(self, context: ActorContext) -> None:
        started_at = int(context.clock.now())
        sources, bell = self._sources, Bell()
        revision = self._ward.follow(OWNER, bell)
        claim = await self._store.claim(OWNER, produces=[MARGIN_STREAM], consumes=sources.streams)
        orders = orders_of([*self._ward.entries_of(OWNER), *await self._store.read(settled_entries, OWNER)])
        claim = await self._pass(orders, claim)
        orders = orders.after(claim.positions)
        snapshot = await self._snapshot(claim, orders)
        portfolio = Portfolio(self._settings.tokens, sources.journals, self._settings.locks)
        try:
            await _in_portions(restore(snapshot, portfolio, lambda entry: self._blame_start(entry, claim)))
        except Exception:
            context.started()  # a crash, which is tried again; a failed start would end the daemon at its boot
            raise
        monitor = MarginMonitor(self._settings, portfolio, snapshot.standings, started_at)
        for (chain, version), contracts in snapshot.late.items():
            monitor.resume_late(chain, version, contracts)
        await _in_portions(monitor.mirror())
        sources.advance(snapshot.heads)
        self._margin.advance(claim.heads[MARGIN_STREAM])
        commits = MarginCommits(self._store, claim, self._margin, self._dispatcher, self._accept, context)
        inputs = Inputs(sources, claim.positions, snapshot.heads, orders, bell)
        with self._requests.attended(bell) as desk:
            loop = _Loop(monitor, commits, inputs, snapshot.fingerprint, orders, self._ward, bell, desk, context)
            context.started()
            await loop.run(revision)

    async def _pass(self, orders: Orders, claim: Claim) -> Claim:
        """Move the cursors of journals past what was discarded, and past the reorg that it is part of: positions in
        the store have it in them, so the picture is taken after it."""
        positions = dict(claim.positions)
        for chain in self._sources.journals:
            stream = journal_stream(chain)
            if (seq := orders.passed.get(stream, 0)) > positions[stream]:
                positions[stream] = await self._store.read(end_of_reorg, chain, seq)
        advances = [
            Advance(OWNER, stream, claim.epoch, claim.positions[stream], position)
            for stream, position in positions.items()
            if position > claim.positions[stream]
        ]
        if advances:
            await self._store.commit(Commit(advances=tuple(advances)))
        return replace(claim, positions=positions)

    async def _snapshot(self, claim: Claim, orders: Orders) -> Snapshot:
        held = {stream for stream, entry in orders.held.items() if entry.phase is Phase.START}
        streams = {chain: journal_stream(chain) for chain in self._sources.journals}
        return await self._store.read(
            load_snapshot,
            sorted(set(self._settings.tokens.values())),
            claim.positions[PRICE_STREAM],
            claim.positions[ACCOUNT_STREAM],
            {chain: None if stream in held else claim.positions[stream] for chain, stream in streams.items()},
            self._sources.entries_after,
            orders.skipped,
            timeout=SNAPSHOT_SECONDS,
        )

    def _blame_start(self, entry: JournalEntry, claim: Claim) -> AbstractContextManager[None]:
        stream = journal_stream(entry.chain)
        suspect = Suspect(OWNER, stream, entry.seq, claim.positions[stream], Phase.START.value, type(entry).__name__)
        return self._ward.strikes.blame(suspect)


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
        commits: MarginCommits,
        inputs: Inputs,
        fingerprint: str | None,
        orders: Orders,
        ward: Ward,
        bell: Bell,
        desk: Desk[MarginOf, AccountMargin | None],
        context: ActorContext,
    ) -> None:
        self._monitor = monitor
        self._commits = commits
        self._inputs = inputs
        self._held = [held_text(entry) for _, entry in sorted(orders.held.items())]
        self._ward = ward
        self._bell = bell
        self._desk = desk
        self._context = context
        self._clock = context.clock
        self._paces = Paces()
        self._reconfigured = fingerprint != monitor.settings.fingerprint
        self._interest_due = self._clock.monotonic() + monitor.settings.interest_seconds
        self._fresh_due = self._clock.monotonic()

    async def run(self, revision: int) -> None:
        """Until an operator has settled something that was set aside, or an ordered stop begins."""
        while self._ward.revision(OWNER) == revision and not self._context.draining.is_set():
            await self._context.gate()
            self._tell_age()
            await self._desk.drain(self._answer)
            if not await self._step():
                self._judge_health()
                await self._rest()
            if self._commits.due_in <= 0:
                await self._commits.cursors(self._monitor)
        if self._context.draining.is_set():
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
        inputs = self._inputs
        in_time = inputs.in_time
        if self._reconfigured and not in_time and not inputs.accounts.behind:
            await self._reconfigure()
        elif await inputs.prices.look() and not in_time:
            await self._fold_price()
        elif await inputs.accounts.look():
            await self._fold_account()
        elif (earliest := await inputs.earliest()) is not None:
            if await inputs.prices.look() and inputs.prices.next.published_at <= earliest.next.block.timestamp:
                await self._fold_price()
            else:
                await self._fold_journal(earliest)
        elif await inputs.prices.look():
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
        price = self._inputs.prices.pop()
        self._commits.folded(PRICE_STREAM, price.seq)
        if price.seq not in self._inputs.prices.skipped:
            with self._blame(PRICE_STREAM, price.seq, price.seq - 1, price):
                await self._conclude(self._monitor.price(price))

    async def _fold_account(self) -> None:
        change = self._inputs.accounts.pop()
        self._commits.folded(ACCOUNT_STREAM, change.seq)
        if change.seq not in self._inputs.accounts.skipped:
            with self._blame(ACCOUNT_STREAM, change.seq, change.seq - 1, change):
                await self._conclude(self._monitor.registration(change.record, self._now))

    async def _fold_journal(self, journal: Input[JournalEntry]) -> None:
        """The next entry, or the whole of a reorg: the cursor never rests between its entries, nor on an entry
        that is history and not judged yet."""
        resting = journal.next_seq - 1
        settled = False
        while not settled and await journal.look():
            entry = journal.pop()
            settled = entry.settles or entry.late
            with self._blame(journal.stream, entry.seq, resting, entry):
                case = self._monitor.entry(entry, self._now)
                if case is not None:
                    self._commits.folded(journal.stream, entry.seq)
                    await self._conclude(case)

    def _blame(self, stream: str, seq: int, resting: int, entry: object) -> AbstractContextManager[None]:
        suspect = Suspect(OWNER, stream, seq, resting, Phase.FOLD.value, type(entry).__name__)
        return self._ward.strikes.blame(suspect, INNOCENT)

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
        troubles = list(self._held)
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
        """As of when the accounts stand: what has been announced since is not folded yet."""
        now = self._clock.monotonic()
        if now >= self._fresh_due:
            self._fresh_due = now + TELL_SECONDS
            self._context.fresh(self._clock.now() - max(self._inputs.ages()))

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
