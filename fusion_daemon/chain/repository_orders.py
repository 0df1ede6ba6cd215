"""The SQL of operators' orders about a chain's history. Functions that take a `Reader` run on the asyncio side, inside
the caller's transaction; a `writer` is one of a read-write transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from fusion_daemon.chain.blocks import Log
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.orders import Kind, Order, OrderRefused, Skip, Tally, order_refusal, skip_refusal
from fusion_daemon.chain.repository import load_coverage, stored_log
from fusion_daemon.domain.identifiers import ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.store import Reader, Row

_ORDER = "id, chain_id, kind, first, last, dry_run, asked_by, asked_at, state, next, result::text, trouble, ended_at"


_UNDECODED_BLOCKS = 100
"""With undecoded logs, looked at together."""
_UNDECODED = """
SELECT log.*, block.timestamp,
    topics[1] AS topic0, topics[2] AS topic1, topics[3] AS topic2, topics[4] AS topic3
FROM chain_logs AS log JOIN chain_blocks AS block
    ON (block.chain_id, block.hash, block.number) = (log.chain_id, log.block_hash, log.block_number)
WHERE log.chain_id = $1 AND log.block_number BETWEEN $2 AND $3 AND log.args IS NULL AND block.canonical
ORDER BY log.block_number, log.log_index
"""


@dataclass(frozen=True, slots=True)
class Undecoded:
    """Stored logs without arguments."""

    blocks: Mapping[Hash32, BlockRef]
    logs: Sequence[Log]
    until: int
    """There are no others up to this block."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What a chain's listener has to obey."""

    order: Order | None
    """The oldest that has not ended."""
    skips: tuple[Skip, ...]
    """Those not made good."""


async def load_ordered(reader: Reader, chain: ChainId) -> Ordered:
    row = await reader.fetch_one(
        f"SELECT {_ORDER} FROM chain_orders WHERE chain_id = $1 AND state IN ('waiting', 'running')"  # noqa: S608 - ours
        " ORDER BY id LIMIT 1",
        chain,
    )
    skips = await load_skips(reader, chain)
    return Ordered(None if row is None else _order(row), tuple(skip for skip in skips if skip.made_good_at is None))


async def load_orders(reader: Reader, chain: ChainId, limit: int) -> Sequence[Order]:
    """The newest first."""
    rows = await reader.fetch(
        f"SELECT {_ORDER} FROM chain_orders WHERE chain_id = $1 ORDER BY id DESC LIMIT $2",  # noqa: S608 - ours
        chain,
        limit,
    )
    return [_order(row) for row in rows]


async def load_order(reader: Reader, chain: ChainId, number: int) -> Order | None:
    row = await reader.fetch_one(
        f"SELECT {_ORDER} FROM chain_orders WHERE chain_id = $1 AND id = $2",  # noqa: S608 - ours
        chain,
        number,
    )
    return None if row is None else _order(row)


async def load_skips(reader: Reader, chain: ChainId) -> Sequence[Skip]:
    """The oldest first."""
    rows = await reader.fetch("SELECT * FROM chain_skips WHERE chain_id = $1 ORDER BY id", chain)
    return [
        Skip(
            row.integer("id"),
            Range(row.integer("first"), row.integer("last")),
            row.text("reason"),
            row.text("asked_by"),
            row.moment("asked_at"),
            row.optional_moment("in_force_at"),
            row.optional_moment("made_good_at"),
        )
        for row in rows
    ]


async def load_undecoded(reader: Reader, chain: ChainId, asked: Range) -> Undecoded:
    """Of the canonical blocks in the beginning of what is asked."""
    numbers = await reader.fetch(
        "SELECT DISTINCT block_number FROM chain_logs WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3"
        " AND args IS NULL ORDER BY block_number LIMIT $4",
        chain,
        asked.first,
        asked.last,
        _UNDECODED_BLOCKS,
    )
    until = numbers[-1].integer("block_number") if len(numbers) == _UNDECODED_BLOCKS else asked.last
    rows = await reader.fetch(_UNDECODED, chain, asked.first, until) if numbers else []
    blocks = {
        Hash32(row.octets("block_hash")): BlockRef(
            row.integer("block_number"), Hash32(row.octets("block_hash")), row.integer("timestamp")
        )
        for row in rows
    }
    return Undecoded(blocks, [stored_log(row) for row in rows], until)


async def add_order(
    writer: Reader, chain: ChainId, kind: Kind, first: int | None, last: int | None, dry_run: bool, by: str
) -> Order:
    """None: from the chain's first block, to its last final one. Raises OrderRefused."""
    state = await writer.fetch_one(
        "SELECT start_block, least(finalized, tip_number) AS final FROM chain_state WHERE chain_id = $1", chain
    )
    final = None if state is None else state.optional_integer("final")
    if state is None or final is None:
        raise OrderRefused(
            f"Nothing of chain {chain} that is stored is final.", "Nothing was done.", "Ask when some blocks are final."
        )
    start = state.integer("start_block")
    asked = Range(start if first is None else first, final if last is None else last)
    refusal = order_refusal(asked, start, final)
    if refusal is not None:
        raise refusal
    row = await writer.fetch_one(
        "INSERT INTO chain_orders (chain_id, kind, first, last, dry_run, asked_by, next, result)"  # noqa: S608 - ours
        f" VALUES ($1, $2, $3, $4, $5, $6, $3, $7::jsonb) RETURNING {_ORDER}",
        chain,
        kind.value,
        asked.first,
        asked.last,
        dry_run,
        by,
        msgspec.json.encode(Tally()).decode(),
    )
    assert row is not None
    return _order(row)


async def add_skip(writer: Reader, chain: ChainId, asked: Range, reason: str, by: str) -> None:
    """Raises SkipRefused."""
    state = await writer.fetch_one(
        "SELECT coalesce(tip_number + 1, start_block) AS next, coalesce(finalized, -1) AS finalized FROM chain_state"
        " WHERE chain_id = $1",
        chain,
    )
    next_number, finalized = (0, -1) if state is None else (state.integer("next"), state.integer("finalized"))
    refusal = skip_refusal(asked, await load_coverage(writer, chain), next_number, finalized)
    if refusal is not None:
        raise refusal
    await writer.fetch(
        "INSERT INTO chain_skips (chain_id, first, last, reason, asked_by) VALUES ($1, $2, $3, $4, $5)",
        chain,
        asked.first,
        asked.last,
        reason,
        by,
    )


def _order(row: Row) -> Order:
    return Order(
        row.integer("id"),
        ChainId(row.integer("chain_id")),
        Kind(row.text("kind")),
        Range(row.integer("first"), row.integer("last")),
        row.boolean("dry_run"),
        row.text("asked_by"),
        row.moment("asked_at"),
        row.text("state"),
        row.integer("next"),
        msgspec.json.decode(row.text("result"), type=Tally),
        row.optional_text("trouble"),
        row.optional_moment("ended_at"),
    )
