"""What one step of a chain listener commits: blocks, logs, journal, positions, registers and tip, at once.

INVARIANTS
* Folding the journal (APPLY adds, RETRACT takes away) always yields the canonical chain, without a gap.
* positions = the sum of the journal's balance changes; chain_registers = those of the canonical blocks.
* A log row is written once and never changed: a block that was stored before (A -> B -> A) is applied again
  with the changes of its *stored* logs, and of those that another contract, read only since, emitted in it. A
  row says since which entry it counts, so what was published equals what is read back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as chained

from fusion_daemon.chain.blocks import Head, Header, Log, Span
from fusion_daemon.chain.events import Event, EventTable
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    BlockRef,
    Change,
    CreditChange,
    IndexUpdate,
    JournalEntry,
    Op,
    Register,
    Side,
    journal_stream,
)
from fusion_daemon.store.writes import Append, Commit, Copy, Execute, SqlValue, Write

FILTER_VERSION = 1
"""Which set of contracts an entry was read with. There is one set until late backfills exist."""

_LOG_COLUMNS = (
    "chain_id",
    "block_hash",
    "log_index",
    "block_number",
    "transaction_hash",
    "transaction_index",
    "address",
    "topics",
    "data",
    "name",
    "args",
    "since",
)
_REGISTER_COLUMNS = (
    "chain_id",
    "block_hash",
    "log_index",
    "block_number",
    "kind",
    "vault",
    "subject",
    "borrow_index",
    "borrow_rate",
    "effective_at",
    "decimals",
    "ltv_bps",
    "liquidation_threshold_bps",
    "credit_limit",
)

Row = tuple[SqlValue, ...]
StoredLogs = Mapping[Hash32, Mapping[int, tuple[Change, ...]]]
"""Of stored blocks: what each of their logs changed, by log index."""
PositionKey = tuple[Address, Address, Address, Side]


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
    after = _after(view, finality, lost, span.headers, {header.hash for header in returning}, entries)
    writes = [
        *_block_writes(view.chain, lost, returning, fresh),
        *_log_writes(view.chain, logs, events, entries),
        *_position_writes(view.chain, entries),
        *_register_writes(view.chain, lost, entries),
        _state_write(after, finality),
    ]
    commit = Commit(tuple(writes), (_append(view, epoch, entries),))
    undecodable = sum(event.name is not None and event.args is None for event in events)
    return Plan(commit, entries, after, undecodable)


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
    gained: Sequence[Header],
    returning: Collection[Hash32],
    entries: tuple[JournalEntry, ...],
) -> ChainView:
    kept = view.blocks[: len(view.blocks) - len(lost)]
    blocks = (*kept, *(header.ref for header in gained))
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


def _block_writes(
    chain: ChainId, lost: Sequence[BlockRef], returning: Sequence[Header], fresh: Sequence[Header]
) -> Iterable[Write]:
    # In this order: at no moment are two blocks of one height canonical.
    for blocks, canonical in ((lost, False), (returning, True)):
        if blocks:
            yield _flag(chain, blocks, canonical=canonical)
    if fresh:
        columns = ("chain_id", "hash", "number", "parent_hash", "timestamp", "canonical")
        yield Copy(
            "chain_blocks",
            columns,
            [(chain, h.hash, h.number, h.parent_hash, h.timestamp, True) for h in fresh],
        )


def _flag(chain: ChainId, blocks: Sequence[BlockRef] | Sequence[Header], *, canonical: bool) -> Write:
    return Execute(
        "UPDATE chain_blocks SET canonical = $3 WHERE chain_id = $1 AND hash = ANY($2) AND number >= $4",
        (chain, [block.hash for block in blocks], canonical, min(block.number for block in blocks)),
        expect=len(blocks),
    )


def _log_writes(
    chain: ChainId, logs: Sequence[Log], events: Sequence[Event], entries: Iterable[JournalEntry]
) -> Iterable[Write]:
    if logs:
        applied = {entry.block.hash: entry.seq for entry in entries if entry.op is Op.APPLY}
        rows: list[Row] = [
            (
                chain,
                log.block_hash,
                log.log_index,
                log.block_number,
                log.transaction_hash,
                log.transaction_index,
                log.address,
                log.topics,
                log.data,
                event.name,
                event.args,
                applied[log.block_hash],
            )
            for log, event in zip(logs, events, strict=True)
        ]
        yield Copy("chain_logs", _LOG_COLUMNS, rows)


def position_changes(entries: Iterable[JournalEntry]) -> dict[PositionKey, int]:
    """The net change of every position over some entries; keys whose changes cancel out are left out."""
    sums: dict[PositionKey, int] = {}
    for entry in entries:
        sign = 1 if entry.op is Op.APPLY else -1
        for change in entry.changes:
            if isinstance(change, BalanceChange):
                key = (change.vault, change.owner, change.token, change.side)
                sums[key] = sums.get(key, 0) + sign * change.amount
    return {key: amount for key, amount in sums.items() if amount}


def _position_writes(chain: ChainId, entries: Iterable[JournalEntry]) -> Iterable[Write]:
    sums = position_changes(entries)
    if sums:
        keys = list(sums)
        yield Execute(
            "INSERT INTO positions AS held (chain_id, vault, owner, token, side, amount)"
            " SELECT $1, * FROM unnest"
            "($2::bytea[], $3::bytea[], $4::bytea[], $5::text[], $6::text[]::numeric[])"
            " ON CONFLICT (chain_id, vault, owner, token, side)"
            " DO UPDATE SET amount = held.amount + excluded.amount",
            (
                chain,
                [vault for vault, _, _, _ in keys],
                [owner for _, owner, _, _ in keys],
                [token for _, _, token, _ in keys],
                [side.value for _, _, _, side in keys],
                [str(amount) for amount in sums.values()],  # an array of numerics is slow to encode
            ),
        )


def _register_writes(chain: ChainId, lost: Sequence[BlockRef], entries: Iterable[JournalEntry]) -> Iterable[Write]:
    if lost:
        yield Execute(
            "DELETE FROM chain_registers WHERE chain_id = $1 AND block_hash = ANY($2)",
            (chain, [block.hash for block in lost]),
        )
    rows = [
        _register_row(chain, entry.block, change)
        for entry in entries
        if entry.op is Op.APPLY
        for change in entry.changes
        if not isinstance(change, BalanceChange)
    ]
    if rows:
        yield Copy("chain_registers", _REGISTER_COLUMNS, rows)


def _register_row(chain: ChainId, block: BlockRef, register: Register) -> Row:
    place = (chain, block.hash, register.log_index, block.number)
    match register:
        case IndexUpdate(vault, token, index, rate, timestamp):
            return (*place, "index", vault, token, index, rate, timestamp, None, None, None, None)
        case AssetParameters(vault, token, decimals, ltv, threshold):
            return (*place, "asset", vault, token, None, None, None, decimals, ltv, threshold, None)
        case CreditChange(vault, owner, limit):
            return (*place, "credit", vault, owner, None, None, None, None, None, None, limit)


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


def _append(view: ChainView, epoch: int, entries: Iterable[JournalEntry]) -> Append:
    rows: list[Row] = [
        (view.chain, entry.op.value, entry.block.hash, entry.block.number, FILTER_VERSION, entry.settles)
        for entry in entries
    ]
    columns = ("chain_id", "op", "block_hash", "block_number", "filter_version", "settles")
    return Append(journal_stream(view.chain), epoch, view.seq, "chain_journal", columns, rows)
