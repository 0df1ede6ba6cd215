"""The chain room's SQL. Functions that take a `Reader` run on the asyncio side, inside the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from fusion_daemon.chain.audit import Digests, Stored
from fusion_daemon.chain.blocks import Log
from fusion_daemon.chain.coverage import Contract, Coverage, Range, Ranges
from fusion_daemon.chain.coverage_rows import coverage_writes
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.journal import ChainView, StoredLogs
from fusion_daemon.chain.journal_rows import fence
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef, Change, JournalEntry, Op, journal_stream
from fusion_daemon.store import Reader, Row, Store
from fusion_daemon.store.writes import Commit, Execute

_AUDITED_BLOCKS = """
SELECT number, hash, timestamp FROM chain_blocks
WHERE chain_id = $1 AND canonical AND number BETWEEN $2 AND $3
  AND number > (SELECT dropped FROM chain_state WHERE chain_id = $1)
"""

# As `audit.digests` computes it.
_DIGESTS = """
SELECT log.block_number, count(*) AS logs, sha256(string_agg(sha256(
    log.block_hash || int4send(log_index) || transaction_hash || int4send(transaction_index) || address
    || int4send(cardinality(topics)) || coalesce(topics[1], '') || coalesce(topics[2], '') || coalesce(topics[3], '')
    || coalesce(topics[4], '') || data), ''::bytea ORDER BY log_index)) AS checksum
FROM chain_logs AS log JOIN chain_blocks AS block
    ON (block.chain_id, block.hash, block.number) = (log.chain_id, log.block_hash, log.block_number)
WHERE log.chain_id = $1 AND log.block_number BETWEEN $2 AND $3 AND address = ANY($4)
  AND block.chain_id = $1 AND block.canonical AND block.number BETWEEN $2 AND $3
GROUP BY log.block_number
"""

_HELD_LOGS = """
SELECT log.*, topics[1] AS topic0, topics[2] AS topic1, topics[3] AS topic2, topics[4] AS topic3
FROM chain_logs AS log
WHERE chain_id = $1 AND block_hash = ANY($2) AND block_number BETWEEN $3 AND $4 AND address = ANY($5)
ORDER BY block_number, log_index
"""


_STATUSES = """
SELECT state.*, (
    SELECT nullif(min(coalesce(audited, -1)), -1) FROM (
        SELECT DISTINCT filter_version FROM chain_contracts WHERE chain_id = state.chain_id
    ) AS version LEFT JOIN chain_audits AS audit
        ON audit.chain_id = state.chain_id AND audit.filter_version = version.filter_version
) AS audited, (SELECT count(*) FROM chain_differences WHERE chain_id = state.chain_id) AS differing
FROM chain_state AS state ORDER BY chain_id
"""


class StartBlockRefused(Failure):
    """A chain's start block cannot be changed any more."""


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """A row of `GET /v1/chains`."""

    chain: ChainId
    start_block: int
    tip_number: int | None
    tip_hash: bytes | None
    head: int | None
    safe: int | None
    finalized: int | None
    latched: str | None
    audited: int | None
    """Up to there every contract's logs were compared with what endpoints have; None: of some contract none were."""
    differing: int
    """Logs that they have otherwise."""
    updated_at: datetime


async def load_view(reader: Reader, chain: ChainId, seq: int) -> ChainView | None:
    """Where the stored chain stands; None while it has no start block. `seq`: the head of its journal."""
    state = await reader.fetch_one(
        "SELECT start_block, tip_number, finalized, finality_named FROM chain_state WHERE chain_id = $1", chain
    )
    if state is None:
        return None
    tip = state.optional_integer("tip_number")
    finalized = state.optional_integer("finalized")
    final = -1 if finalized is None else finalized
    settled = final if tip is None else min(final, tip)
    blocks: list[Row] = []
    if tip is not None:
        blocks = await reader.fetch(
            "SELECT number, hash, timestamp FROM chain_blocks"
            " WHERE chain_id = $1 AND canonical AND number >= $2 ORDER BY number",
            chain,
            settled,
        )
    orphans = await reader.fetch(
        "SELECT hash, number FROM chain_blocks WHERE chain_id = $1 AND NOT canonical AND number > $2",
        chain,
        settled,
    )
    return ChainView(
        chain,
        state.integer("start_block"),
        tuple(BlockRef(row.integer("number"), Hash32(row.octets("hash")), row.integer("timestamp")) for row in blocks),
        {Hash32(row.octets("hash")): row.integer("number") for row in orphans},
        final,
        state.boolean("finality_named"),
        seq,
        await load_coverage(reader, chain),
    )


async def load_coverage(reader: Reader, chain: ChainId) -> Coverage:
    contracts = await reader.fetch(
        "SELECT address, filter_version, since_block, origin FROM chain_contracts WHERE chain_id = $1"
        " ORDER BY filter_version, number",
        chain,
    )
    read = await reader.fetch(
        "SELECT filter_version, first, last FROM chain_coverage WHERE chain_id = $1 ORDER BY filter_version, first",
        chain,
    )
    skipped = await reader.fetch(
        "SELECT first, last FROM chain_skips WHERE chain_id = $1 AND in_force_at IS NOT NULL AND made_good_at IS NULL",
        chain,
    )
    versions = {row.integer("filter_version") for row in (*contracts, *read)}
    ranges: dict[int, Ranges] = dict.fromkeys(sorted(versions), ())
    for row in read:
        version = row.integer("filter_version")
        ranges[version] = (*ranges[version], Range(row.integer("first"), row.integer("last")))
    return Coverage(
        tuple(
            Contract(
                Address(row.octets("address")),
                row.integer("filter_version"),
                row.integer("since_block"),
                None if (origin := row.optional_octets("origin")) is None else Address(origin),
            )
            for row in contracts
        ),
        ranges,
    ).skipping(Range(row.integer("first"), row.integer("last")) for row in skipped)


async def load_tip_and_coverage(reader: Reader, chain: ChainId) -> tuple[int | None, Coverage]:
    """Of a chain that may never have been read."""
    row = await reader.fetch_one("SELECT tip_number FROM chain_state WHERE chain_id = $1", chain)
    return None if row is None else row.optional_integer("tip_number"), await load_coverage(reader, chain)


@dataclass(frozen=True, slots=True)
class Differing:
    """A log of a final block about which endpoints say otherwise."""

    block: int
    log_index: int
    endpoint: str
    found_at: datetime


async def load_differing(reader: Reader, chain: ChainId, limit: int) -> Sequence[Differing]:
    """The lowest first."""
    rows = await reader.fetch(
        "SELECT block_number, log_index, endpoint, found_at FROM chain_differences WHERE chain_id = $1"
        " ORDER BY block_number, log_index LIMIT $2",
        chain,
        limit,
    )
    return [
        Differing(row.integer("block_number"), row.integer("log_index"), row.text("endpoint"), row.moment("found_at"))
        for row in rows
    ]


async def load_latched(reader: Reader, chain: ChainId) -> str | None:
    """Why the chain stands still: it replaced a block that it had called final. None: it does not."""
    row = await reader.fetch_one("SELECT latched FROM chain_state WHERE chain_id = $1", chain)
    return None if row is None else row.optional_text("latched")


async def load_logs(reader: Reader, table: EventTable, chain: ChainId, blocks: Collection[BlockRef]) -> StoredLogs:
    """The stored logs of these blocks and what they changed, decoded anew; every block has an entry."""
    found: dict[Hash32, dict[int, tuple[Change, ...]]] = {block.hash: {} for block in blocks}
    for row in await _log_rows(reader, chain, blocks, None):
        found[Hash32(row.octets("block_hash"))][row.integer("log_index")] = _changes(table, row)
    return found


async def load_entries(
    reader: Reader, table: EventTable, chain: ChainId, after: int, limit: int
) -> Sequence[JournalEntry]:
    """Journal entries after+1 … after+limit as far as they are committed: equal to those once published."""
    rows = await reader.fetch(
        "SELECT j.seq, j.op, j.block_hash, j.block_number, j.settles, j.filter_version, b.timestamp"
        " FROM chain_journal j"
        " JOIN chain_blocks b ON b.chain_id = j.chain_id AND b.hash = j.block_hash AND b.number = j.block_number"
        " WHERE j.chain_id = $1 AND j.seq > $2 ORDER BY j.seq LIMIT $3",
        chain,
        after,
        limit,
    )
    blocks = {_block(row) for row in rows}
    logs: dict[Hash32, list[tuple[int, tuple[Change, ...]]]] = {block.hash: [] for block in blocks}
    for row in await _log_rows(reader, chain, blocks, table.changing):
        logs[Hash32(row.octets("block_hash"))].append((row.integer("since"), _changes(table, row)))
    return tuple(_entry(chain, row, logs) for row in rows)


def journal_fill(
    store: Store, table: EventTable, chain: ChainId
) -> Callable[[int, int], Awaitable[Sequence[JournalEntry]]]:
    """How a consumer of the chain's topic reads what it missed. The function returned runs on the trio
    side.
    """

    async def fill(after: int, limit: int) -> Sequence[JournalEntry]:
        return await store.read(load_entries, table, chain, after, limit)

    return fill


async def load_statuses(reader: Reader) -> tuple[ChainStatus, ...]:
    """Every chain that was ever started, by id."""
    rows = await reader.fetch(_STATUSES)
    return tuple(
        ChainStatus(
            ChainId(row.integer("chain_id")),
            row.integer("start_block"),
            row.optional_integer("tip_number"),
            row.optional_octets("tip_hash"),
            row.optional_integer("head"),
            row.optional_integer("safe"),
            row.optional_integer("finalized"),
            row.optional_text("latched"),
            row.optional_integer("audited"),
            row.integer("differing"),
            row.moment("updated_at"),
        )
        for row in rows
    )


async def set_start_block(writer: Reader, chain: ChainId, block: int) -> None:
    """In a read-write transaction. Raises StartBlockRefused once a block of the chain is stored: what was
    read from there on would no longer be all there is."""
    row = await writer.fetch_one(
        "INSERT INTO chain_state AS held (chain_id, start_block) VALUES ($1, $2)"
        " ON CONFLICT (chain_id) DO UPDATE SET start_block = $2, updated_at = now()"
        " WHERE held.tip_number IS NULL RETURNING start_block",
        chain,
        block,
    )
    if row is None:
        raise StartBlockRefused(
            f"Chain {chain} has been read already; its start block is fixed.",
            "Moving it would leave positions that lack the events in between.",
            "To read a chain anew, start with an empty database.",
        )


async def propose_start_block(writer: Reader, chain: ChainId, block: int) -> None:
    """In a read-write transaction: the configured start block, unless the chain has one."""
    await writer.fetch(
        "INSERT INTO chain_state (chain_id, start_block) VALUES ($1, $2) ON CONFLICT DO NOTHING", chain, block
    )


async def load_headers(reader: Reader, chain: ChainId, first: int, last: int) -> Mapping[int, tuple[Hash32, Hash32]]:
    """Of the stored canonical blocks among first..last: hash and parent's hash, by number."""
    rows = await reader.fetch(
        "SELECT number, hash, parent_hash FROM chain_blocks"
        " WHERE chain_id = $1 AND canonical AND number BETWEEN $2 AND $3",
        chain,
        first,
        last,
    )
    return {
        row.integer("number"): (Hash32(row.octets("hash")), Hash32(row.octets("parent_hash"))) for row in rows
    }


async def load_stored(reader: Reader, chain: ChainId, asked: Range, contracts: Sequence[Address]) -> Stored:
    blocks = await reader.fetch(_AUDITED_BLOCKS, chain, asked.first, asked.last)
    rows = await reader.fetch(_DIGESTS, chain, asked.first, asked.last, list(contracts))
    digests: Digests = {row.integer("block_number"): (row.integer("logs"), row.octets("checksum")) for row in rows}
    refs = [BlockRef(row.integer("number"), Hash32(row.octets("hash")), row.integer("timestamp")) for row in blocks]
    return Stored({ref.number: ref for ref in refs}, digests)


async def load_held(
    reader: Reader, chain: ChainId, blocks: Collection[BlockRef], contracts: Sequence[Address]
) -> list[Log]:
    """The stored logs of these contracts in these blocks, in chain order."""
    numbers = [block.number for block in blocks]
    hashes = [block.hash for block in blocks]
    rows = await reader.fetch(_HELD_LOGS, chain, hashes, min(numbers), max(numbers), list(contracts))
    return [stored_log(row) for row in rows]


def stored_log(row: Row) -> Log:
    """From all columns of chain_logs, its topics also as topic0 to topic3."""
    return Log(
        row.integer("block_number"),
        Hash32(row.octets("block_hash")),
        row.integer("log_index"),
        Hash32(row.octets("transaction_hash")),
        row.integer("transaction_index"),
        Address(row.octets("address")),
        tuple(topic for place in range(4) if (topic := row.optional_octets(f"topic{place}")) is not None),
        row.octets("data"),
    )


async def load_audited(reader: Reader, chain: ChainId) -> tuple[Mapping[int, int], int]:
    """Up to where each version was audited, and how many stored logs differ from what endpoints show."""
    rows = await reader.fetch("SELECT filter_version, audited FROM chain_audits WHERE chain_id = $1", chain)
    differing = await reader.fetch("SELECT count(*) AS logs FROM chain_differences WHERE chain_id = $1", chain)
    return {row.integer("filter_version"): row.integer("audited") for row in rows}, differing[0].integer("logs")


def register_contracts(chain: ChainId, epoch: int, before: Coverage, after: Coverage) -> Commit:
    """What is read from now on, though nothing of it was read yet. Fenced by the journal's epoch."""
    last = after.contracts[-1].address
    proof = Execute("SELECT EXISTS (SELECT 1 FROM chain_contracts WHERE chain_id = $1 AND address = $2)", (chain, last))
    return Commit((fence(chain, epoch), *coverage_writes(chain, before, after)), proof=proof)


def latch(chain: ChainId, epoch: int, reason: str | None) -> Commit:
    """The chain stands still and says why; None: it goes on. Fenced by the journal's epoch."""
    return Commit(
        writes=(
            Execute(
                "UPDATE chain_state SET latched = $4, updated_at = now() WHERE chain_id = $1 AND EXISTS"
                " (SELECT 1 FROM streams WHERE name = $2 AND epoch = $3)",
                (chain, journal_stream(chain), epoch, reason),
                expect=1,
            ),
        ),
        proof=Execute("SELECT latched IS NOT DISTINCT FROM $2 FROM chain_state WHERE chain_id = $1", (chain, reason)),
    )


async def _log_rows(
    reader: Reader, chain: ChainId, blocks: Collection[BlockRef], topics: Collection[bytes] | None
) -> Sequence[Row]:
    """In log order; only those with one of `topics` first, unless that is None."""
    if not blocks:
        return []
    numbers = [block.number for block in blocks]
    return await reader.fetch(
        "SELECT block_hash, log_index, address, data, since, args IS NOT NULL AS understood,"
        " topics[1] AS topic0, topics[2] AS topic1, topics[3] AS topic2, topics[4] AS topic3"
        " FROM chain_logs WHERE chain_id = $1 AND block_hash = ANY($2)"
        " AND ($3::bytea[] IS NULL OR topics[1] = ANY($3)) AND block_number BETWEEN $4 AND $5"
        " ORDER BY block_hash, log_index",
        chain,
        [block.hash for block in blocks],
        None if topics is None else list(topics),
        min(numbers),
        max(numbers),
    )


def _changes(table: EventTable, row: Row) -> tuple[Change, ...]:
    """Of a log that was not understood when it was stored: none, whatever the table knows by now. It changes something
    from the journal's entry on that says so."""
    if not row.boolean("understood"):
        return ()
    found = (row.optional_octets(f"topic{place}") for place in range(4))
    topics = tuple(topic for topic in found if topic is not None)
    return table.event(Address(row.octets("address")), row.integer("log_index"), topics, row.octets("data")).changes


def _entry(chain: ChainId, row: Row, logs: Mapping[Hash32, Sequence[tuple[int, tuple[Change, ...]]]]) -> JournalEntry:
    """`logs`: since which entry each counts, and what it changed, in log order."""
    seq, block = row.integer("seq"), _block(row)
    version = row.integer("filter_version")
    entry = JournalEntry(chain, seq, Op(row.text("op")), block, row.boolean("settles"), (), version)
    found = (changes for since, changes in logs[block.hash] if entry.holds(since))
    return replace(entry, changes=tuple(change for changes in found for change in changes))


def _block(row: Row) -> BlockRef:
    return BlockRef(row.integer("block_number"), Hash32(row.octets("block_hash")), row.integer("timestamp"))
