"""Rule: what was backed up while the daemon ran is, restored into another server, the same picture; and `db verify`
finds whatever breaks one of the promises that it names.

daemon on A  ═══ play ══ backup ══ play on ══╳
server B                              restore, verify, daemon ═══ the same accounts, nobody is told twice
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.crosschain import Networks, Rules, Terms
from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.child import DaemonChild
from fusion_daemon.demo.scenario import await_margin, move_price
from fusion_daemon.demo.stage import Stage
from fusion_daemon.store import EmbeddedPostgres, running_postgres
from fusion_daemon.verification import verify_database
from tests.e2e.witness import await_caught_up

BREAKS = (
    ("DELETE FROM prices WHERE seq = 2", "stream prices"),
    ("DELETE FROM chain_journal WHERE chain_id = 31337 AND seq = 3", "stream journal:31337"),
    ("UPDATE cursors SET position = position + 1000 WHERE stream = 'prices'", "cursors"),
    ("UPDATE positions SET amount = amount + 1 WHERE chain_id = 31338", "positions of chain 31338"),
    ("DELETE FROM chain_logs WHERE chain_id = 31337 AND name = 'CollateralDeposited'", "positions of chain 31337"),
    ("DELETE FROM chain_blocks WHERE chain_id = 31337 AND number = 4", "blocks of chain 31337"),
    ("DELETE FROM alerts WHERE number = (SELECT max(number) FROM alerts)", "margin events"),
    ("DELETE FROM deliveries WHERE alert_number = (SELECT max(alert_number) FROM deliveries)", "alerts"),
    ("DELETE FROM delivery_attempts WHERE alert_number = 1", "delivery attempts"),
    ("DROP TABLE prices_p1", "partitions of prices"),
    ("DROP TABLE deliveries_p1", "partitions of deliveries"),
    ("UPDATE schema_migrations SET checksum = 'x' WHERE version = 10", "schema"),
)


@pytest.fixture
def other_server() -> Iterator[EmbeddedPostgres]:
    directory = Path(tempfile.mkdtemp(prefix="fusion-prime-restored-"))
    try:
        with running_postgres(directory, durable=False) as server:
            yield server
    finally:
        shutil.rmtree(directory)


def data_command(stage: Stage, config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "fusion_daemon", "db", *words, "--config", str(config)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=stage.directory)


def picture(daemon: DaemonChild, stage: Stage) -> dict[str, object]:
    """What does not move while time passes: interest does."""
    found: dict[str, object] = {}
    for player in stage.players:
        status, report = daemon.get(f"/v1/accounts/{player.id}/margin")
        assert status == 200
        assert isinstance(report, dict)
        found[player.id] = (report["state"], report["figures"]["collateral_usd"])
    return found


async def broken(server: EmbeddedPostgres, statement: str) -> set[str]:
    """The subjects that `db verify` finds wrong after the statement, in a copy of the database."""
    administration = await asyncpg.connect(server.dsn.replace("/fusion_prime?", "/postgres?"))
    try:
        await administration.execute("CREATE DATABASE broken TEMPLATE fusion_prime")
        dsn = server.dsn.replace("/fusion_prime?", "/broken?")
        connection = await asyncpg.connect(dsn)
        await connection.execute(statement)
        await connection.close()
        findings = await verify_database(dsn, Rules(Networks([]), Terms()))
        await administration.execute("DROP DATABASE broken WITH (FORCE)")
    finally:
        await administration.close()
    return {finding.subject for finding in findings if finding.failed}


def test_a_backup_of_a_running_daemon_is_its_picture_elsewhere(stage: Stage, other_server: EmbeddedPostgres) -> None:
    cast = players(8)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    await_margin(stage, cast, "collateral_usd")
    stage.borrow(cast)
    await_margin(stage, cast, "health_factor")
    move_price(stage, 1_500)
    await_caught_up(stage)
    before = picture(stage.daemon, stage)
    backed_up = data_command(stage, stage.config, "backup", str(stage.directory / "taken.dump"))
    assert backed_up.returncode == 0, backed_up.stderr
    verified = data_command(stage, stage.config, "verify")
    assert (verified.returncode, "FAILED" in verified.stdout) == (0, False), verified.stdout
    refused = data_command(stage, stage.config, "restore", "taken.dump")
    assert (refused.returncode, "Another fusion-daemon works on this database" in refused.stderr) == (1, True)
    assert stage.daemon.stop() == 0

    arrived = len(stage.receiver.arrivals())
    config = stage.directory / "restored.toml"
    config.write_text(stage.config.read_text().replace(stage.dsn, other_server.dsn))
    restored = data_command(stage, config, "restore", "taken.dump")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    token = (stage.directory / "secrets" / "demo-token").read_text()
    port = int(stage.daemon.url.rpartition(":")[2])
    daemon = DaemonChild(config, stage.directory / "restored.log", port, token)
    try:
        daemon.start()
        assert picture(daemon, stage) == before
        assert daemon.stop() == 0
    finally:
        daemon.kill()
        print((stage.directory / "restored.log").read_text()[-8_000:])
    assert len(stage.receiver.arrivals()) == arrived, "nobody is told again"
    again = data_command(stage, config, "restore", "taken.dump")
    assert (again.returncode, "The database is not empty" in again.stderr) == (1, True)

    for statement, subject in BREAKS:
        assert subject in asyncio.run(broken(other_server, statement)), statement
