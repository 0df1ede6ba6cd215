"""The message tracker: folds what the chains show of every cross-chain message, and tells how each stands.

INVARIANTS
* Evidence, standings, changes, alarms and the cursors of the journals commit together, and only at places at which
  every chain's state was the chain's: never inside a reorg. So a stop at any moment loses and doubles nothing.
* Its time does not run ahead of what it has read: while a journal is behind, it is the time of the last block folded
  of it. Otherwise everything on its way would look stuck after a long stop. Nor does it go back behind what it has
  told, unless the clock does: what is stuck would be told to move again, and then to be stuck again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from actors.message_census import CensusFigures, MessageCensus
from actors.message_commits import Accept, MessageCommits, said
from actors.quarantine_keeper import Ward
from actors.stream_input import Input
from fusion_daemon.accounts.audit import By
from fusion_daemon.aio import AioError
from fusion_daemon.crosschain import LogReader, MessageId, MessageTracker, RawLog, Rules, Standing, State
from fusion_daemon.crosschain.repository import (
    Finality,
    load_canonical,
    load_dropped,
    load_finality,
    load_raw_logs,
    load_state,
    load_told_at,
)
from fusion_daemon.crosschain.settings import MessageSettings
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef, JournalEntry, Op, journal_stream
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.quarantine.repository import settled_entries
from fusion_daemon.quarantine.rules import Orders, Phase, held_text, orders_of
from fusion_daemon.runtime import Actor, ActorContext, Bell, Desk, Fill, Mailbox, Suspect, Topic
from fusion_daemon.store import Advance, Claim, Commit, Fenced, Store, StoreRefused, StoreUnavailable, WriteConflict

OWNER = "message_tracker"
PORTION = 256
"""Journal entries folded between two commits at most, but for a reorg, which is folded whole."""
PRUNED_BLOCKS = 200
"""Blocks that a look asks whether their evidence is still needed."""
LOOK_SECONDS = 1.0
"""How often finality and time are looked at when nothing happens."""
RECEIPT_PAUSE = 2.0
START_SECONDS = 600.0
INNOCENT = (StoreUnavailable, StoreRefused, Fenced, WriteConflict, AioError, Failure)
"""What ends a life while it folds an entry, and is not the entry's fault."""


class ReceiptsUnavailable(Failure):
    """No node of a chain told the receipts that a message's place needs."""


def receipts_unavailable(chain: ChainId, what: str) -> ReceiptsUnavailable:
    return ReceiptsUnavailable(
        f"A node of chain {chain} {what}.",
        "Messages that leave this chain cannot be told apart before it is there; what is folded of it waits.",
        "Nothing at first: it is asked again. If it lasts, check the chain's RPC endpoints.",
    )


class Receipts(Protocol):
    async def __call__(
        self, chain: ChainId, transactions: Sequence[Hash32], /
    ) -> Mapping[tuple[Hash32, int], int]:
        """Of all logs of these transactions, as far as the node has them: from the block and the index in it to the
        place in the receipt. Raises ReceiptsUnavailable."""


@dataclass(frozen=True, slots=True)
class Journals:
    """The journals that are folded, and how each is read from the store where its topic dropped something."""

    topics: Mapping[ChainId, Topic[JournalEntry]]
    fills: Mapping[ChainId, Fill[JournalEntry]]


@dataclass(frozen=True, slots=True)
class TrackerStatistics:
    """Counters since this life began, and how messages stand now."""

    evidence: int
    unreadable: int
    census: CensusFigures
    pruned: int
    """Pieces of evidence of messages that ended for good."""
    strangers: int
    """Pieces of strangers' evidence that were dropped, by age or number."""
    crowded: int
    """Those of them that were young: there were too many."""


@dataclass(frozen=True, slots=True)
class OperatorsWord:
    """Give a message up, or take that back. The reply: how it stands then, which is as before where it is applied or
    its source is gone; None where nobody knows it."""

    message: MessageId
    abandon: bool
    by: By


OperatorsWords = Mailbox[OperatorsWord, Standing | None]


class MessageTrackerActor(Actor):
    name = OWNER

    def __init__(
        self,
        store: Store,
        settings: MessageSettings,
        journals: Journals,
        receipts: Callable[[], AbstractAsyncContextManager[Receipts]],
        topic: Topic[MessageChange],
        dispatcher: Bell,
        accept: Accept,
        ward: Ward,
        words: OperatorsWords,
        keep: Callable[[], float],
    ) -> None:
        """`keep`: for how many seconds evidence is kept at the least; asked at every look."""
        self._words = words
        self._keep = keep
        self._store = store
        self._settings = settings
        self._journals = journals
        self._receipts = receipts
        self._topic = topic
        self._dispatcher = dispatcher
        self._accept = accept
        self._ward = ward
        self._loop: _Loop | None = None

    def statistics(self) -> TrackerStatistics:
        if self._loop is None:
            return TrackerStatistics(0, 0, MessageCensus().figures(), 0, 0, 0)
        return self._loop.statistics()

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, it commits what it has folded and returns. Raises Fenced when another tracker has
        claimed its streams, and whatever an entry makes it raise: at the second time that entry is set aside. When an
        operator has settled one, it starts over from the store."""
        async with self._receipts() as receipts:
            while not context.draining.is_set():
                await self._run_until_settled(context, receipts)

    async def _run_until_settled(self, context: ActorContext, receipts: Receipts) -> None:
        bell = Bell()
        revision = self._ward.follow(OWNER, bell)
        streams = [journal_stream(network.chain) for network in self._settings.networks]
        claim = await self._begun(await self._store.claim(OWNER, produces=[MESSAGE_STREAM], consumes=streams))
        settled = [*self._ward.entries_of(OWNER), *await self._store.read(settled_entries, OWNER)]
        orders = orders_of(settled).after(claim.positions)
        rules = Rules(self._settings.networks, self._settings.terms)
        state = await self._store.read(load_state, timeout=START_SECONDS)
        tracker = MessageTracker.restored(rules, state)
        self._topic.advance(claim.heads[MESSAGE_STREAM])
        commits = MessageCommits(
            OWNER, self._store, claim, tracker, self._topic, self._dispatcher, self._accept
        )
        inputs = {
            network.chain: self._input(network.chain, claim, orders, bell) for network in self._settings.networks
        }
        told_at = await self._store.read(load_told_at)
        loop = self._loop = _Loop(
            self._settings, self._store, tracker, commits, inputs, receipts, self._ward, told_at, self._keep
        )
        context.started()
        held = [held_text(entry) for _, entry in sorted(orders.held.items())]
        with self._words.attended(bell) as desk:
            await self._attend(context, loop, desk, bell, held, revision)

    async def _attend(
        self,
        context: ActorContext,
        loop: _Loop,
        desk: Desk[OperatorsWord, Standing | None],
        bell: Bell,
        held: Sequence[str],
        revision: int,
    ) -> None:
        async def answer(word: OperatorsWord) -> Standing | None:
            return await loop.obey(word, context.clock.now())

        while self._ward.revision(OWNER) == revision and not context.draining.is_set():
            await context.gate()
            worked = await loop.step(context)
            await desk.drain(answer)
            if not worked:
                await context.rest(loop.pause(context.clock.now()), bell)
            if loop.trouble is not None:
                context.degraded(loop.trouble)
            elif held:
                context.degraded("; ".join(held))
            else:
                context.healthy()

    async def _begun(self, claim: Claim) -> Claim:
        """Of a journal that is older than its bridges' configuration, the tracker reads what is kept."""
        positions = dict(claim.positions)
        for network in self._settings.networks:
            stream = journal_stream(network.chain)
            if positions[stream] == 0:
                positions[stream] = await self._store.read(load_dropped, network.chain)
        advances = tuple(
            Advance(OWNER, stream, claim.epoch, 0, position)
            for stream, position in positions.items()
            if position > claim.positions[stream]
        )
        if advances:
            await self._store.commit(Commit(advances=advances))
        return replace(claim, positions=positions)

    def _input(self, chain: ChainId, claim: Claim, orders: Orders, bell: Bell) -> Input[JournalEntry]:
        topic, stream = self._journals.topics[chain], journal_stream(chain)
        position = claim.positions[stream]
        held = orders.held.get(stream)
        passed = orders.passed.get(stream)
        return Input(
            stream,
            topic.subscribe(OWNER, position, self._journals.fills[chain], bell),
            topic.head,
            resting=None if held is None else held.resting,
            skipped=frozenset() if passed is None else frozenset({passed}),
        )


class _Loop:
    """Take a portion of one chain's journal, find its logs, fold it, settle and commit."""

    def __init__(
        self,
        settings: MessageSettings,
        store: Store,
        tracker: MessageTracker,
        commits: MessageCommits,
        inputs: Mapping[ChainId, Input[JournalEntry]],
        receipts: Receipts,
        ward: Ward,
        told_at: int,
        keep: Callable[[], float],
    ) -> None:
        self._keep = keep
        """`told_at`: the tracker's own time at the last change that it told, in unix seconds."""
        self.trouble: str | None = None
        self._settings = settings
        self._store = store
        self._reader = LogReader(settings.networks)
        self._tracker = tracker
        self._commits = commits
        self._inputs = inputs
        self._receipts = receipts
        self._ward = ward
        self._finalized: dict[ChainId, int] = {}
        self._waiting: dict[ChainId, Finality] = {}
        """Read, and ahead of what is folded."""
        self._seen: dict[ChainId, int] = {}
        """The time of the last block folded of each chain in this life."""
        self._told_at = told_at
        self._evidence = 0
        self._unreadable = 0
        self._pruned = self._strangers = self._crowded = 0
        self._census = MessageCensus()
        for standing in tracker.standings():
            self._census.count(standing)

    def statistics(self) -> TrackerStatistics:
        return TrackerStatistics(
            self._evidence,
            self._unreadable,
            self._census.figures(),
            self._pruned - self._strangers,
            self._strangers,
            self._crowded,
        )

    def pause(self, now: float) -> float:
        """Seconds until something has to be looked at though nothing is rung."""
        if self.trouble is not None:
            return RECEIPT_PAUSE
        due = self._tracker.next_due
        return LOOK_SECONDS if due is None else max(0.0, min(LOOK_SECONDS, due - now))

    async def step(self, context: ActorContext) -> bool:
        """False when there was nothing to fold."""
        folded = False
        for chain, journal in self._inputs.items():
            if await journal.look():
                folded = await self._fold(chain, journal) or folded
        await self._finality()
        now = context.clock.now()
        await self._settle(now)
        self._prune(now)
        if not folded:
            context.fresh(now)
        return folded

    async def obey(self, word: OperatorsWord, now: float) -> Standing | None:
        """What was folded or came due before is settled first: it is not of the operator's making."""
        await self._settle(now)
        tracker, message = self._tracker, word.message
        before = tracker.standing(message)
        if before is None or word.abandon == (before.state is State.ABANDONED):
            return before
        if word.abandon and (before.applied or before.state is State.REORGED_OUT):
            return before
        if word.abandon:
            tracker.abandon(message)
        else:
            tracker.resume(message)
        await self._settle(now, word)
        return tracker.standing(message)

    async def _settle(self, now: float, word: OperatorsWord | None = None) -> None:
        at = int(await self._time(now))
        transitions = self._tracker.settle(at)
        if transitions:
            self._told_at = at
        for transition in transitions:
            self._census.changed(transition)
        if transitions or self._commits.behind:
            ordered = () if word is None else said(word.message, word.abandon, word.by)
            await self._commits.settle(transitions, now, at, ordered)

    def _prune(self, now: float) -> None:
        """By the blocks' own times: a chain that stands still, or a clock that runs ahead, makes nothing older."""
        seen = [self._seen.get(chain, 0) for chain in self._inputs]
        pruned = self._tracker.prune(int(min([now, *seen]) - self._keep()), PRUNED_BLOCKS)
        if pruned.evidence:
            self._commits.pruned(pruned)
        self._pruned += len(pruned.evidence)
        self._strangers += pruned.strangers
        self._crowded += pruned.crowded

    async def _time(self, now: float) -> float:
        behind = [self._seen.get(chain, 0) for chain, journal in self._inputs.items() if await journal.look()]
        return now if not behind else min(now, max(self._told_at, min(behind)))

    async def _fold(self, chain: ChainId, journal: Input[JournalEntry]) -> bool:
        """A portion that ends where the chain's state was the chain's."""
        resting = journal.next_seq - 1
        entries: list[JournalEntry] = []
        while (len(entries) < PORTION or not entries[-1].settles) and await journal.look():
            entries.append(journal.pop())
        try:
            logs = await self._logs(chain, [entry for entry in entries if entry.op is Op.APPLY])
        except ReceiptsUnavailable as failure:
            self.trouble = str(failure)
            journal.put_back(entries)
            return False
        self.trouble = None
        for entry in entries:
            with self._blame(journal.stream, entry, resting):
                if entry.seq not in journal.skipped:
                    self._fold_entry(entry, logs.get(entry.block.hash, ()))
            self._commits.folded(journal.stream, entry.seq)
            self._seen[chain] = entry.block.timestamp
        return True

    def _fold_entry(self, entry: JournalEntry, logs: Sequence[RawLog]) -> None:
        if entry.op is Op.RETRACT:
            self._tracker.retract(entry.chain, entry.block)
            self._commits.retracted(entry.chain, entry.block.hash)
            return
        reading = self._reader.read(logs)
        self._tracker.apply(entry.chain, entry.block, reading.evidence)
        self._commits.applied(reading.evidence, reading.unreadable)
        self._evidence += len(reading.evidence)
        self._unreadable += len(reading.unreadable)

    async def _logs(self, chain: ChainId, applied: Sequence[JournalEntry]) -> Mapping[Hash32, Sequence[RawLog]]:
        """The logs of the blocks, those that need it with their place in the receipt. A log whose block is not the
        chain's any more is left out where no node has it: the journal is about to retract it."""
        blocks = [entry.block for entry in applied]
        emitters: list[Address] = list(self._settings.emitters[chain])
        found = await self._store.read(load_raw_logs, chain, blocks, emitters)
        wanted = {
            log.place.tx_hash: None for logs in found.values() for log in logs if self._wants_receipt(chain, log)
        }
        if not wanted:
            return found
        places = await self._receipts(chain, list(wanted))
        placed = {block: self._placed(chain, logs, places) for block, logs in found.items()}
        short: Sequence[BlockRef] = [
            block for block in blocks if len(placed.get(block.hash, ())) < len(found.get(block.hash, ()))
        ]
        missing = False if not short else await self._store.read(load_canonical, chain, short)
        if missing:
            raise receipts_unavailable(chain, "does not have a receipt yet of a block that it showed")
        return placed

    def _wants_receipt(self, chain: ChainId, log: RawLog) -> bool:
        return bool(log.topics) and self._reader.wants_receipt(chain, log.emitter, log.topics[0])

    def _placed(
        self, chain: ChainId, logs: Sequence[RawLog], places: Mapping[tuple[Hash32, int], int]
    ) -> Sequence[RawLog]:
        found: list[RawLog] = []
        for log in logs:
            if not self._wants_receipt(chain, log):
                found.append(log)
            elif (index := places.get((log.place.block_hash, log.place.log_index))) is not None:
                place = msgspec.structs.replace(log.place, receipt_index=index)
                found.append(msgspec.structs.replace(log, place=place))
        return found

    async def _finality(self) -> None:
        """A final block counts when everything is folded that was stored as it became final. Before that, what is
        folded at its height may be a branch that is gone."""
        found = await self._store.read(load_finality, list(self._inputs))
        for chain, fresh in found.items():
            folded = self._inputs[chain].next_seq - 1
            waiting = self._waiting.pop(chain, fresh)
            counts = [each for each in (waiting, fresh) if each.seq <= folded]
            if fresh.seq > folded:
                self._waiting[chain] = fresh if waiting.seq <= folded else waiting
            if counts and counts[-1].number > self._finalized.get(chain, -1):
                self._finalized[chain] = number = counts[-1].number
                self._tracker.finality(chain, number)
                self._commits.finality(chain, number)

    def _blame(self, stream: str, entry: JournalEntry, resting: int) -> AbstractContextManager[None]:
        suspect = Suspect(OWNER, stream, entry.seq, resting, Phase.FOLD.value, type(entry).__name__)
        return self._ward.strikes.blame(suspect, INNOCENT)
