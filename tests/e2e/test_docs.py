"""Rule: every command that README and docs/ show is run here, or its text is not in the docs.

`fusion-daemon …` runs for real against the stage's configuration; `make …` targets must exist and expand;
benchmarks must at least explain themselves (their figures take minutes).
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.demo.stage import Stage

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "contracts/README.md"])
SHELL_BLOCK = re.compile(r"^```(?:sh|shell|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE_COMMAND = re.compile(r"`((?:fusion-daemon|make|python) [^`…<]+)`")


def commands() -> list[str]:
    found: dict[str, None] = {}
    for page in PAGES:
        text = page.read_text()
        for block in SHELL_BLOCK.findall(text):
            found.update(dict.fromkeys(line.split("  #")[0].strip() for line in block.splitlines() if line.strip()))
        found.update(dict.fromkeys(INLINE_COMMAND.findall(text)))
    return [command for command in found if not command.startswith("#")]


def test_the_docs_show_commands() -> None:
    assert {"make demo", "make test"} <= set(commands())


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("make ")])
def test_make_targets_expand(command: str) -> None:
    words = command.split()
    shown = subprocess.run(
        ["make", "--dry-run", *words[1:2]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert shown.returncode == 0, shown.stderr


@pytest.mark.parametrize("command", [each for each in commands() if each.startswith("python ")])
def test_scripts_explain_themselves(command: str) -> None:
    script = command.split()[1]
    told = subprocess.run(
        [sys.executable, script, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 0, told.stderr
    for option in re.findall(r"--[a-z-]+", command):
        assert option in told.stdout


def test_the_daemons_own_commands_run(stage: Stage) -> None:
    shown = [each for each in commands() if each.startswith("fusion-daemon ")]
    places = _places(stage)
    stage.daemon.start()
    for command in shown:
        words = command.split()[1:]
        if words[0] in ("run", "demo"):
            continue  # the stage's child is a `run`; the demonstration has a test of its own
        line = [_placed(word, places) for word in words]
        done = subprocess.run(
            [sys.executable, "-m", "fusion_daemon", *line],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)


def _places(stage: Stage) -> dict[str, Path]:
    """Where the docs' paths lie on the stage; `restored.toml` names an empty database."""
    backups = stage.directory / "backups"
    backups.mkdir()
    restored = stage.directory / "restored.toml"
    empty = stage.dsn.replace("/fusion_prime?", "/restored?")
    restored.write_text(stage.config.read_text().replace(stage.dsn, empty))
    asyncio.run(_create_database(stage.dsn, "restored"))
    return {"config.toml": stage.config, "restored.toml": restored, "/var/backups/fusion-prime": backups}


def _placed(word: str, places: Mapping[str, Path]) -> str:
    for shown, real in places.items():
        if word == shown or word.startswith(f"{shown}/"):
            return str(real) + word.removeprefix(shown)
    return word


async def _create_database(dsn: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def test_every_command_is_of_a_kind_that_is_tested() -> None:
    known = ("make ", "python ", "fusion-daemon ", "npm ", "cd contracts", "node_modules/.bin/forge")
    assert [each for each in commands() if not each.startswith(known)] == []
    assert shutil.which("make") is not None
