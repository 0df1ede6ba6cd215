"""Rule: `--help` is quick and imports nothing that it does not show."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from fusion_daemon import __version__

HEAVY = ("trio", "aiohttp", "numpy", "asyncpg", "web3", "pydantic", "structlog", "uvloop")
CPU_SECONDS = 0.3


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from fusion_daemon.cli import main\n"
        "sys.argv = ['fusion-daemon', '--help']\n"
        "try:\n    main()\n"
        f"finally:\n    print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "HEAVY []" in done.stdout


@pytest.mark.parametrize("words", [[], ["run"], ["demo"], ["db"], ["deadletters"]])
def test_help_costs_less_than_the_limit(words: list[str]) -> None:
    # The least of three: the first may have to write bytecode.
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(
            [sys.executable, "-m", "fusion_daemon", *words, "--help"],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=30,
            env=os.environ | {"TERM": "dumb"},
        )
        spent.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert min(spent) < CPU_SECONDS


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
