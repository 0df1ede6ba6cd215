"""The messages of the play as the daemon tells them: the last ones, each with the way that it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.table import Table
from rich.text import Text

_SHOWN = 5
"""Of a timeline: its last states."""
_COLOURS = {"executed": "green", "executed_final": "bold green", "failed": "red", "app_failed": "red", "stuck": "red"}

Ask = Callable[[str], Mapping[str, object] | None]
"""A path of the daemon's API to its answer; None while it does not answer."""


def message_table(ask: Ask, rows_shown: int) -> Table:
    """The last state of a timeline is how the message stands."""
    answer = ask(f"/v1/messages?limit={rows_shown}")
    rows = answer.get("messages") if answer else None
    table = Table(title="messages between the chains", title_justify="left")
    for heading in ("message", "what", "way", "bridge"):
        table.add_column(heading, no_wrap=True)
    table.add_column("timeline")
    for row in rows if isinstance(rows, list) else []:
        table.add_row(
            str(row["id"])[:12],
            str(row["kind"] or "-"),
            f"{row['source']} → {row['destination']}",
            str(row["bridge"] or "-"),
            _timeline(ask(f"/v1/messages/{row['id']}")),
        )
    return table


def _timeline(message: Mapping[str, object] | None) -> Text:
    changes = message.get("changes") if message else None
    if not isinstance(changes, list):
        return Text("-")
    states = [str(change["after"]) for change in changes]
    told = [state for state, before in zip(states, [None, *states], strict=False) if state != before]
    shown = (["…"] if len(told) > _SHOWN else []) + told[-_SHOWN:]
    return Text(" › ").join(Text(state, style=_COLOURS.get(state, "")) for state in shown)
