"""Rule: a standby as an operator meets it: it says what it is and whether it could take over, and does as it is told.

The daemons' own processes, with a configuration each; the drama under load is in tests/e2e.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.cli import CONFIGURATION, DEGRADED, FAILED, STANDBY
from tests.integration.cli.processes import run
from tests.integration.cli.test_cli_daemon import DEAD, STOP_SECONDS, config_for, daemon, event
from tests.looking import until


@pytest.fixture
def first(open_directory: Path, postgres_dsn: str) -> Path:
    return named(config_for(open_directory, DEAD, postgres_dsn), "first")


@pytest.fixture
def second(open_directory: Path, postgres_dsn: str) -> Path:
    directory = open_directory / "second"
    directory.mkdir(mode=0o755)
    return named(config_for(directory, DEAD, postgres_dsn), "second")


def named(config: Path, instance: str) -> Path:
    config.write_text(config.read_text().replace("[daemon]\n", f'[daemon]\ninstance = "{instance}"\n'))
    return config


def deciding_otherwise(config: Path) -> Path:
    config.write_text(config.read_text() + "[risk]\nscore_bps = [6000, 3000, 1500]\n")
    return config


def execute(dsn: str, statement: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            connection.terminate()

    asyncio.run(work())


def fetch(dsn: str, query: str) -> list[tuple[object, ...]]:
    async def work() -> list[tuple[object, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            connection.terminate()

    return asyncio.run(work())


def ask(config: Path, path: str, what: str = "admin") -> tuple[int, str]:
    """GET on a port of the daemon that its own log names."""
    listening = event(config.with_name("log"), "listening")
    assert listening is not None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{listening[what]}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def status_of(config: Path) -> int:
    return run("status", "--config", config).returncode


def lease_of(config: Path) -> dict[str, object]:
    components = json.loads(run("status", "--config", config, "--json").stdout)["components"]
    return next(each for each in components if each["name"] == "lease")


def test_a_standby_is_healthy_and_not_ready_and_says_why(first: Path, second: Path) -> None:
    with daemon(first), daemon(second, wait="lease"):
        until(lambda: status_of(second) == STANDBY, "stands by")
        assert (ask(second, "/-/live")[0], ask(second, "/-/healthy")[0]) == (200, 200)
        code, body = ask(second, "/-/ready")
        assert code == 503, "no load balancer sends anybody here"
        (component,) = json.loads(body)["components"]
        assert component["state"] == "standby"
        assert "first holds the lease (term 1)" in component["reason"]
        assert ask(second, "/v1/accounts")[0] == 404, "only the holder serves the rooms"
        scraped = ask(second, "/metrics", "metrics")[1]
        assert 'fusion_lease_role{role="standby"} 1.0' in scraped
        assert "fusion_lease_hindered 0.0" in scraped
        assert "fusion_lease_term 1.0" in scraped
        assert "fusion_actor_running" not in scraped, "at rest, actors must not look like stopped ones"
        assert 'fusion_lease_role{role="active"} 1.0' in ask(first, "/metrics", "metrics")[1]


def test_a_standby_with_another_configuration_says_so_and_waits_to_be_told(
    first: Path, second: Path, postgres_dsn: str
) -> None:
    with daemon(first) as holder, daemon(deciding_otherwise(second), wait="lease") as waiting:
        until(lambda: lease_of(second)["state"] == "hindered", "hindered")
        assert (ask(second, "/-/live")[0], ask(second, "/-/healthy")[0]) == (200, 503)
        assert status_of(second) == DEGRADED
        assert "another configuration than first" in str(lease_of(second)["reason"])
        assert "fusion_lease_other_configuration 1.0" in ask(second, "/metrics", "metrics")[1]
        holder.kill()
        holder.wait()
        # It has seen the free lease once the silence that it reports is longer than a living holder's would be.
        until(lambda: silence(second) > 4.0, "looked again, long after the holder's last renewal")
        assert fetch(postgres_dsn, "SELECT instance FROM leases") == [("first",)]
        told = run("takeover", "--config", second, "--json")
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout) == {"instance": "second", "term": 2}
        until(lambda: lease_of(second)["state"] == "active", "active")
        assert fetch(postgres_dsn, "SELECT instance, taken FROM leases WHERE term = 2") == [("second", "told")]
        audited = fetch(postgres_dsn, "SELECT principal, object, outcome FROM audit ORDER BY id")
        assert [row[1:] for row in audited] == [("second", "requested"), ("second", "done")]
        assert str(audited[0][0]).startswith("uid:")
        waiting.terminate()
        assert waiting.wait(STOP_SECONDS) == 0


def silence(config: Path) -> float:
    (line,) = (
        line
        for line in ask(config, "/metrics", "metrics")[1].splitlines()
        if line.startswith("fusion_lease_silence_seconds ")
    )
    return float(line.split()[1])


def test_a_takeover_ends_the_holder_with_a_reason(first: Path, second: Path, postgres_dsn: str) -> None:
    with daemon(first) as holder, daemon(second, wait="lease"):
        until(lambda: status_of(second) == STANDBY, "stands by")
        assert run("takeover", "--config", second).stdout == "second holds the lease (term 2).\n"
        assert holder.wait(STOP_SECONDS) == FAILED
        assert "Another daemon has taken over this database" in first.with_name("log").read_text()
        assert fetch(postgres_dsn, "SELECT instance, taken FROM leases WHERE term = 2") == [("second", "told")]


def test_a_standby_older_than_the_schema_refuses_and_is_not_restarted(
    first: Path, second: Path, postgres_dsn: str
) -> None:
    # A newer version migrates while this one waits.
    with daemon(first) as holder, daemon(second, wait="lease") as waiting:
        until(lambda: status_of(second) == STANDBY, "stands by")
        execute(postgres_dsn, "INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', now())")
        holder.kill()
        assert waiting.wait(STOP_SECONDS) == CONFIGURATION
    text = second.with_name("log").read_text()
    assert "9999_future.sql, which this program does not know" in text
    assert "Install that version or a newer one" in text
    assert "Traceback" not in text
    assert fetch(postgres_dsn, "SELECT instance FROM leases") == [("first",)]
    started = run("run", "--config", second)
    assert started.returncode == CONFIGURATION, "nor does it start on it"


def test_a_standby_stops_as_it_is_told(first: Path, second: Path) -> None:
    with daemon(first), daemon(second, wait="lease") as waiting:
        until(lambda: status_of(second) == STANDBY, "stands by")
        waiting.terminate()
        assert waiting.wait(STOP_SECONDS) == 0
        assert status_of(first) == DEGRADED, "the holder goes on; its only chain is down"


def test_the_second_on_the_embedded_postgres_is_turned_away(open_directory: Path) -> None:
    config = config_for(open_directory, DEAD, None)
    with daemon(config) as process:
        other = run("run", "--config", config)
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
    assert other.returncode == FAILED
    assert "state directory" in other.stderr.lower()
    assert "Traceback" not in other.stderr
