"""The rows of a step: blocks, logs, positions, registers and journal entries. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusion_daemon.chain.blocks import Header, Log
from fusion_daemon.chain.events import Event
from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    BlockRef,
    CreditChange,
    IndexUpdate,
    JournalEntry,
    Op,
    Register,
    Side,
    journal_stream,
)
from fusion_daemon.store.writes import Append, Copy, Execute, SqlValue, Write

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

PARTITION_BLOCKS = 262_144
"""As the migration says."""

Row = tuple[SqlValue, ...]
PositionKey = tuple[Address, Address, Address, Side]


def partition_writes(chain: ChainId, dropped: Sequence[Header]) -> Iterable[Write]:
    """For blocks that retention has dropped with their partitions, which are made again."""
    for place in sorted({header.number // PARTITION_BLOCKS for header in dropped}):
        for parent in ("chain_blocks", "chain_logs"):
            yield Execute(
                "SELECT make_partitions($1, $2, $3, $4)", (parent, PARTITION_BLOCKS, place * PARTITION_BLOCKS, chain)
            )


def block_writes(
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


def log_writes(
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


def redecoded_writes(
    chain: ChainId, logs: Sequence[Log], events: Sequence[Event], entries: Iterable[JournalEntry]
) -> Iterable[Write]:
    """For stored logs that were not understood when they were stored: from now on they count, and since when."""
    if logs:
        applied = {entry.block.hash: entry.seq for entry in entries}
        yield Execute(
            "UPDATE chain_logs AS held SET name = found.name, args = found.args::jsonb, since = found.since"
            " FROM unnest($2::bytea[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::bigint[])"
            " AS found (block_hash, log_index, block_number, name, args, since)"
            " WHERE held.chain_id = $1 AND (held.block_hash, held.log_index, held.block_number)"
            " = (found.block_hash, found.log_index, found.block_number) AND held.args IS NULL",
            (
                chain,
                [log.block_hash for log in logs],
                [log.log_index for log in logs],
                [log.block_number for log in logs],
                [event.name for event in events],
                [event.args for event in events],
                [applied[log.block_hash] for log in logs],
            ),
            expect=len(logs),
        )


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


def position_writes(chain: ChainId, entries: Iterable[JournalEntry]) -> Iterable[Write]:
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


def register_writes(chain: ChainId, lost: Sequence[BlockRef], entries: Iterable[JournalEntry]) -> Iterable[Write]:
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


def append_write(chain: ChainId, epoch: int, seq: int, entries: Iterable[JournalEntry]) -> Append:
    """`seq`: the head of the journal before them."""
    rows: list[Row] = [
        (chain, entry.op.value, entry.block.hash, entry.block.number, entry.filter_version, entry.settles)
        for entry in entries
    ]
    columns = ("chain_id", "op", "block_hash", "block_number", "filter_version", "settles")
    return Append(journal_stream(chain), epoch, seq, "chain_journal", columns, rows)


def fence(chain: ChainId, epoch: int) -> Write:
    """For a commit that appends nothing: it conflicts when another life has claimed the chain's journal."""
    return Execute(
        "UPDATE chain_state SET updated_at = now() WHERE chain_id = $1 AND EXISTS"
        " (SELECT 1 FROM streams WHERE name = $2 AND epoch = $3)",
        (chain, journal_stream(chain), epoch),
        expect=1,
    )
