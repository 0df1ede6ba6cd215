"""The crosschain room's reading: where the tracker goes on from, and the logs it folds. asyncio side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fusion_daemon.crosschain.evidence import MessageId, Place, RawLog, Sent, decode_evidence
from fusion_daemon.crosschain.standing import Standing
from fusion_daemon.crosschain.tracker import TrackerState
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.domain.message import MessageChange
from fusion_daemon.store import Reader, Row

_STANDING = msgspec.msgpack.Decoder(Standing)


async def load_state(reader: Reader) -> TrackerState:
    """All that a tracker knew at its last commit; its cost grows with the messages that are kept."""
    evidence = await reader.fetch("SELECT evidence FROM message_evidence WHERE canonical")
    standings = await reader.fetch("SELECT standing FROM messages")
    lost = await reader.fetch("SELECT evidence FROM lost_messages")
    abandoned = await reader.fetch("SELECT message FROM abandoned_messages")
    finalized = await reader.fetch("SELECT chain_id, finalized FROM message_finality")
    return TrackerState(
        tuple(decode_evidence(row.octets("evidence")) for row in evidence),
        {ChainId(row.integer("chain_id")): row.integer("finalized") for row in finalized},
        {sent.id: sent for sent in map(_sent, lost)},
        tuple(MessageId(Hash32(row.octets("message"))) for row in abandoned),
        tuple(_STANDING.decode(row.octets("standing")) for row in standings),
    )


async def load_finality(reader: Reader, chains: Sequence[ChainId]) -> Mapping[ChainId, int]:
    """The highest final block of each chain that has one, never above what is stored of the chain."""
    rows = await reader.fetch(
        "SELECT chain_id, least(finalized, tip_number) AS final FROM chain_state"
        " WHERE chain_id = ANY($1) AND finalized IS NOT NULL AND tip_number IS NOT NULL",
        chains,
    )
    return {ChainId(row.integer("chain_id")): row.integer("final") for row in rows}


async def load_raw_logs(
    reader: Reader, chain: ChainId, blocks: Sequence[BlockRef], emitters: Sequence[Address]
) -> Mapping[Hash32, Sequence[RawLog]]:
    """The logs of these contracts in these blocks, in the order of each block."""
    if not blocks:
        return {}
    times = {block.hash: block.timestamp for block in blocks}
    numbers = [block.number for block in blocks]
    rows = await reader.fetch(
        "SELECT block_hash, block_number, log_index, transaction_hash, address, data,"
        " topics[1] AS topic0, topics[2] AS topic1, topics[3] AS topic2, topics[4] AS topic3"
        " FROM chain_logs WHERE chain_id = $1 AND block_hash = ANY($2) AND address = ANY($3)"
        " AND block_number BETWEEN $4 AND $5 ORDER BY block_number, log_index",
        chain,
        list(times),
        emitters,
        min(numbers),
        max(numbers),
    )
    found: dict[Hash32, list[RawLog]] = {}
    for row in rows:
        log = _raw_log(chain, row, times)
        found.setdefault(log.place.block_hash, []).append(log)
    return found


async def load_canonical(reader: Reader, chain: ChainId, blocks: Sequence[BlockRef]) -> bool:
    """Is any of these blocks the chain's, as it is stored now?"""
    numbers = [block.number for block in blocks]
    row = await reader.fetch_one(
        "SELECT 1 AS one FROM chain_blocks WHERE chain_id = $1 AND hash = ANY($2) AND number BETWEEN $3 AND $4"
        " AND canonical LIMIT 1",
        chain,
        [block.hash for block in blocks],
        min(numbers),
        max(numbers),
    )
    return row is not None


async def changes_after(reader: Reader, after: int, limit: int) -> Sequence[MessageChange]:
    """Entries of the stream, for whoever missed them."""
    rows = await reader.fetch(
        "SELECT seq, message, before, after FROM message_changes WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit
    )
    return [
        MessageChange(
            row.integer("seq"), Hash32(row.octets("message")), row.optional_text("before"), row.optional_text("after")
        )
        for row in rows
    ]


def _sent(row: Row) -> Sent:
    evidence = decode_evidence(row.octets("evidence"))
    assert isinstance(evidence, Sent)
    return evidence


def _raw_log(chain: ChainId, row: Row, times: Mapping[Hash32, int]) -> RawLog:
    block = Hash32(row.octets("block_hash"))
    topics = (row.optional_octets(f"topic{place}") for place in range(4))
    place = Place(
        chain,
        block,
        row.integer("block_number"),
        times[block],
        Hash32(row.octets("transaction_hash")),
        row.integer("log_index"),
        None,
    )
    return RawLog(
        place,
        Address(row.octets("address")),
        tuple(topic for topic in topics if topic is not None),
        row.octets("data"),
    )
