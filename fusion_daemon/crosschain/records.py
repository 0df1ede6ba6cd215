"""Evidence, standings and changes as rows: what the tracker writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from fusion_daemon.crosschain.evidence import Evidence, Sent, encode_evidence
from fusion_daemon.crosschain.packing import pack
from fusion_daemon.crosschain.pruning import Pruned
from fusion_daemon.crosschain.reading import UnreadableLog
from fusion_daemon.crosschain.standing import Standing, Transition
from fusion_daemon.crosschain.timeline import place_view, timeline
from fusion_daemon.domain.identifiers import ChainId, Hash32
from fusion_daemon.store.writes import Execute, ExecuteMany, SqlValue, Write

CHANGE_COLUMNS = ("message", "before", "after", "flags", "cause", "evidence", "at")

_SAVE_EVIDENCE = """
INSERT INTO message_evidence (chain_id, block_hash, log_index, part, block_number, evidence, canonical)
VALUES ($1, $2, $3, $4, $5, $6, true)
ON CONFLICT (chain_id, block_hash, log_index, part) DO UPDATE SET canonical = true
"""
_RETRACT = "UPDATE message_evidence SET canonical = false WHERE chain_id = $1 AND block_hash = $2"
_SHOWN = """coalesce((
    SELECT jsonb_agg(line ORDER BY (line->>'at')::bigint, (line->>'chain')::bigint, (line->>'block')::bigint,
                     (line->>'log_index')::integer)
    FROM (SELECT DISTINCT line FROM closed_messages AS c, jsonb_array_elements(c.timeline || {timeline}::jsonb) AS line
          WHERE c.message = {message}) AS lines), {timeline}::jsonb)"""
"""A timeline, and before it that of the evidence that is kept no longer."""
_SAVE_MESSAGE = f"""
INSERT INTO messages (id, state, progress, stage, flags, bridge, source, destination, kind, account, asset, amount,
                      standing, timeline, sent_at, changed_at, changes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
        {_SHOWN.format(message="$1", timeline="$14")}, $15, $16, $17)
ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, progress = excluded.progress, stage = excluded.stage, flags = excluded.flags,
    bridge = coalesce(excluded.bridge, messages.bridge), source = excluded.source,
    destination = excluded.destination, kind = excluded.kind, account = excluded.account, asset = excluded.asset,
    amount = excluded.amount, standing = excluded.standing, timeline = excluded.timeline,
    sent_at = coalesce(excluded.sent_at, messages.sent_at), changed_at = excluded.changed_at,
    changes = excluded.changes
"""  # noqa: S608 - constants of this module
_REDRAW = f"""
UPDATE messages SET standing = $2, timeline = {_SHOWN.format(message="$1", timeline="$3")},
    bridge = coalesce($4, bridge), sent_at = coalesce($5, sent_at)
WHERE id = $1
"""  # noqa: S608 - constants of this module
_DROP_EVIDENCE = """
DELETE FROM message_evidence WHERE chain_id = $1 AND block_hash = $2 AND log_index = $3 AND part = $4
"""
_CLOSE = """
INSERT INTO closed_messages (message, closed, timeline) SELECT id, $2, timeline FROM messages WHERE id = $1
ON CONFLICT (message) DO UPDATE SET closed = excluded.closed, timeline = excluded.timeline
"""
_FORGET = "DELETE FROM messages WHERE id = $1"
_SAVE_UNREADABLE = """
INSERT INTO unreadable_message_logs (chain_id, block_hash, log_index, event, why) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
"""


class Cause(StrEnum):
    """What made a message change."""

    CHAIN = "chain"
    REORG = "reorg"
    TIME = "time"
    OPERATOR = "operator"


def cause_of(transition: Transition, folded: bool) -> Cause:
    """`folded`: blocks were folded since the last settlement; otherwise only time has passed."""
    if transition.undone:
        return Cause.REORG
    return Cause.CHAIN if folded else Cause.TIME


def save_evidence(evidence: Sequence[Evidence]) -> Iterable[Write]:
    if evidence:
        yield ExecuteMany(
            _SAVE_EVIDENCE, [(*each.key, each.place.block_number, encode_evidence(each)) for each in evidence]
        )


def retract_block(chain: ChainId, block_hash: Hash32) -> Write:
    return Execute(_RETRACT, (chain, block_hash))


def drop_pruned(pruned: Pruned) -> Iterable[Write]:
    """In one transaction, so that a message is judged by its evidence or by what is remembered of it."""
    if pruned.closed:
        yield ExecuteMany(_CLOSE, [(message, pack(each)) for message, each in pruned.closed.items()])
    if pruned.evidence:
        yield ExecuteMany(_DROP_EVIDENCE, list(pruned.evidence))


def save_unreadable(logs: Sequence[UnreadableLog]) -> Iterable[Write]:
    if logs:
        rows: list[tuple[SqlValue, ...]] = [
            (each.log.place.chain, each.log.place.block_hash, each.log.place.log_index, each.event, each.why)
            for each in logs
        ]
        yield ExecuteMany(_SAVE_UNREADABLE, rows)


def change_row(transition: Transition, cause: Cause, now: float) -> tuple[SqlValue, ...]:
    """The values of CHANGE_COLUMNS. `now`: unix seconds."""
    before, after = transition.before, transition.after
    places = {
        "because": [] if after is None else [place_view(place) for place in after.because],
        "undone": [place_view(place) for place in transition.undone],
    }
    return (
        transition.id,
        None if before is None else before.state.value,
        None if after is None else after.state.value,
        [] if after is None else [flag.value for flag in after.flags],
        cause.value,
        msgspec.json.encode(places).decode(),
        datetime.fromtimestamp(now, UTC),
    )


def save_message(transition: Transition, evidence: Sequence[Evidence], seq: int, now: float) -> Write:
    """The projection after a change. `seq`: of the change in its stream."""
    standing = transition.after
    if standing is None:
        return Execute(_FORGET, (transition.id,))
    return Execute(_SAVE_MESSAGE, _message_row(standing, evidence, seq, now))


def redraw_message(standing: Standing, evidence: Sequence[Evidence]) -> Write:
    """The projection where the evidence changed and nothing else: no change of the stream is about it."""
    sent = _sent_of(evidence)
    bridge = None if sent is None else bridge_name(sent.bridge)
    row = (standing.id, pack(standing), _timeline_text(evidence), bridge, _sent_at(sent))
    return Execute(_REDRAW, row)


def _sent_of(evidence: Sequence[Evidence]) -> Sent | None:
    return next((each for each in evidence if isinstance(each, Sent)), None)


def _sent_at(sent: Sent | None) -> datetime | None:
    return None if sent is None else datetime.fromtimestamp(sent.place.timestamp, UTC)


def _timeline_text(evidence: Sequence[Evidence]) -> str:
    return msgspec.json.encode(timeline(evidence)).decode()


def _message_row(standing: Standing, evidence: Sequence[Evidence], seq: int, now: float) -> tuple[SqlValue, ...]:
    envelope = standing.envelope
    sent = _sent_of(evidence)
    shown: tuple[SqlValue, ...] = (None,) * 6
    if envelope is not None:
        shown = (
            envelope.source,
            envelope.destination,
            envelope.kind,
            envelope.account,
            envelope.asset,
            envelope.amount,
        )
    return (
        standing.id,
        standing.state.value,
        None if standing.progress is None else standing.progress.value,
        None if standing.stage is None else standing.stage.value,
        [flag.value for flag in standing.flags],
        None if sent is None else bridge_name(sent.bridge),
        *shown,
        pack(standing),
        _timeline_text(evidence),
        _sent_at(sent),
        datetime.fromtimestamp(now, UTC),
        seq,
    )


def bridge_name(octets: bytes) -> str:
    """`axelar`, `ccip`: left-aligned text in a word."""
    return octets.rstrip(b"\0").decode("ascii", "replace")
