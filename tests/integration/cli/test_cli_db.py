"""Rule: `db` works on the embedded Postgres whether a daemon runs it or not; a restore never beside a daemon."""

from __future__ import annotations

import json
from pathlib import Path

from fusion_daemon.store import running_postgres
from tests.integration.cli.processes import run

CONFIG = """
[daemon]
state_directory = "{state}"

[[chains]]
id = 1
name = "one"
rpc_urls = ["http://127.0.0.1:9"]
"""


def configured(directory: Path, name: str) -> Path:
    path = directory / f"{name}.toml"
    path.write_text(CONFIG.format(state=directory / name))
    return path


def test_the_embedded_database_is_backed_up_at_rest_and_running_and_restored_elsewhere(open_directory: Path) -> None:
    first, second = configured(open_directory, "first"), configured(open_directory, "second")
    assert run("migrate", "--config", first).returncode == 0
    at_rest = run("db", "backup", open_directory / "rest.dump", "--config", first)
    assert at_rest.returncode == 0, at_rest.stderr
    with running_postgres(open_directory / "first", durable=False):
        running = run("db", "backup", open_directory / "run.dump", "--config", first)
        assert running.returncode == 0, running.stderr
        verified = run("db", "verify", "--config", first, "--json")
        assert verified.returncode == 0, verified.stdout
        assert not any(finding["failed"] for finding in json.loads(verified.stdout)["findings"])
        refused = run("db", "restore", open_directory / "run.dump", "--config", first)
        assert (refused.returncode, "is in use by another process" in refused.stderr) == (1, True)
    restored = run("db", "restore", open_directory / "run.dump", "--config", second)
    assert (restored.returncode, "FAILED" in restored.stdout) == (0, False), restored.stderr


def test_what_cannot_be_done_is_said_in_words(open_directory: Path) -> None:
    config = configured(open_directory, "first")
    for words in (("verify",), ("backup", open_directory / "x.dump")):
        absent = run("db", *words, "--config", config)
        assert (absent.returncode, "There is no database in the state directory" in absent.stderr) == (1, True)
    assert not (open_directory / "first").exists(), "one that is made here might not be the daemon's"
    with running_postgres(open_directory / "first", durable=False):
        nothing = run("db", "verify", "--config", config)
        assert (nothing.returncode, "Run `fusion-daemon migrate` first" in nothing.stdout) == (1, True)
        empty = run("db", "backup", open_directory / "x.dump", "--config", config)
        assert (empty.returncode, "The database has no schema" in empty.stderr) == (1, True)
    missing = run("db", "restore", open_directory / "x.dump", "--config", config)
    assert (missing.returncode, "not a whole backup" in missing.stderr) == (1, True)
