"""Rule: the demonstration's tables fit the terminal that they are drawn in, and a message shows its whole way."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.console import Console, Group
from rich.table import Table

from fusion_daemon.demo.message_table import message_table
from fusion_daemon.demo.table import shares

STATES = ("observed", "source_final", "source_final", "executed", "executed_final")


def ask(path: str) -> Mapping[str, object] | None:
    if "limit=" not in path:
        return {"changes": [{"after": state} for state in STATES]}
    way = {"source": 31337, "destination": 31338, "bridge": "axelar", "kind": "release", "state": STATES[-1]}
    return {"messages": [{"id": f"0x{number:064x}", **way} for number in range(int(path.rpartition("=")[2]))]}


def drawn(height: int, width: int) -> list[str]:
    accounts, messages = shares(height, width)
    above = Table("account", title="ETH")
    for _ in range(accounts):
        above.add_row("-")
    console = Console(file=io.StringIO(), height=height, width=width)
    with console.capture() as capture:
        console.print(Group(above, message_table(ask, messages)))
    return capture.get().splitlines()


@pytest.mark.parametrize(("height", "width"), [(24, 80), (25, 100), (30, 120), (50, 80), (60, 160)])
def test_the_tables_fit_the_terminal(height: int, width: int) -> None:
    lines = drawn(height, width)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert "".join(lines).count("executed_final") == shares(height, width)[1]


def test_there_is_a_row_of_each_in_the_least_terminal_and_no_more_than_is_asked_for_in_a_great_one() -> None:
    assert shares(5, 40) == (1, 1)
    assert shares(500, 500) == (12, 8)


def test_a_state_is_named_once_however_often_it_was_told() -> None:
    assert "observed › source_final › executed › executed_final" in "".join(drawn(60, 160))
