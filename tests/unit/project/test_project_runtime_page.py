"""Rule: what docs/runtime.md shows is what runs: its code, its output, and the tests that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fusion_daemon import runtime

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/runtime.md").read_text()
EXAMPLE = ROOT / "docs/examples/till.py"
SUITE = ROOT / "tests/unit/runtime"
ROWS = [*map(str, range(1, 32)), *(f"T{number}" for number in range(1, 9))]
"""Of the case table: OTP's own, and what trio adds."""


def block(opening: str) -> str:
    """The page's block that begins so."""
    (found,) = re.findall(rf"^```\w+\n({re.escape(opening)}.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize(
    ("opening", "source"),
    [
        ("class Till", EXAMPLE),
        ("async def main", EXAMPLE),
        ("async def test_", SUITE / "test_runtime_example.py"),
    ],
)
def test_the_code_is_the_examples(opening: str, source: Path) -> None:
    assert block(opening) in source.read_text()


def test_the_actor_has_30_lines() -> None:
    assert len([line for line in block("class Till").splitlines() if line]) <= 30


def test_the_example_prints_what_the_page_says() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(EXAMPLE)]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert shown == block("log: actor_started")


def test_every_row_of_the_case_table_names_tests_that_exist() -> None:
    suite = "".join(path.read_text() for path in sorted(SUITE.glob("test_*.py")))
    exist = set(re.findall(r"^(?:async )?def (test_\w+)\(", suite, re.MULTILINE))
    rows = re.findall(r"^\| (T?\d+) \| .+ \| (.+) \|$", PAGE, re.MULTILINE)
    assert [row for row, _ in rows] == ROWS
    for row, cell in rows:
        named = re.findall(r"`(test_\w+)`", cell)
        number = row.lstrip("T")
        assert named, row
        assert set(named) <= exist, row
        assert all(re.match(rf"test_(otp|trio)_0?{number}_", name) for name in named), row


def test_every_type_that_the_page_names_is_exported() -> None:
    prose = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    types = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)\b", prose))
    foreign = {"MockClock", "KeyboardInterrupt", "SystemExit", "TimeoutStopSec"}
    assert len(types) > 20
    assert types - foreign <= set(runtime.__all__)
