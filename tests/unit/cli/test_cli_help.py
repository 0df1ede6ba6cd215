"""Rule: `--help` is quick and imports nothing that it does not show."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fusion_daemon import __version__

HEAVY = ("trio", "aiohttp", "numpy", "asyncpg", "web3", "structlog", "uvloop")
"""Pydantic is typer's own, as soon as a command has options."""


@pytest.mark.parametrize("words", [[], ["run"], ["demo"], ["db"], ["deadletters"], ["risk"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys\n"
        "from fusion_daemon.cli import main\n"
        f"sys.argv = ['fusion-daemon', *{words!r}, '--help']\n"
        "try:\n    main()\n"
        f"finally:\n    print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "HEAVY []" in done.stdout


def test_the_version_is_the_wheels() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fusion_daemon", "--version"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == f"fusion-daemon {__version__}\n"


def test_every_command_is_listed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fusion_daemon", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    verbs = ("run", "check", "migrate", "status", "takeover", "demo", "db")
    operation = ("ps", "tree", "inspect", "mailbox", "pause", "resume", "restart", "trace", "tap", "drain")
    for verb in (*verbs, *operation):
        assert f" {verb} " in done.stdout


def test_a_state_that_there_is_not_is_wrong_usage() -> None:
    words = ["deadletters", "list", "--state", "lost"]
    done = subprocess.run(
        [sys.executable, "-m", "fusion_daemon", *words], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, "held" in done.stderr) == (2, True)
