"""The table of what was set aside. All functions run on the asyncio side, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.accounts.audit import AuditEntry, By, detail_of
from fusion_daemon.accounts.repository import write_audit
from fusion_daemon.quarantine.rules import (
    Entry,
    Kept,
    Phase,
    SetAside,
    State,
    check_discard,
    check_replay,
    label_of,
    unknown,
)
from fusion_daemon.quarantine.views import SetAsideDetail, SetAsideView
from fusion_daemon.store import Reader, Row

_COLUMNS = "id, source, stream, seq, resting, phase, message, payload, traceback, at, state, settled_by, settled_at"

_INSERT = """
INSERT INTO quarantine (mark, source, stream, seq, resting, phase, message, payload, traceback, at)
SELECT $1, $2, $3, $4::bigint, $5::bigint, $6, $7, $8::bytea, $9, to_timestamp($10)
WHERE NOT EXISTS (SELECT FROM quarantine WHERE mark = $1)
ON CONFLICT (source, stream, seq) WHERE state = 'held' AND stream IS NOT NULL
DO UPDATE SET resting = excluded.resting, phase = excluded.phase, traceback = excluded.traceback, at = excluded.at"""

_LIST = f"""
SELECT {_COLUMNS} FROM quarantine
WHERE ($1::bigint IS NULL OR id < $1) AND ($2::text IS NULL OR state = $2)
ORDER BY id DESC LIMIT $3"""  # noqa: S608 - constants

_SETTLE = "UPDATE quarantine SET state = $2, settled_by = $3, settled_at = now() WHERE id = $1"


async def keep(writer: Reader, found: Sequence[SetAside]) -> None:
    """Write them down, each once. Of an entry that is held already, what it did last is kept."""
    for each in found:
        entry = each.entry
        place = (None, None, None, None) if entry is None else (entry.stream, entry.seq, entry.resting, entry.phase)
        await writer.fetch(_INSERT, each.mark, each.source, *place, each.message, each.payload, each.traceback, each.at)


async def settled_entries(reader: Reader, consumer: str) -> list[tuple[Entry, State]]:
    """All that was ever set aside of a consumer's entries, and what became of it."""
    rows = await reader.fetch(
        "SELECT stream, seq, resting, phase, state FROM quarantine "
        "WHERE source = $1 AND stream IS NOT NULL ORDER BY id",
        consumer,
    )
    return [(_entry(row), State(row.text("state"))) for row in rows]


async def held_counts(reader: Reader) -> dict[str, int]:
    """How many are held, by mailbox or stream."""
    rows = await reader.fetch(
        "SELECT source, stream, count(*) AS held FROM quarantine WHERE state = 'held' GROUP BY source, stream"
    )
    counts: dict[str, int] = {}
    for row in rows:
        label = label_of(row.text("source"), row.optional_text("stream"))
        counts[label] = counts.get(label, 0) + row.integer("held")
    return counts


async def list_set_aside(
    reader: Reader, before: int | None, state: State | None, limit: int
) -> tuple[SetAsideView, ...]:
    """A keyset page, newest first."""
    rows = await reader.fetch(_LIST, before, None if state is None else state.value, limit)
    return tuple(map(_view, rows))


async def show_set_aside(reader: Reader, number: str) -> SetAsideDetail:
    """Raises UnknownDeadLetter."""
    row = await _row(reader, number, "")
    payload = row.optional_octets("payload")
    text = None if payload is None else payload.decode(errors="replace")
    return SetAsideDetail(_view(row), row.text("traceback"), text)


async def source_of(reader: Reader, number: str) -> str:
    """The mailbox, or the consumer, that it was for. Raises UnknownDeadLetter."""
    return (await _row(reader, number, "")).text("source")


async def replay(writer: Reader, number: str, by: By) -> Kept:
    """The change and its audit row. Raises UnknownDeadLetter, AlreadySettled, NotReplayable."""
    kept = await _kept(writer, number)
    check_replay(kept)
    await _settle(writer, kept, State.REPLAYED, by)
    return kept


async def discard(writer: Reader, number: str, by: By) -> Kept:
    """The change and its audit row. Raises UnknownDeadLetter, AlreadySettled."""
    kept = await _kept(writer, number)
    check_discard(kept)
    await _settle(writer, kept, State.DISCARDED, by)
    return kept


async def take_back(writer: Reader, kept: Kept, by: By, why: str) -> None:
    """A replay that its mailbox refused: it is held again, and the audit trail says so."""
    await writer.fetch(
        "UPDATE quarantine SET state = 'held', settled_by = NULL, settled_at = NULL "
        "WHERE id = $1 AND state = 'replayed'",
        kept.id,
    )
    await write_audit(writer, AuditEntry(by, "deadletter.replay", str(kept.id), f"failed: {why}", _detail(kept)))


async def _settle(writer: Reader, kept: Kept, state: State, by: By) -> None:
    verb = "replay" if state is State.REPLAYED else "discard"
    await writer.fetch(_SETTLE, kept.id, state.value, by.principal)
    await write_audit(writer, AuditEntry(by, f"deadletter.{verb}", str(kept.id), "done", _detail(kept)))


def _detail(kept: Kept) -> bytes:
    entry = kept.entry
    place = {} if entry is None else {"stream": entry.stream, "seq": entry.seq}
    return detail_of({"source": kept.source, **place})


async def _row(reader: Reader, number: str, lock: str) -> Row:
    wanted = int(number) if number.isascii() and number.isdigit() else 0
    sql = f"SELECT {_COLUMNS} FROM quarantine WHERE id = $1 {lock}"  # noqa: S608 - constants
    row = await reader.fetch_one(sql, wanted) if 0 < wanted < 2**63 else None
    if row is None:
        raise unknown(number)
    return row


async def _kept(writer: Reader, number: str) -> Kept:
    row = await _row(writer, number, "FOR UPDATE")
    return Kept(
        row.integer("id"),
        row.text("source"),
        None if row.optional_text("stream") is None else _entry(row),
        row.optional_octets("payload"),
        State(row.text("state")),
    )


def _entry(row: Row) -> Entry:
    return Entry(row.text("stream"), row.integer("seq"), row.integer("resting"), Phase(row.text("phase")))


def _view(row: Row) -> SetAsideView:
    return SetAsideView(
        row.integer("id"),
        row.moment("at"),
        row.text("source"),
        row.optional_text("stream"),
        row.optional_integer("seq"),
        row.text("message"),
        State(row.text("state")),
        row.optional_text("settled_by"),
        row.optional_moment("settled_at"),
    )
