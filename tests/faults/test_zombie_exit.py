"""Rule: whoever would not stop is left behind: told with its stacks, and by the exit code; the others stop in order.

retention_keeper  in a thread that never returns ──▶ drain, cancel, zombie
oracle_poller     does not look up               ──▶ drain, cancel
the others        at rest                        ──▶ drain
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.demo.child import free_port
from fusion_daemon.stopping import ZOMBIES
from tests.looking import until

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 15.0
TAKE_LEASE = """
INSERT INTO leases (term, instance, configuration, lease_seconds, taken, backend_pid, backend_start)
SELECT term + 1, 'another', configuration, lease_seconds, 'told', backend_pid, backend_start FROM leases
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    # Not tmp_path: as root, Postgres runs under another account, which may not enter pytest's directories.
    with tempfile.TemporaryDirectory(prefix="fusion-prime-zombie-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@contextmanager
def stubborn_daemon(directory: Path, dsn: str) -> Iterator[subprocess.Popen[bytes]]:
    """It has told `ready`."""
    (directory / "state").mkdir(mode=0o711)
    config, log = directory / "config.toml", directory / "log"
    config.write_text(
        f'[daemon]\nstate_directory = "{directory / "state"}"\n[database]\ndsn = "{dsn}"\nlease_seconds = 2\n'
        f'[http]\nport = {free_port()}\nmetrics_port = 0\n[logging]\nstyle = "json"\n'
        '[[chains]]\nid = 1\nname = "dead"\nrpc_urls = ["http://127.0.0.1:1"]\nstart_block = 0\n'
    )
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.stubborn_daemon", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    try:
        until(lambda: process.poll() is not None or bool(events(log, "ready")), "ready in the log")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def events(log: Path, name: str) -> list[dict[str, object]]:
    lines = [line for line in log.read_text().split("\n")[:-1] if line.startswith("{")]
    return [told for line in lines if (told := json.loads(line))["event"] == name]


def test_a_zombie_ends_the_process_with_its_stacks(directory: Path, postgres_dsn: str) -> None:
    log = directory / "log"
    with stubborn_daemon(directory, postgres_dsn) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == ZOMBIES == 4, log.read_text()
    (stop,) = events(log, "actors_stopped")
    departures = stop["departures"]
    assert isinstance(departures, list)
    told = [(each["actor"], each["how"], each.get("reason", "")) for each in departures]
    assert told == [
        ("retention_keeper", "zombie", "SIGTERM; not drained within 0.1 s"),
        ("transaction_sender", "drained", ""),
        ("oracle_poller", "cancelled", "SIGTERM; not drained within 0.1 s"),
        *((each["actor"], "drained", "") for each in departures[3:]),
    ]
    assert {"chain_listener:1", "risk_calculator", "alert_dispatcher"} <= {actor for actor, _, _ in told}
    (left,) = events(log, "zombies_left_behind")
    assert isinstance(left["zombies"], list)
    (zombie,) = left["zombies"]
    assert (zombie["actor"], zombie["life"]) == ("retention_keeper", 1)
    assert zombie["age"] >= 0.4
    for where in (departures[0]["whereabouts"], zombie["whereabouts"]):
        assert any(each.startswith("stubborn_daemon.py:") and each.endswith(" run") for each in where)
    text = log.read_text()
    assert "hold_on" in text[text.index('"zombies_left_behind"') :], "the thread in which it hangs, with its stack"


def test_what_the_daemon_would_have_ended_with_is_told_as_well(directory: Path, postgres_dsn: str) -> None:
    """Its lease is taken from it: that is an error of its own, which a zombie must not hide. Nobody may drain then."""
    log = directory / "log"
    with stubborn_daemon(directory, postgres_dsn) as process:
        take_lease(postgres_dsn)
        assert process.wait(STOP_SECONDS) == ZOMBIES, log.read_text()
    (stop,) = events(log, "actors_stopped")
    departures = stop["departures"]
    assert isinstance(departures, list)
    assert [each["how"] for each in departures] == ["zombie", *["cancelled"] * (len(departures) - 1)]
    assert {each["reason"] for each in departures} == {"the run was cancelled"}
    (left,) = events(log, "zombies_left_behind")
    assert "Another daemon has taken over this database" in str(left["exception"])


def take_lease(dsn: str) -> None:
    """A newer term, as another daemon begins it."""

    async def begin() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(TAKE_LEASE)
        finally:
            await connection.close()

    asyncio.run(begin())
