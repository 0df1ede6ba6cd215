"""The risk room's tables, and the one snapshot from which the calculator starts. asyncio side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from fusion_daemon.accounts.records import record_from_json
from fusion_daemon.domain.account import ACCOUNT_STREAM
from fusion_daemon.domain.identifiers import AccountId, Address, AssetId, ChainId
from fusion_daemon.domain.journal import (
    CHAIN_VERSION,
    AssetParameters,
    CreditChange,
    IndexUpdate,
    JournalEntry,
    Register,
    Side,
    journal_stream,
)
from fusion_daemon.domain.margin import ChainInput, MarginEvent, MarginState
from fusion_daemon.domain.price import PRICE_STREAM, Price, PriceStatus
from fusion_daemon.risk.episodes import Standing
from fusion_daemon.risk.records import MarginRow, event_of, places_of
from fusion_daemon.risk.snapshot import Position, RegisterValue, Snapshot
from fusion_daemon.store import Reader, Row

EntriesAfter = Callable[[Reader, ChainId, int, int], Awaitable[Sequence[JournalEntry]]]
"""The chain room's loader: (reader, chain, after, limit), as the topic's fill uses it."""

NOTHING_SKIPPED: Mapping[str, Collection[int]] = {}
_BACKLOG_BATCH = 5_000
_KEPT_BLOCKS = 1_024
"""History kept below a tip whose finality is unknown."""


async def load_snapshot(
    reader: Reader,
    assets: Sequence[AssetId],
    price_cursor: int,
    account_cursor: int,
    journal_cursors: Mapping[ChainId, int | None],
    entries_after: EntriesAfter,
    skipped: Mapping[str, Collection[int]] = NOTHING_SKIPPED,
) -> Snapshot:
    """Everything in one repeatable-read transaction; its cost grows with the backlog.

    A chain of which nothing was folded yet is left out: it starts empty, however long its journal is. A chain
    without a cursor is shown as it stands at its journal's head. `skipped`: entries of the prices and of the
    accounts that are as if they had never been, by stream.
    """
    heads = {row.text("name"): row.integer("head") for row in await reader.fetch(_HEADS)}
    cursors = {
        chain: heads[journal_stream(chain)] if cursor is None else cursor for chain, cursor in journal_cursors.items()
    }
    folded = {chain: cursor for chain, cursor in cursors.items() if cursor > 0}
    no_prices, no_accounts = (sorted(skipped.get(stream, ())) for stream in (PRICE_STREAM, ACCOUNT_STREAM))
    backlog = {
        chain: await _backlog(reader, chain, cursor, heads[journal_stream(chain)], entries_after)
        for chain, cursor in folded.items()
    }
    configuration = await reader.fetch_one("SELECT fingerprint FROM risk_configuration")
    return Snapshot(
        positions=[_position(row) for row in await reader.fetch(_POSITIONS, list(folded))],
        registers=[each for chain in folded for each in await _registers(reader, chain, backlog[chain])],
        backlog=backlog,
        places=[await _place(reader, chain, cursor) for chain, cursor in folded.items()],
        prices=[_price(row) for row in await reader.fetch(_PRICES, assets, price_cursor, no_prices)],
        price_seq=price_cursor,
        records=[
            record_from_json(row.json("record")) for row in await reader.fetch(_RECORDS, account_cursor, no_accounts)
        ],
        standings=dict([_standing(row) for row in await reader.fetch("SELECT * FROM margin_states")]),
        heads=heads,
        late={
            (chain, version): contracts
            for chain, cursor in folded.items()
            for version, contracts in (await _late(reader, chain, cursor)).items()
        },
        fingerprint=None if configuration is None else configuration.text("fingerprint"),
    )


async def end_of_reorg(reader: Reader, chain: ChainId, seq: int) -> int:
    """The first entry from `seq` on after which a chain's state was the chain's: that entry itself, or the last one
    of the reorg that it is part of."""
    row = await reader.fetch_one(
        "SELECT seq FROM chain_journal WHERE chain_id = $1 AND seq >= $2 AND settles ORDER BY seq LIMIT 1", chain, seq
    )
    return seq if row is None else row.integer("seq")


async def margin_events_after(reader: Reader, after: int, limit: int) -> Sequence[MarginEvent]:
    """Entries after+1 … of the stream, at most `limit`: what a topic's fill reads."""
    rows = await reader.fetch(_EVENTS_AFTER, after, limit)
    return [_event(row) for row in rows]


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    seq: int
    event: MarginEvent


async def events_of_account(reader: Reader, account: AccountId, before: int, limit: int) -> Sequence[RecordedEvent]:
    """The newest events of an account with a number below `before`, newest first."""
    rows = await reader.fetch(_EVENTS_OF_ACCOUNT, account, before, limit)
    return [RecordedEvent(row.integer("seq"), _event(row)) for row in rows]


_HEADS = "SELECT name, head FROM streams"

_POSITIONS = """
SELECT * FROM positions WHERE chain_id = ANY($1) AND amount <> 0
ORDER BY chain_id, owner, vault, token, side
"""

# One look into the index for each asset, however long the stream is.
_PRICES = """
SELECT last.* FROM unnest($1::text[]) AS wanted (asset) CROSS JOIN LATERAL (
    SELECT seq, asset, usd, usd_low, usd_high, status, observed_at, published_at
    FROM prices WHERE prices.asset = wanted.asset AND seq <= $2 AND seq <> ALL ($3::bigint[]) ORDER BY seq DESC LIMIT 1
) AS last ORDER BY last.seq
"""

_RECORDS = """
SELECT DISTINCT ON (account) record FROM account_changes WHERE seq <= $1 AND seq <> ALL ($2::bigint[])
ORDER BY account, seq DESC
"""

# Below $2 no reorg reaches, so of older values only the last one of each register matters.
_REGISTERS = """
SELECT * FROM chain_registers WHERE chain_id = $1 AND block_number >= $2
UNION ALL
(SELECT DISTINCT ON (vault, kind, subject) * FROM chain_registers WHERE chain_id = $1 AND block_number < $2
 ORDER BY vault, kind, subject, block_number DESC, log_index DESC)
"""

_EVENT_COLUMNS = """
SELECT seq, account, episode, step, kind, before, after, cause, confirmed, past, figures, health_low,
       health_high, inputs
FROM margin_events"""
_EVENTS_AFTER = _EVENT_COLUMNS + " WHERE seq > $1 ORDER BY seq LIMIT $2"
_EVENTS_OF_ACCOUNT = _EVENT_COLUMNS + " WHERE account = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"


_LATE = """
SELECT filter_version, address FROM chain_contracts JOIN (
    SELECT filter_version FROM chain_journal WHERE chain_id = $1 AND seq <= $2 AND filter_version > $3
    GROUP BY filter_version HAVING NOT bool_or(settles)
) AS begun USING (filter_version) WHERE chain_id = $1 ORDER BY number
"""


async def _backlog(
    reader: Reader, chain: ChainId, cursor: int, head: int, entries_after: EntriesAfter
) -> Sequence[JournalEntry]:
    entries: list[JournalEntry] = []
    while cursor + len(entries) < head:
        wanted = min(_BACKLOG_BATCH, head - cursor - len(entries))
        entries += await entries_after(reader, chain, cursor + len(entries), wanted)
    return entries


async def _registers(reader: Reader, chain: ChainId, backlog: Iterable[JournalEntry]) -> list[RegisterValue]:
    state = await reader.fetch_one("SELECT tip_number, finalized FROM chain_state WHERE chain_id = $1", chain)
    tip = None if state is None else state.optional_integer("tip_number")
    final = None if state is None else state.optional_integer("finalized")
    reachable = [entry.block.number for entry in backlog]
    reachable.append((tip or 0) - _KEPT_BLOCKS if final is None else final)
    return [_register(row) for row in await reader.fetch(_REGISTERS, chain, min(reachable))]


async def _late(reader: Reader, chain: ChainId, cursor: int) -> Mapping[int, Sequence[Address]]:
    """Of late history begun at the cursor and not whole there: whose it is."""
    rows = await reader.fetch(_LATE, chain, cursor, CHAIN_VERSION)
    found: dict[int, list[Address]] = {}
    for row in rows:
        found.setdefault(row.integer("filter_version"), []).append(Address(row.octets("address")))
    return found


async def _place(reader: Reader, chain: ChainId, cursor: int) -> ChainInput:
    row = await reader.fetch_one(
        "SELECT op, block_number FROM chain_journal WHERE chain_id = $1 AND seq <= $2 AND filter_version = $3"
        " ORDER BY seq DESC LIMIT 1",
        chain,
        cursor,
        CHAIN_VERSION,
    )
    if row is None:
        return ChainInput(chain, cursor, 0)
    return ChainInput(chain, cursor, row.integer("block_number") - (row.text("op") == "retract"))


def _position(row: Row) -> Position:
    return Position(
        ChainId(row.integer("chain_id")),
        Address(row.octets("vault")),
        Address(row.octets("owner")),
        Address(row.octets("token")),
        Side(row.text("side")),
        row.integer("amount"),
    )


def _register(row: Row) -> RegisterValue:
    vault, subject, log_index = (
        Address(row.octets("vault")),
        Address(row.octets("subject")),
        row.integer("log_index"),
    )
    value: Register
    match row.text("kind"):
        case "index":
            value = IndexUpdate(
                vault,
                subject,
                row.integer("borrow_index"),
                row.integer("borrow_rate"),
                row.integer("effective_at"),
                log_index,
            )
        case "asset":
            value = AssetParameters(
                vault,
                subject,
                row.integer("decimals"),
                row.integer("ltv_bps"),
                row.integer("liquidation_threshold_bps"),
                log_index,
            )
        case _:
            value = CreditChange(vault, subject, row.integer("credit_limit"), log_index)
    return RegisterValue(ChainId(row.integer("chain_id")), row.integer("block_number"), value)


def _price(row: Row) -> Price:
    return Price(
        row.integer("seq"),
        AssetId(row.text("asset")),
        row.integer("usd"),
        row.integer("usd_low"),
        row.integer("usd_high"),
        PriceStatus(row.text("status")),
        row.integer("observed_at"),
        row.integer("published_at"),
    )


def _standing(row: Row) -> tuple[AccountId, Standing]:
    return AccountId(row.text("account")), Standing(
        MarginState(row.integer("state")),
        row.integer("episode"),
        row.integer("step"),
        places_of(row.json("causes")),
        places_of(row.json("withdrawn")),
    )


def _event(row: Row) -> MarginEvent:
    return event_of(
        MarginRow(
            account=row.text("account"),
            episode=row.integer("episode"),
            step=row.integer("step"),
            kind=row.text("kind"),
            before=row.integer("before"),
            after=row.integer("after"),
            cause=row.text("cause"),
            confirmed=row.boolean("confirmed"),
            past=row.boolean("past"),
            figures=row.json("figures"),
            health_low=row.optional_integer("health_low"),
            health_high=row.optional_integer("health_high"),
            inputs=row.json("inputs"),
        )
    )
