"""What one step of a chain listener commits: blocks, logs, journal, positions, registers and tip, at once.

INVARIANTS
* Folding the journal (APPLY adds, RETRACT takes away) always yields the canonical chain, without a gap.
* positions = the sum of the journal's balance changes; chain_registers = those of the canonical blocks.
* The coverage says which blocks' logs were read, never more: it goes with the blocks, in the same commit.
* A log row is written once, and changed only where `chain.repair` decodes it later: a block that was stored before
  (A -> B -> A) is applied again with the changes of its *stored* logs, and of those that another contract, read only
  since, emitted in it. A row says since which entry it counts, so what was published equals what is read back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain as chained

from fusion_daemon.chain.blocks import Head, Header, Log, Span
from fusion_daemon.chain.coverage import NOTHING_READ, Coverage
from fusion_daemon.chain.coverage_rows import coverage_writes
from fusion_daemon.chain.events import Event, EventTable
from fusion_daemon.chain.journal_rows import append_write, block_writes, log_writes, position_writes, register_writes
from fusion_daemon.domain.identifiers import ChainId, Hash32
from fusion_daemon.domain.journal import (
    BlockRef,
    Change,
    JournalEntry,
    Op,
)
from fusion_daemon.store.writes import Commit, Execute, Write

StoredLogs = Mapping[Hash32, Mapping[int, tuple[Change, ...]]]
"""Of stored blocks: what each of their logs changed, by log index."""


@dataclass(frozen=True, slots=True)
class Finality:
    """Where the chain says its head, its safe and its final block are."""

    head: int
    safe: int | None
    finalized: int
    named: bool
    """By the chain itself, now or ever before."""


@dataclass(frozen=True, slots=True)
class ChainView:
    """What the listener knows of its stored chain. INVARIANT: equal to what the store holds."""

    chain: ChainId
    start: int
    """The first block that is read."""
    blocks: tuple[BlockRef, ...]
    """Canonical, ascending up to the tip, without gaps: the highest final block and everything above it; from
    `start` on while nothing is final. Empty: nothing is stored yet."""
    orphans: Mapping[Hash32, int]
    """Stored blocks off the canonical chain that may still come back, with their numbers: those above the tip or
    above finality. Finality is the node's word on its own chain, so it may lie above our tip."""
    finalized: int
    """The highest final block ever, named by the chain or counted; -1: none yet. Never goes back."""
    named: bool
    """The chain has named its final block itself: it is never counted any more."""
    seq: int
    """Head of the chain's journal."""
    coverage: Coverage = NOTHING_READ
    """Whose logs are read, and of which blocks they were. Of a chain that has no block yet, nothing of it is stored."""

    @property
    def tip(self) -> BlockRef | None:
        return self.blocks[-1] if self.blocks else None

    @property
    def next_number(self) -> int:
        return self.blocks[-1].number + 1 if self.blocks else self.start

    def block_at(self, number: int) -> BlockRef | None:
        """The canonical block of that height, as far down as `blocks` reaches."""
        place = number - self.blocks[0].number if self.blocks else -1
        return self.blocks[place] if 0 <= place < len(self.blocks) else None

    @property
    def rooted(self) -> bool:
        """The window's lowest block is final: a reorg that reaches below it violates finality."""
        return bool(self.blocks) and self.blocks[0].number <= self.finalized


def finality_of(head: Head, view: ChainView, depth: int) -> Finality:
    """From the chain's own tags. Only a chain that has never named its final block counts `depth` blocks back: one
    answer without the tag, of a node that is just starting, must not make final what the chain may still replace,
    since finality never goes back."""
    number = head.header.number
    if head.finalized is not None:
        return Finality(number, head.safe, head.finalized, True)
    return Finality(number, head.safe, view.finalized if view.named else max(number - depth, 0), view.named)


@dataclass(frozen=True, slots=True)
class Plan:
    commit: Commit
    entries: tuple[JournalEntry, ...]
    """What to publish after the commit."""
    view: ChainView
    """What holds after the commit."""
    undecodable: int
    """New logs whose event is known but whose arguments are not as its ABI says."""


def plan_extend(
    view: ChainView,
    epoch: int,
    table: EventTable,
    finality: Finality,
    span: Span,
    stored: StoredLogs,
) -> Plan:
    """`span` continues the tip. `stored`: the logs of its blocks that are among `view.orphans`."""
    return _plan(view, epoch, table, finality, (), span, stored)


def plan_reorg(
    view: ChainView,
    epoch: int,
    table: EventTable,
    finality: Finality,
    ancestor: BlockRef | None,
    branch: Span,
    stored: StoredLogs,
) -> Plan:
    """Retract from the tip down to the block above `ancestor` (None: everything), then apply `branch`, which
    continues `ancestor`. `stored`: the logs of all retracted blocks and of the orphans in the branch."""
    kept = -1 if ancestor is None else ancestor.number
    lost = tuple(block for block in reversed(view.blocks) if block.number > kept)
    return _plan(view, epoch, table, finality, lost, branch, stored)


def _plan(
    view: ChainView,
    epoch: int,
    table: EventTable,
    finality: Finality,
    lost: tuple[BlockRef, ...],
    span: Span,
    stored: StoredLogs,
) -> Plan:
    returning = [header for header in span.headers if header.hash in view.orphans]
    fresh = [header for header in span.headers if header.hash not in view.orphans]
    logs = [log for log in span.logs if log.log_index not in stored.get(log.block_hash, ())]
    events = [table.event(log.address, log.log_index, log.topics, log.data) for log in logs]
    entries = _entries(view, lost, span.headers, _by_block(fresh, stored, logs, events))
    after = _after(view, finality, lost, {header.hash for header in returning}, entries)
    after = replace(after, coverage=_covered(view, lost, span))
    told = (*entries, *completions(view, after))
    after = replace(after, seq=view.seq + len(told))
    writes = [
        *block_writes(view.chain, lost, returning, fresh),
        *log_writes(view.chain, logs, events, entries),
        *position_writes(view.chain, entries),
        *register_writes(view.chain, lost, entries),
        *coverage_writes(view.chain, view.coverage if view.blocks else NOTHING_READ, after.coverage),
        _state_write(after, finality),
    ]
    commit = Commit(tuple(writes), (append_write(view.chain, epoch, view.seq, told),))
    undecodable = sum(event.name is not None and event.args is None for event in events)
    return Plan(commit, told, after, undecodable)


def completions(before: ChainView, after: ChainView) -> Iterable[JournalEntry]:
    """For each version whose history is whole with this commit and was not before: the late entry that says so.
    A reorg makes one whole, too, when it replaces all that was missing."""
    if before.tip is None or after.tip is None:
        return
    lacking = [version for version in before.coverage.ranges if before.coverage.gaps(version, before.tip.number)]
    whole = [version for version in lacking if not after.coverage.gaps(version, after.tip.number)]
    for seq, version in enumerate(whole, after.seq + 1):
        yield JournalEntry(after.chain, seq, Op.APPLY, after.tip, True, (), version)


def _by_block(
    fresh: Iterable[Header], stored: StoredLogs, logs: Sequence[Log], events: Sequence[Event]
) -> dict[Hash32, tuple[Change, ...]]:
    """What each block changes, in log order."""
    changes: dict[Hash32, dict[int, tuple[Change, ...]]] = {header.hash: {} for header in fresh}
    changes.update((block, dict(held)) for block, held in stored.items())
    for log, event in zip(logs, events, strict=True):
        changes[log.block_hash][log.log_index] = event.changes
    return {
        block: tuple(chained.from_iterable(found[index] for index in sorted(found))) for block, found in changes.items()
    }


def _entries(
    view: ChainView,
    lost: tuple[BlockRef, ...],
    gained: Sequence[Header],
    changes: Mapping[Hash32, tuple[Change, ...]],
) -> tuple[JournalEntry, ...]:
    """INVARIANT: only the last entry of a reorg settles; without a reorg every block was the chain's
    state.
    """
    steps = [(Op.RETRACT, block) for block in lost] + [(Op.APPLY, header.ref) for header in gained]
    return tuple(
        JournalEntry(view.chain, seq, op, block, not lost or place == len(steps), changes[block.hash])
        for place, (seq, (op, block)) in enumerate(enumerate(steps, view.seq + 1), 1)
    )


def _after(
    view: ChainView,
    finality: Finality,
    lost: tuple[BlockRef, ...],
    returning: Collection[Hash32],
    entries: tuple[JournalEntry, ...],
) -> ChainView:
    kept = view.blocks[: len(view.blocks) - len(lost)]
    blocks = (*kept, *[entry.block for entry in entries[len(lost) :]])
    finalized = max(view.finalized, finality.finalized)
    root = next((place for place in range(len(blocks) - 1, -1, -1) if blocks[place].number <= finalized), 0)
    orphans = {**view.orphans, **{block.hash: block.number for block in lost}}
    settled = min(finalized, blocks[-1].number)
    return ChainView(
        view.chain,
        view.start,
        blocks[root:],
        {block: number for block, number in orphans.items() if number > settled and block not in returning},
        finalized,
        finality.named,
        view.seq + len(entries),
    )


def _covered(view: ChainView, lost: Sequence[BlockRef], span: Span) -> Coverage:
    first, last = span.headers[0].number, span.headers[-1].number
    kept = view.coverage.retracted(first - 1) if lost else view.coverage
    return kept.created(span.created).read(first, last, span.without_logs)


def _state_write(view: ChainView, finality: Finality) -> Write:
    """INVARIANT: no chain is read from another block than its row says. The start may be moved until the first
    block is stored, so the commit that stores it conflicts when the start was moved meanwhile."""
    tip = view.tip
    assert tip is not None
    return Execute(
        "UPDATE chain_state SET tip_number = $2, tip_hash = $3, head = $4, safe = $5, finalized = $6,"
        " finality_named = $7, updated_at = now() WHERE chain_id = $1 AND start_block = $8",
        (view.chain, tip.number, tip.hash, finality.head, finality.safe, view.finalized, view.named, view.start),
        expect=1,
    )
