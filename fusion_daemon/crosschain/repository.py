"""What the crosschain room reads: where the tracker goes on from, the logs it folds, an account's collateral. asyncio
side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fusion_daemon.crosschain.closing import Closed
from fusion_daemon.crosschain.evidence import (
    CcipCommitted,
    CcipExecuted,
    CcipSent,
    Evidence,
    MessageId,
    Place,
    RawLog,
    Sent,
    decode_evidence,
)
from fusion_daemon.crosschain.standing import APPLIED, Standing
from fusion_daemon.crosschain.tracker import TrackerState
from fusion_daemon.crosschain.value_in_flight import UNITS, kind_name
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32, hex_of
from fusion_daemon.domain.journal import BlockRef, JournalEntry, journal_stream
from fusion_daemon.domain.message import MessageChange
from fusion_daemon.store import Reader, Row

_STANDING = msgspec.msgpack.Decoder(Standing, strict=False)
_CLOSED = msgspec.msgpack.Decoder(Closed, strict=False)


async def load_state(reader: Reader) -> TrackerState:
    """All that a tracker knew at its last commit; its cost grows with the messages that are kept."""
    evidence = await reader.fetch("SELECT evidence FROM message_evidence WHERE canonical")
    standings = await reader.fetch("SELECT standing FROM messages")
    lost = await reader.fetch("SELECT evidence FROM lost_messages")
    abandoned = await reader.fetch("SELECT message FROM abandoned_messages")
    finalized = await reader.fetch("SELECT chain_id, finalized FROM message_finality")
    closed = await reader.fetch("SELECT message, closed FROM closed_messages")
    return TrackerState(
        tuple(decode_evidence(row.octets("evidence")) for row in evidence),
        {ChainId(row.integer("chain_id")): row.integer("finalized") for row in finalized},
        {sent.id: sent for sent in map(_sent, lost)},
        tuple(MessageId(Hash32(row.octets("message"))) for row in abandoned),
        tuple(_STANDING.decode(row.octets("standing")) for row in standings),
        {MessageId(Hash32(row.octets("message"))): _CLOSED.decode(row.octets("closed")) for row in closed},
    )


_OWN_EVIDENCE = """
SELECT e.evidence FROM messages AS m CROSS JOIN LATERAL jsonb_array_elements(m.timeline) AS shown
JOIN message_evidence AS e ON e.chain_id = (shown->>'chain')::bigint
    AND e.block_hash = decode(substr(shown->>'block_hash', 3), 'hex')
    AND e.log_index = (shown->>'log_index')::integer
WHERE m.id = $1 AND e.canonical ORDER BY e.chain_id, e.block_number, e.log_index, e.part
"""


async def load_message(reader: Reader, message: bytes) -> tuple[Standing, Sequence[Evidence]] | None:
    """How a message stands, as of its last change, and what shows it. None: nobody knows it."""
    row = await reader.fetch_one("SELECT standing FROM messages WHERE id = $1", message)
    if row is None:
        return None
    shown = await reader.fetch(_OWN_EVIDENCE, message)
    return _STANDING.decode(row.octets("standing")), [decode_evidence(each.octets("evidence")) for each in shown]


async def load_dropped(reader: Reader, chain: ChainId) -> int:
    """The last entry of a chain's journal that is kept no more; 0: all are."""
    row = await reader.fetch_one(
        "SELECT coalesce(min(seq) - 1, 0) AS dropped FROM chain_journal WHERE chain_id = $1", chain
    )
    assert row is not None
    return row.integer("dropped")


async def load_told_at(reader: Reader) -> int:
    """The unix second for which a change was last told; 0: none was."""
    row = await reader.fetch_one("SELECT told_at FROM message_time")
    return 0 if row is None else row.integer("told_at")


class Finality(msgspec.Struct, frozen=True, gc=False):
    number: int
    """The highest final block, never above what is stored of the chain."""
    seq: int
    """The last entry of the chain's journal when this was so: whoever has not folded it may hold another branch."""


async def load_finality(reader: Reader, chains: Sequence[ChainId]) -> Mapping[ChainId, Finality]:
    """Of each chain that has a final block."""
    rows = await reader.fetch(
        "SELECT chain_id, least(finalized, tip_number) AS final, head_of.head AS seq FROM chain_state"
        " JOIN unnest($1::bigint[], $2::text[]) AS journal (chain_id, stream) USING (chain_id)"
        " JOIN streams AS head_of ON head_of.name = journal.stream"
        " WHERE finalized IS NOT NULL AND tip_number IS NOT NULL",
        chains,
        [journal_stream(chain) for chain in chains],
    )
    return {ChainId(row.integer("chain_id")): Finality(row.integer("final"), row.integer("seq")) for row in rows}


async def load_raw_logs(
    reader: Reader, chain: ChainId, applied: Sequence[JournalEntry], emitters: Sequence[Address]
) -> Mapping[int, Sequence[RawLog]]:
    """The logs of these contracts that belong to these entries, by the entry's number, in the order of each block."""
    if not applied:
        return {}
    times = {entry.block.hash: entry.block.timestamp for entry in applied}
    numbers = [entry.block.number for entry in applied]
    rows = await reader.fetch(
        "SELECT block_hash, block_number, log_index, transaction_hash, address, data, since,"
        " topics[1] AS topic0, topics[2] AS topic1, topics[3] AS topic2, topics[4] AS topic3"
        " FROM chain_logs WHERE chain_id = $1 AND block_hash = ANY($2) AND address = ANY($3)"
        " AND block_number BETWEEN $4 AND $5 ORDER BY block_number, log_index",
        chain,
        list(times),
        emitters,
        min(numbers),
        max(numbers),
    )
    found: dict[Hash32, list[tuple[int, RawLog]]] = {}
    for row in rows:
        log = _raw_log(chain, row, times)
        found.setdefault(log.place.block_hash, []).append((row.integer("since"), log))
    return {
        entry.seq: [log for since, log in found.get(entry.block.hash, ()) if entry.holds(since)] for entry in applied
    }


_LOG = "l.*, b.timestamp, topics[1] AS topic0, topics[2] AS topic1, topics[3] AS topic2, topics[4] AS topic3"
_BLOCK = "JOIN chain_blocks AS b ON (b.chain_id, b.hash, b.number) = (l.chain_id, l.block_hash, l.block_number)"
_NAMED_LOGS = f"""
SELECT {_LOG} FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::integer[])
    AS named (chain_id, block_hash, block_number, log_index)
JOIN chain_logs AS l USING (chain_id, block_hash, block_number, log_index) {_BLOCK}
"""  # noqa: S608 - constants of this module
_LANE_LOGS = f"""
SELECT {_LOG} FROM chain_logs AS l {_BLOCK}
WHERE l.chain_id = $1 AND l.address = $2 AND l.topics[1] = $3 AND l.topics[2] IS NOT DISTINCT FROM $4 AND b.canonical
  AND l.block_number BETWEEN $5 AND $6 AND coalesce(l.topics[3], substr(l.data, 129, 32)) BETWEEN $7 AND $8
"""  # noqa: S608 - constants of this module
"""To one destination, from one number to another. 1.6 has both among the topics; an on-ramp of 1.5 has one destination,
and the number is the fifth word of its data."""
_LANE_BLOCKS = 131_072
"""A commit's messages lie no further apart: 9 hours of the fastest chains, two partitions of the logs at the most. No
index leads to them, for only a retry by hand asks."""


async def load_lane_logs(reader: Reader, evidence: Sequence[Evidence]) -> Sequence[RawLog]:
    """What CCIP's manual execution of a message is made of: the logs of its own evidence, and those of all messages
    under the same commits."""
    shown = [each for each in evidence if isinstance(each, CcipSent | CcipCommitted | CcipExecuted)]
    places = [each.place for each in shown]
    rows = await reader.fetch(
        _NAMED_LOGS,
        [place.chain for place in places],
        [place.block_hash for place in places],
        [place.block_number for place in places],
        [place.log_index for place in places],
    )
    logs = [_stored_log(row) for row in rows]
    for sent in (each for each in shown if isinstance(each, CcipSent) and each.lane is not None):
        own = next((log for log in logs if log.place.at == sent.place.at), None)
        commits = [each for each in shown if isinstance(each, CcipCommitted) and each.lane == sent.lane]
        if own is not None and commits:
            logs += await _load_numbered(reader, own, commits)
    return logs


async def _load_numbered(reader: Reader, own: RawLog, commits: Sequence[CcipCommitted]) -> Sequence[RawLog]:
    """The messages of these commits, on the lane of this one."""
    rows = await reader.fetch(
        _LANE_LOGS,
        own.place.chain,
        own.emitter,
        own.topics[0],
        own.topics[1] if len(own.topics) > 1 else None,
        own.place.block_number - _LANE_BLOCKS,
        own.place.block_number + _LANE_BLOCKS,
        min(each.first for each in commits).to_bytes(32),
        max(each.last for each in commits).to_bytes(32),
    )
    return [_stored_log(row) for row in rows]


def _stored_log(row: Row) -> RawLog:
    times = {Hash32(row.octets("block_hash")): row.integer("timestamp")}
    return _raw_log(ChainId(row.integer("chain_id")), row, times)


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


_KNOWN = "SELECT id FROM accounts WHERE id = $1"
_ADDRESSES = "SELECT chain_id, address FROM account_addresses WHERE account = $1 ORDER BY chain_id, address"
_CHAINS = """
SELECT chain_id, tip_number, head, finalized, updated_at,
       (SELECT timestamp FROM chain_blocks AS b
        WHERE b.chain_id = s.chain_id AND b.number = s.tip_number AND b.canonical) AS tip_time
FROM chain_state AS s WHERE chain_id = ANY($1) ORDER BY chain_id
"""
_HELD = """
SELECT p.chain_id, vault, token, sum(amount) AS amount FROM positions AS p
JOIN unnest($1::bigint[], $2::bytea[]) AS owned (chain_id, owner) USING (chain_id, owner)
WHERE side = 'collateral' GROUP BY p.chain_id, vault, token HAVING sum(amount) <> 0 ORDER BY p.chain_id, token, vault
"""
_CREDIT = """
SELECT DISTINCT ON (r.chain_id, vault, subject) r.chain_id, vault, credit_limit FROM chain_registers AS r
JOIN unnest($1::bigint[], $2::bytea[]) AS owned (chain_id, subject) USING (chain_id, subject)
WHERE kind = 'credit' ORDER BY r.chain_id, vault, subject, block_number DESC, log_index DESC
"""
_ON_THE_WAY = """
SELECT id, state, source, destination, kind, amount FROM messages
WHERE account = ANY($2) AND kind = ANY($3) AND sent_at IS NOT NULL
  AND (progress IS NULL OR progress <> ALL($4)) AND state <> 'reorged_out'
  AND EXISTS (SELECT FROM unnest($1::bigint[], $2::bytea[]) AS owned (chain, owner)
              WHERE owner = account AND chain IN (source, destination))
ORDER BY changes
"""
"""Without `sent_at` no router of ours sent it: whatever its envelope claims, a forged message carries nothing."""


async def read_collateral(
    reader: Reader, account: str, locks: Mapping[ChainId, Address]
) -> Mapping[str, object] | None:
    """One account's collateral over all chains; None for one that nobody registered. `locks`: the lock contract of each
    chain that has one.

    INVARIANT: locked collateral counts once, at its home, from the lock to the release or seizure there: a message that
    is on its way never adds to it.
    """
    if await reader.fetch_one(_KNOWN, account) is None:
        return None
    owned = await reader.fetch(_ADDRESSES, account)
    chains = [row.integer("chain_id") for row in owned]
    addresses = [row.octets("address") for row in owned]
    held = await reader.fetch(_HELD, chains, addresses)
    credit = await reader.fetch(_CREDIT, chains, addresses)
    ways = await reader.fetch(_ON_THE_WAY, chains, addresses, list(UNITS), [state.value for state in APPLIED])
    states = await reader.fetch(_CHAINS, chains)
    return {
        "account": account,
        "chains": [_chain(row, held, credit, locks.get(ChainId(row.integer("chain_id")))) for row in states],
        "on_the_way": [_on_the_way(row) for row in ways],
    }


def _chain(state: Row, held: Sequence[Row], credit: Sequence[Row], lock: Address | None) -> dict[str, object]:
    chain = state.integer("chain_id")
    here = [row for row in held if row.integer("chain_id") == chain]
    return {
        "chain": chain,
        "height": state.optional_integer("tip_number"),
        "head": state.optional_integer("head"),
        "finalized": state.optional_integer("finalized"),
        "as_of": state.optional_integer("tip_time"),
        "tokens": _tokens(here, lock),
        "credit_usd_e8": str(sum(row.integer("credit_limit") for row in credit if row.integer("chain_id") == chain)),
    }


def _tokens(held: Sequence[Row], lock: Address | None) -> list[dict[str, object]]:
    """By token: what lies in the vaults at the account's own disposal, and what is locked."""
    sums: dict[bytes, list[int]] = {}
    for row in held:
        free_and_locked = sums.setdefault(row.octets("token"), [0, 0])
        free_and_locked[row.octets("vault") == lock] += row.integer("amount")
    return [
        {"token": hex_of(token), "free": str(free), "locked": str(locked), "total": str(free + locked)}
        for token, (free, locked) in sums.items()
    ]


def _on_the_way(row: Row) -> dict[str, object]:
    return {
        "message": hex_of(row.octets("id")),
        "state": row.text("state"),
        "source": row.integer("source"),
        "destination": row.integer("destination"),
        "kind": kind_name(row.integer("kind")),
        "credit_usd_e8": str(row.integer("amount")),
    }
