"""The message tracker's work: take a portion of a chain's journal, find its logs, fold it, settle and commit.

INVARIANT: its time does not run ahead of what it has read: while a journal is behind, it is the time of the last block
folded of it. Otherwise everything on its way would look stuck after a long stop. Nor does it go back behind what it has
told, unless the clock does: what is stuck would be told to move again, and then to be stuck again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from actors.message_census import CensusFigures, MessageCensus
from actors.message_commits import MessageCommits, said
from actors.quarantine_keeper import Ward
from actors.stream_input import Input
from fusion_daemon.accounts.audit import By
from fusion_daemon.aio import AioError
from fusion_daemon.crosschain import LogReader, MessageId, MessageTracker, RawLog, Standing, State
from fusion_daemon.crosschain.repository import Finality, load_canonical, load_finality, load_raw_logs
from fusion_daemon.crosschain.settings import MessageSettings
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef, JournalEntry, Op
from fusion_daemon.quarantine.rules import Phase
from fusion_daemon.runtime import ActorContext, Suspect
from fusion_daemon.store import Fenced, Store, StoreRefused, StoreUnavailable, WriteConflict

OWNER = "message_tracker"
PORTION = 256
RECEIPTS_AT_ONCE = 50
"""Transactions whose receipts are asked for in one crossing: each that ends is progress."""
"""Journal entries folded between two commits at most, but for a reorg, which is folded whole."""
PRUNED_BLOCKS = 200
"""Blocks that a look asks whether their evidence is still needed."""
LOOK_SECONDS = 1.0
"""How often finality and time are looked at when nothing happens."""
RECEIPT_PAUSE = 2.0
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
    async def __call__(self, chain: ChainId, transactions: Sequence[Hash32], /) -> Mapping[tuple[Hash32, int], int]:
        """Of all logs of these transactions, as far as the node has them: from the block and the index in it to the
        place in the receipt. Raises ReceiptsUnavailable."""


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


NOTHING_YET = TrackerStatistics(0, 0, MessageCensus().figures(), 0, 0, 0)


@dataclass(frozen=True, slots=True)
class OperatorsWord:
    """Give a message up, or take that back. The reply: how it stands then, which is as before where it is applied or
    its source is gone; None where nobody knows it."""

    message: MessageId
    abandon: bool
    by: By


class MessageFolding:
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
        """`told_at`: the tracker's own time at the last change that it told, in unix seconds. `keep`: for how many
        seconds evidence is kept at the least; asked at every look."""
        self._keep = keep
        self._trouble: dict[ChainId, str] = {}
        """What keeps a chain's journal from being folded; the others go on."""
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

    def troubles(self) -> Sequence[str]:
        return tuple(self._trouble.values())

    def pause(self, now: float) -> float:
        """Seconds until something has to be looked at though nothing is rung."""
        if self._trouble:
            return RECEIPT_PAUSE
        due = self._tracker.next_due
        return LOOK_SECONDS if due is None else max(0.0, min(LOOK_SECONDS, due - now))

    async def step(self, context: ActorContext) -> bool:
        """False when there was nothing to fold."""
        folded = False
        for chain, journal in self._inputs.items():
            if await journal.look():
                folded = await self._fold(context, chain, journal) or folded
                context.beat()
        await self._finality()
        now = context.clock.now()
        await self._settle(now)
        self._prune(now)
        if not folded and not self._trouble:
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

    async def _fold(self, context: ActorContext, chain: ChainId, journal: Input[JournalEntry]) -> bool:
        """A portion that ends where the chain's state was the chain's."""
        resting = journal.next_seq - 1
        entries: list[JournalEntry] = []
        while (len(entries) < PORTION or not _may_rest(entries[-1])) and await journal.look():
            entries.append(journal.pop())
        try:
            logs = await self._logs(context, chain, [entry for entry in entries if entry.op is Op.APPLY])
        except ReceiptsUnavailable as failure:
            self._trouble[chain] = str(failure)
            journal.put_back(entries)
            return False
        self._trouble.pop(chain, None)
        for entry in entries:
            with self._blame(journal.stream, entry, resting):
                if entry.seq not in journal.skipped:
                    self._fold_entry(entry, logs.get(entry.seq, ()))
            self._commits.folded(journal.stream, entry.seq)
            if not entry.late:
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

    async def _logs(
        self, context: ActorContext, chain: ChainId, applied: Sequence[JournalEntry]
    ) -> Mapping[int, Sequence[RawLog]]:
        """The logs of the entries, by number, those that need it with their place in the receipt. A log whose block is
        not the chain's any more is left out where no node has it: the journal is about to retract it."""
        emitters: list[Address] = list(self._settings.emitters[chain])
        found = await self._store.read(load_raw_logs, chain, applied, emitters)
        needed = {
            log.place.tx_hash: None for logs in found.values() for log in logs if self._wants_receipt(chain, log)
        }
        if not needed:
            return found
        wanted, places = list(needed), dict[tuple[Hash32, int], int]()
        for start in range(0, len(wanted), RECEIPTS_AT_ONCE):
            places |= await self._receipts(chain, wanted[start : start + RECEIPTS_AT_ONCE])
            context.beat()
        placed = {seq: self._placed(chain, logs, places) for seq, logs in found.items()}
        short: Sequence[BlockRef] = [entry.block for entry in applied if len(placed[entry.seq]) < len(found[entry.seq])]
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


def _may_rest(entry: JournalEntry) -> bool:
    """Late history is taken piece by piece: a message's evidence may come in any order."""
    return entry.settles or entry.late
