"""Rule: what was set aside is held by the next daemon too, and an operator decides on it at the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.cli import DEGRADED, FAILED
from tests.integration.cli.processes import run
from tests.integration.cli.test_cli_daemon import CHAIN, config_for, daemon
from tests.integration.cli.test_cli_daemon import node as node  # noqa: PLC0414 - a fixture
from tests.integration.cli.test_cli_standby import fetch
from tests.looking import until

LEFT_BEHIND = f"""
INSERT INTO quarantine (mark, source, stream, seq, resting, phase, message, payload, traceback, at) VALUES
    ('a', 'risk_calculator', 'journal:{CHAIN}', 1, 0, 'fold', 'JournalEntry', NULL, 'Boom: over 1', now()),
    ('b', 'risk_calculator', 'prices', 1, 0, 'fold', 'Price', NULL, 'Boom', now()),
    ('c', 'margin_requests', NULL, NULL, NULL, NULL, 'MarginOf', 'acme-1', 'Boom', now())"""
CURSOR = f"SELECT position > 0 FROM cursors WHERE stream = 'journal:{CHAIN}'"


@pytest.fixture
def config(open_directory: Path, postgres_dsn: str, node: str) -> Path:
    asyncio.run(_execute(postgres_dsn, LEFT_BEHIND))
    return config_for(open_directory, node, postgres_dsn)


@pytest.fixture
def process(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    with daemon(config) as running:
        yield running


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        connection.terminate()


def told(config: Path, *words: str) -> str:
    done = run("deadletters", *words, "--config", config)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(config: Path) -> tuple[int, str]:
    done = run("status", "--config", config)
    return done.returncode, done.stdout


@pytest.mark.usefixtures("process")
def test_an_operator_sees_what_is_held_and_decides(config: Path, postgres_dsn: str) -> None:
    until(lambda: "is held before entry 1" in status(config)[1], "the calculator says so")
    code, text = status(config)
    assert code == DEGRADED
    assert "fusion-daemon deadletters list" in text
    listed = told(config, "list").splitlines()
    assert [line.split()[0] for line in listed[:3]] == ["3", "2", "1"]
    assert f"JournalEntry of journal:{CHAIN}#1 (risk_calculator)" in listed[2]
    assert told(config, "show", "1").endswith("Boom: over 1\n")
    assert fetch(postgres_dsn, CURSOR) == [(False,)]

    assert f"folds journal:{CHAIN} on" in told(config, "replay", "1")
    assert "passed over" in told(config, "discard", "2")
    answer = json.loads(told(config, "replay", "3", "--json"))
    assert (answer["id"], answer["state"]) == (3, "replayed")

    until(lambda: "is held" not in status(config)[1], "nothing is held any more")
    until(lambda: fetch(postgres_dsn, CURSOR) == [(True,)], "the journal is folded on")
    who = f"uid:{os.getuid()}"
    assert fetch(postgres_dsn, "SELECT principal, action, object, outcome FROM audit ORDER BY id") == [
        (who, "deadletter.replay", "1", "done"),
        (who, "deadletter.discard", "2", "done"),
        (who, "deadletter.replay", "3", "done"),
    ]
    assert told(config, "list", "--state", "held").splitlines()[0] == "Nothing is set aside."


@pytest.mark.usefixtures("process")
def test_what_is_not_there_or_decided_is_refused(config: Path) -> None:
    told(config, "discard", "1")
    for words, why in ((("replay", "1"), "already"), (("show", "9"), "number"), (("replay", "2"), "later prices")):
        done = run("deadletters", *words, "--config", config)
        assert done.returncode == FAILED
        assert why in done.stderr.lower()
