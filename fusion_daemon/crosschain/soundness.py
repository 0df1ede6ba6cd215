"""Whether the rows about messages keep what the room promises: `fusion-daemon db verify`. asyncio side, in one
snapshot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fusion_daemon.crosschain.judgement import Rules
from fusion_daemon.crosschain.repository import load_state, load_told_at
from fusion_daemon.crosschain.standing import Standing
from fusion_daemon.crosschain.tracker import MessageTracker
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.store import Reader, Row

_SHOWN = "SELECT id, state, progress, stage, flags FROM messages"
_BROKEN_CHAINS = """
SELECT message, seq FROM (
    SELECT message, seq, before, lag(after) OVER (PARTITION BY message ORDER BY seq) AS told FROM message_changes
) AS changes WHERE before IS DISTINCT FROM told ORDER BY seq
"""
_LAST_CHANGES = """
SELECT coalesce(m.id, c.message) AS message FROM messages AS m FULL JOIN (
    SELECT DISTINCT ON (message) message, seq, after FROM message_changes ORDER BY message, seq DESC
) AS c ON c.message = m.id
WHERE m.state IS DISTINCT FROM c.after OR (m.id IS NOT NULL AND m.changes IS DISTINCT FROM c.seq) ORDER BY 1
"""
_STRAYS = """
SELECT 'closed_messages' AS table_name, message FROM closed_messages
    WHERE NOT EXISTS (SELECT FROM messages WHERE id = message)
UNION ALL SELECT 'lost_messages', message FROM lost_messages
    WHERE NOT EXISTS (SELECT FROM messages WHERE id = message)
UNION ALL SELECT 'abandoned_messages', message FROM abandoned_messages
    WHERE NOT EXISTS (SELECT FROM message_changes AS c WHERE c.message = abandoned_messages.message)
ORDER BY 1, 2
"""


async def unsound_messages(reader: Reader, rules: Rules) -> Mapping[str, Sequence[str]]:
    """By what was looked at, what is wrong with it. `rules`: what the tracker was told when it last wrote."""
    shown = {row.octets("id"): row for row in await reader.fetch(_SHOWN)}
    broken = await reader.fetch(_BROKEN_CHAINS)
    last = await reader.fetch(_LAST_CHANGES)
    strays = await reader.fetch(_STRAYS)
    return {
        "messages": await _misjudged(reader, rules, shown),
        "message changes": [
            *(f"change {row.integer('seq')} of {_name(row)} does not follow from the one before" for row in broken),
            *(f"{_name(row)} is not as its last change says" for row in last),
        ],
        "what hangs on messages": [f"{row.text('table_name')} has {_name(row)}, which nobody knows" for row in strays],
    }


async def _misjudged(reader: Reader, rules: Rules, shown: Mapping[bytes, Row]) -> Sequence[str]:
    """Judged anew from the evidence, as of the time for which a change was last told, nothing has to be told."""
    try:
        state = await load_state(reader)
    except msgspec.MsgspecError as error:
        return [f"a row is not what the tracker wrote: {error}"]
    tracker = MessageTracker.restored(rules, state)
    found = []
    for each in tracker.settle(await load_told_at(reader)):
        was = "unknown" if each.before is None else each.before.state.value
        is_now = "nothing" if each.after is None else each.after.state.value
        found.append(f"{hex_of(each.id)} is told to be {was}, and its evidence makes it {is_now}")
    for standing in state.standings:
        row = shown.get(bytes(standing.id))
        if row is None or not _same(row, standing):
            found.append(f"{hex_of(standing.id)} is shown otherwise than it stands")
    return found


def _same(row: Row, standing: Standing) -> bool:
    return (
        row.text("state") == standing.state.value
        and row.optional_text("progress") == (None if standing.progress is None else standing.progress.value)
        and row.optional_text("stage") == (None if standing.stage is None else standing.stage.value)
        and list(row.texts("flags")) == [flag.value for flag in standing.flags]
    )


def _name(row: Row) -> str:
    return hex_of(row.octets("message"))
