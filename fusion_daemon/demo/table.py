"""The live table: what the operator would see, asked from the daemon's own API."""

from __future__ import annotations

import http.client
import threading
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fusion_daemon.demo.message_table import message_table
from fusion_daemon.demo.stage import Stage

_ACCOUNTS, _MESSAGES = 12, 8
"""Rows of the two tables where there is room, as in a log."""
_FRAMES = 2 * 5 + 1
"""Lines that are no row: titles, headings and frames, and one to spare."""
_WIDE = 110
"""Columns from which a message's way fits in a line."""
_COLOURS = {"HEALTHY": "green", "WARNING": "yellow", "MARGIN_CALL": "dark_orange", "LIQUIDATION": "red"}


class LiveTable:
    """Redraws four times a second in a thread of its own until the block ends."""

    def __init__(self, stage: Stage, console: Console) -> None:
        self._stage = stage
        self._live = Live(console=console, auto_refresh=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._redraw, name="live-table", daemon=True)

    def say(self, line: str) -> None:
        """A line of the story, above the table: it scrolls away but is never redrawn, so a log holds every one."""
        tell(self._live.console, line)

    def __enter__(self) -> Self:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._live.update(self._picture(), refresh=True)
        self._live.stop()

    def _redraw(self) -> None:
        while not self._stop.wait(0.25):
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        console = self._live.console
        accounts, messages = shares(console.height, console.width) if console.is_terminal else (_ACCOUNTS, _MESSAGES)
        return Group(self._accounts(accounts), message_table(self._ask, messages))

    def _accounts(self, rows: int) -> Table:
        arrivals = self._stage.receiver.arrivals()
        distinct = len({arrival.webhook_id for arrival in arrivals})
        title = f"ETH {self._price()}   webhooks: {distinct} alerts in {len(arrivals)} requests"
        table = Table(title=title, title_justify="left")
        for heading in ("account", "collateral USD", "debt USD", "health factor", "score %", "state"):
            table.add_column(heading, justify="left" if heading in ("account", "state") else "right")
        for player in self._stage.players[-rows:]:
            table.add_row(player.id, *self._cells(player.id))
        return table

    def _price(self) -> str:
        answer = self._ask("/v1/prices")
        rows = answer.get("prices") if answer else None
        if not isinstance(rows, list):
            return "(daemon down)"
        return next((f"{row['usd']} USD ({row['status']})" for row in rows if row["asset"] == "ETH"), "unknown")

    def _cells(self, account: str) -> tuple[str | Text, ...]:
        report = self._ask(f"/v1/accounts/{account}/margin")
        if report is None:
            return ("-", "-", "-", "-", "-")
        known = report.get("figures")
        told = known if isinstance(known, dict) else {}
        figures = [told.get(name) for name in ("collateral_usd", "debt_usd", "health_factor", "score_percent")]
        state = str(report.get("state", "-"))
        return (*(_short(figure) for figure in figures), Text(state, style=_COLOURS.get(state, "dim")))

    def _ask(self, path: str) -> dict[str, object] | None:
        try:
            status, answer = self._stage.daemon.get(path)
        except (OSError, http.client.HTTPException):
            return None  # it was killed, as the play has it: the table shows a dash
        return answer if status == 200 and isinstance(answer, dict) else None


def shares(height: int, width: int) -> tuple[int, int]:
    """How many accounts and messages a terminal of that size shows: what is below its last line nobody sees."""
    room, lines = height - _FRAMES, 1 if width >= _WIDE else 2
    messages = max(1, min(_MESSAGES, room * 3 // 5 // lines))
    return max(1, min(_ACCOUNTS, room - messages * lines)), messages


def tell(console: Console, line: str) -> None:
    """As it is: unfolded, so that a command or a path can be copied."""
    console.print(line, soft_wrap=True, highlight=False, markup=False, emoji=False)


def _short(figure: object) -> str:
    if figure is None:
        return "-"
    whole, _, fraction = str(figure).partition(".")
    return f"{whole}.{fraction[:2]:0<2}"
