"""`fusion-daemon db verify`: what the invariants promise, looked for in the data. asyncio side, one snapshot.

It reads everything once; the daemon may run meanwhile. Where retention has dropped partitions, what is left is
checked from there on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import pairwise

from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.journal_rows import PositionKey, position_changes
from fusion_daemon.chain.repository import load_entries
from fusion_daemon.crosschain import Rules
from fusion_daemon.crosschain.soundness import unsound_messages
from fusion_daemon.domain.account import ACCOUNT_STREAM
from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.domain.journal import Side, journal_stream
from fusion_daemon.domain.margin import MARGIN_STREAM
from fusion_daemon.domain.message import MESSAGE_STREAM
from fusion_daemon.domain.price import PRICE_STREAM
from fusion_daemon.findings import Finding
from fusion_daemon.store import Reader
from fusion_daemon.store.migrate import MigrationRefused, schema_state
from fusion_daemon.store.partitions import Partition, read_partitions
from fusion_daemon.store.snapshot import open_snapshot
from fusion_daemon.transactions.soundness import unsound_transactions

_BATCH = 2_000
MOST_SHOWN = 5
"""Of what is wrong with one subject."""
_TABLE_OF = {
    PRICE_STREAM: "prices",
    MARGIN_STREAM: "margin_events",
    ACCOUNT_STREAM: "account_changes",
    MESSAGE_STREAM: "message_changes",
}

_CURSORS = """
SELECT consumer, stream, position, head FROM cursors LEFT JOIN streams ON streams.name = cursors.stream
WHERE position > coalesce(head, 0) ORDER BY consumer, stream
"""

_CHAIN = """
SELECT tip_number, coalesce(tip_number, start_block) AS newest,
       (SELECT min(number) FROM chain_blocks WHERE chain_id = $1) AS lowest,
       (SELECT count(*) FROM chain_blocks WHERE chain_id = $1 AND canonical) AS canonical,
       tip_number IS NULL OR EXISTS (
         SELECT FROM chain_blocks WHERE chain_id = $1 AND hash = tip_hash AND number = tip_number AND canonical
       ) AS tip_is_there,
       (SELECT count(*) FROM chain_journal j WHERE chain_id = $1 AND NOT EXISTS (
         SELECT FROM chain_blocks b
         WHERE b.chain_id = $1 AND b.hash = j.block_hash AND b.number = j.block_number)) AS without_block
FROM chain_state WHERE chain_id = $1
"""

_ALERTS = """
SELECT
  (SELECT count(*) FROM margin_events WHERE NOT EXISTS (
     SELECT FROM alerts WHERE id = concat_ws(
       '_', 'mrg', left(encode(sha256(convert_to(margin_events.account, 'UTF8')), 'hex'), 16),
       margin_events.episode, margin_events.step))) AS unalerted,
  (SELECT count(*) FROM alerts WHERE state = 'routed' AND number >= $1 AND NOT EXISTS (
     SELECT FROM deliveries WHERE alert_id = alerts.id)) AS undelivered,
  (SELECT count(*) FROM deliveries WHERE NOT EXISTS (
     SELECT FROM alerts WHERE id = alert_id AND number = alert_number)) AS orphaned,
  (SELECT count(*) FROM deliveries WHERE state <> 'in_flight' AND attempts <> (
     SELECT count(*) FROM delivery_attempts a
     WHERE a.delivery_id = deliveries.id AND a.alert_number = deliveries.alert_number)) AS miscounted
"""


async def verify_database(dsn: str, rules: Rules) -> list[Finding]:
    """Every check, failed or not. `rules`: by which messages are judged. Raises `StoreUnavailable`, `StoreRefused`."""
    try:
        state = await schema_state(dsn)
    except MigrationRefused as refused:
        return [Finding("schema", True, str(refused))]
    if state.pending:
        names = ", ".join(each.name for each in state.pending)
        return [Finding("schema", True, f"not applied: {names}. Run `fusion-daemon migrate` first.")]
    findings = [Finding("schema", False, f"all {len(state.applied)} migrations, as this program has them")]
    async with open_snapshot(dsn) as reader:
        partitions = await read_partitions(reader)
        findings += [each async for each in _streams(reader, partitions)]
        findings.append(await _cursors(reader))
        table = load_event_table()
        for row in await reader.fetch("SELECT chain_id FROM chain_state ORDER BY chain_id"):
            findings += await _chain(reader, table, ChainId(row.integer("chain_id")), partitions)
        findings += await _alerts(reader, partitions)
        findings += _unsound(await unsound_messages(reader, rules))
        findings += _unsound(await unsound_transactions(reader))
    return findings


async def _streams(reader: Reader, partitions: Sequence[Partition]) -> AsyncIterator[Finding]:
    for row in await reader.fetch("SELECT name, head FROM streams ORDER BY name"):
        name, head = row.text("name"), row.integer("head")
        chain = int(name.partition(":")[2]) if name.startswith("journal:") else None
        table = _TABLE_OF.get(name) if chain is None else "chain_journal"
        if table is None:
            yield Finding(f"stream {name}", True, "no table of this program belongs to it")
            continue
        own = [each for each in partitions if each.parent == table and each.chain == chain]
        yield await _stream(reader, name, table, chain, head, max(1, min((each.low for each in own), default=1)))
        if own:
            yield _partitioned(name, own, head)


async def _stream(reader: Reader, name: str, table: str, chain: int | None, head: int, floor: int) -> Finding:
    where = "" if chain is None else f"WHERE chain_id = {chain}"
    row = await reader.fetch_one(
        f"SELECT count(*) AS count, coalesce(min(seq), 0) AS low, coalesce(max(seq), 0) AS high FROM {table} {where}"  # noqa: S608
    )
    assert row is not None  # an aggregate has one row
    count, low, high = row.integer("count"), row.integer("low"), row.integer("high")
    expected = (0, 0, 0) if head == 0 else (head - floor + 1, floor, head)
    if (count, low, high) == expected:
        return Finding(f"stream {name}", False, f"entries {low} to {high} without a gap")
    says = f"head {head}, kept from {floor} on, but {count} entries from {low} to {high}; restore a backup"
    return Finding(f"stream {name}", True, says)


async def _cursors(reader: Reader) -> Finding:
    ahead = [
        f"{row.text('consumer')} stands at {row.integer('position')} of {row.text('stream')}"
        for row in await reader.fetch(_CURSORS)
    ]
    return Finding("cursors", bool(ahead), f"beyond their streams: {'; '.join(ahead)}" if ahead else "none beyond")


async def _chain(reader: Reader, table: EventTable, chain: ChainId, partitions: Sequence[Partition]) -> list[Finding]:
    row = await reader.fetch_one(_CHAIN, chain)
    assert row is not None  # the chain was found a moment ago, in the same snapshot
    tip, lowest = row.optional_integer("tip_number"), row.optional_integer("lowest")
    wanted = 0 if tip is None or lowest is None else tip - lowest + 1
    found, bare = row.integer("canonical"), row.integer("without_block")
    whole = found == wanted and bare == 0 and row.boolean("tip_is_there")
    says = f"{found} canonical blocks up to {tip}" + (
        "" if whole else f", {wanted} expected; {bare} journal entries without their block; restore a backup"
    )
    findings = [Finding(f"blocks of chain {chain}", not whole, says), await _positions(reader, table, chain)]
    for parent in ("chain_blocks", "chain_logs"):
        own = [each for each in partitions if each.parent == parent and each.chain == chain]
        findings.append(_partitioned(f"{parent} of chain {chain}", own, row.integer("newest")))
    return findings


async def _positions(reader: Reader, table: EventTable, chain: ChainId) -> Finding:
    """The positions are the sum of the journal, entry by entry from the stored logs."""
    subject = f"positions of chain {chain}"
    first = await reader.fetch_one("SELECT min(seq) AS seq FROM chain_journal WHERE chain_id = $1", chain)
    if first is not None and (first.optional_integer("seq") or 1) > 1:
        return Finding(subject, False, "not folded: retention has dropped the journal's beginning")
    sums: dict[PositionKey, int] = {}
    after = 0
    while entries := await load_entries(reader, table, chain, after, _BATCH):
        for key, amount in position_changes(entries).items():
            sums[key] = sums.get(key, 0) + amount
        after = entries[-1].seq
    held = {
        (
            Address(row.octets("vault")),
            Address(row.octets("owner")),
            Address(row.octets("token")),
            Side(row.text("side")),
        ): row.integer("amount")
        for row in await reader.fetch("SELECT * FROM positions WHERE chain_id = $1 AND amount <> 0", chain)
    }
    wrong = {key for key in sums.keys() | held.keys() if sums.get(key, 0) != held.get(key, 0)}
    if wrong:
        return Finding(subject, True, f"{len(wrong)} are not the sum of the journal up to {after}; restore a backup")
    return Finding(subject, False, f"{len(held)} are the sum of {after} journal entries of {journal_stream(chain)}")


async def _alerts(reader: Reader, partitions: Sequence[Partition]) -> list[Finding]:
    deliveries = [each for each in partitions if each.parent == "deliveries"]
    row = await reader.fetch_one(_ALERTS, min((each.low for each in deliveries), default=0))
    newest = await reader.fetch_one("SELECT coalesce(max(number), 0) AS number FROM alerts")
    assert row is not None  # a SELECT without FROM has one row
    assert newest is not None  # an aggregate has one row
    questions = (
        ("margin events", "unalerted", "without their alert"),
        ("alerts", "undelivered", "routed without a delivery"),
        ("deliveries", "orphaned", "without their alert"),
        ("delivery attempts", "miscounted", "deliveries with another number of attempts than they counted"),
    )
    findings = [
        Finding(subject, row.integer(name) > 0, f"{row.integer(name)} {says}") for subject, name, says in questions
    ]
    for parent in ("deliveries", "delivery_attempts"):
        own = [each for each in partitions if each.parent == parent]
        findings.append(_partitioned(parent, own, newest.integer("number")))
    return findings


def _unsound(found: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for subject, wrong in found.items():
        more = f" and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
        says = "; ".join(wrong[:MOST_SHOWN]) + more
        yield Finding(subject, bool(wrong), f"{says}; restore a backup" if wrong else "as their evidence says")


def _partitioned(of: str, partitions: Sequence[Partition], newest: int) -> Finding:
    """Without a gap, and one beyond that of the newest number: the next transaction may need it."""
    ordered = sorted(partitions, key=lambda each: each.low)
    whole = all(each.high == following.low for each, following in pairwise(ordered))
    if ordered and whole and ordered[-1].low > newest:
        return Finding(f"partitions of {of}", False, f"{len(ordered)}, with room ahead of {newest}")
    return Finding(f"partitions of {of}", True, f"one is missing, at or after {newest}; restore a backup")
