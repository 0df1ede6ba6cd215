"""Rule: an operator sees the living process and moves it, over its own socket; every move is in the audit trail, under
the user who made it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_daemon.cli import FAILED
from tests.integration.cli.processes import run
from tests.integration.cli.test_cli_daemon import CHAIN, STOP_SECONDS, config_for, daemon, event
from tests.integration.cli.test_cli_daemon import node as node  # noqa: PLC0414 - a fixture
from tests.integration.cli.test_cli_standby import fetch
from tests.looking import until

LISTENER = f"chain_listener:{CHAIN}"
ACTORS = [
    "quarantine_keeper",
    "alert_dispatcher",
    "risk_calculator",
    "message_tracker",
    LISTENER,
    "oracle_poller",
    "transaction_sender",
    "retention_keeper",
]


@pytest.fixture
def config(open_directory: Path, postgres_dsn: str, node: str) -> Path:
    return config_for(open_directory, node, postgres_dsn)


@pytest.fixture
def process(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    with daemon(config) as running:
        yield running


def told(config: Path, *words: str) -> str:
    done = run(*words, "--config", config)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parsed(config: Path, *words: str) -> dict[str, object]:
    answer = json.loads(told(config, *words, "--json"))
    assert isinstance(answer, dict)
    return answer


def row_of(config: Path, actor: str) -> dict[str, object]:
    rows = parsed(config, "ps")["actors"]
    assert isinstance(rows, list)
    return next(row for row in rows if row["name"] == actor)


@pytest.mark.usefixtures("process")
def test_what_an_operator_sees(config: Path) -> None:
    until(lambda: row_of(config, LISTENER)["last_beat"] is not None, "it beats")
    lines = told(config, "ps").splitlines()
    assert [line.split()[0] for line in lines] == ["actor", *ACTORS]
    assert " s ago" in lines[1]

    tree = told(config, "tree").splitlines()
    assert tree[0] == "root  one_for_one, 0 of 5 restarts in 60 s"
    assert tree[1].startswith("├── quarantine  running since ")
    assert tree[2].startswith("│   └── quarantine_keeper  ")
    assert tree[-1].startswith("    └── retention_keeper  ")
    root = parsed(config, "tree")
    assert isinstance(root["children"], list)
    assert [each["below"]["children"][0]["actor"]["name"] for each in root["children"]] == ACTORS

    boxes = told(config, "mailbox")
    assert "mailbox margin_requests: served by risk_calculator; 0 of 64 queued" in boxes
    assert "accepted 0 = handled 0 + dropped 0 + dead 0 + queued 0 + in hand 0" in boxes
    assert f"topic journal:{CHAIN}: head " in boxes
    assert "  risk_calculator at " in boxes
    assert set(parsed(config, "mailbox")) == {"mailboxes", "dead_letters", "topics"}

    assert told(config, "coverage", "--chain", str(CHAIN)).startswith(f"chain {CHAIN}  ")
    assert [each["chain_id"] for each in parsed(config, "coverage")["chains"]] == [CHAIN]  # type: ignore[attr-defined]

    detail = parsed(config, "inspect", "risk_calculator")
    assert isinstance(detail["epoch"], int)
    assert [each["stream"] for each in detail["writes"]] == ["margin_events"]  # type: ignore[attr-defined]
    reads = {each["stream"]: each for each in detail["reads"]}  # type: ignore[attr-defined]
    assert set(reads) == {"prices", "accounts", f"journal:{CHAIN}"}
    assert reads["prices"]["committed"] == 0
    assert [each["name"] for each in detail["mailboxes"]] == ["margin_requests"]  # type: ignore[attr-defined]
    assert any("risk_calculator.py" in frame for frame in detail["whereabouts"])  # type: ignore[attr-defined]
    text = told(config, "inspect", LISTENER)
    assert f"writes journal:{CHAIN}: head " in text
    assert '"blocks": ' in text


@pytest.mark.usefixtures("process")
def test_an_actor_is_held_let_go_and_restarted_and_all_of_it_is_on_record(config: Path, postgres_dsn: str) -> None:
    assert told(config, "pause", LISTENER).startswith(f"{LISTENER} is paused (paused since ")
    assert row_of(config, LISTENER)["state"] == "paused"
    held = parsed(config, "restart", LISTENER)
    assert (held["done"], held["settled"]) == ("restart", True)
    assert row_of(config, LISTENER)["restarts"] == 1
    until(lambda: row_of(config, LISTENER)["state"] == "paused", "the pause outlives the restart")
    assert told(config, "resume", LISTENER).startswith(f"{LISTENER} goes on (running since ")
    rows = fetch(postgres_dsn, "SELECT principal, action, object, outcome FROM audit ORDER BY id")
    who = f"uid:{os.getuid()}"
    assert rows == [
        (who, f"actor.{verb}", LISTENER, outcome)
        for verb in ("pause", "restart", "resume")
        for outcome in ("requested", "done")
    ]


@pytest.mark.usefixtures("process")
def test_a_name_that_nobody_has_is_refused_and_leaves_no_row(config: Path, postgres_dsn: str) -> None:
    for words in (["inspect", "nobody"], ["pause", "nobody"], ["trace", "nobody"], ["pause", "risk"]):
        done = run(*words, "--config", config)
        assert done.returncode == FAILED
        assert f"There is no actor called '{words[1]}'." in done.stderr
        assert "Traceback" not in done.stderr
    assert "There is no topic called 'x'." in run("tap", "x", "--config", config).stderr
    assert fetch(postgres_dsn, "SELECT * FROM audit") == []


@pytest.mark.usefixtures("process")
def test_a_trace_shows_what_an_actor_does_next_and_a_restart_on_the_way(config: Path) -> None:
    path = ["trace", LISTENER, "--count", "2", "--json"]
    events = [json.loads(line) for line in told(config, *path).splitlines()]
    # A beat a second, and what a block brings.
    assert len(events) == 2
    assert {each["kind"] for each in events} <= {"beat", "published"}
    assert told(config, "trace", LISTENER, "--count", "1").rstrip().split("Z ")[1].split()[0] in {"beat", "published"}
    assert told(config, "tap", "prices", "--seconds", "0.5") == "", "nothing is published here"


def test_a_drain_ends_it_as_a_signal_does_and_waits_for_that(
    config: Path, process: subprocess.Popen[bytes], postgres_dsn: str
) -> None:
    assert told(config, "drain") == f"fusion-prime (process {process.pid}) has ended.\n"
    assert process.wait(STOP_SECONDS) == 0
    log = config.with_name("log")
    assert event(log, "stopping") is not None
    assert event(log, "stopped") is not None
    rows = fetch(postgres_dsn, "SELECT action, object, outcome FROM audit ORDER BY id")
    assert rows == [("daemon.drain", "fusion-prime", "requested"), ("daemon.drain", "fusion-prime", "done")]
    for words in (["ps"], ["drain"]):
        done = run(*words, "--config", config)
        assert done.returncode == FAILED
        assert "admin.sock" in done.stderr


def test_a_standby_says_so_and_can_be_drained(config: Path, open_directory: Path, postgres_dsn: str, node: str) -> None:
    other = open_directory / "other"
    other.mkdir(mode=0o755)
    second = config_for(other, node, postgres_dsn)
    with daemon(config) as holder, daemon(second, wait="lease") as standby:
        refused = run("ps", "--config", second)
        assert refused.returncode == FAILED
        assert "A standby serves almost nothing" in refused.stderr
        assert told(second, "drain").endswith(f"(process {standby.pid}) has ended.\n")
        assert standby.wait(STOP_SECONDS) == 0
        assert holder.poll() is None
