"""Rule: a reload takes the file on as a whole, or leaves everything as it was and says why.

The daemon's own process on a real Postgres; its chains are down, which is no reason not to reload.
"""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from fusion_daemon.cli import CONFIGURATION, FAILED, STANDBY
from tests.integration.cli.processes import run
from tests.integration.cli.test_cli_daemon import CHAIN, DEAD, STOP_SECONDS, config_for, daemon, event
from tests.integration.cli.test_cli_standby import ask, execute, fetch, lease_of, named, status_of
from tests.looking import until

SECOND_CHAIN = f'[[chains]]\nid = {CHAIN + 1}\nname = "second"\nrpc_urls = ["{DEAD}"]\nstart_block = 0\n'
TOKEN, NEXT_TOKEN = "first-token-0123456789abcdefghijklmn", "other-token-0123456789abcdefghijklmn"
SECRETS = '[secrets]\ndirectory = "{}"\n[[http.principals]]\nname = "ops"\ntoken = "ops-token"\n'
UNSTARTABLE = f"""
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room for it'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON streams FOR EACH ROW WHEN (NEW.name LIKE '%{CHAIN + 1}%')
EXECUTE FUNCTION refuse()"""


@pytest.fixture
def config(open_directory: Path, postgres_dsn: str) -> Path:
    return config_for(open_directory, DEAD, postgres_dsn)


def rewrite(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))


def log_of(config: Path) -> str:
    return config.with_name("log").read_text()


def reload(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run("reload", "--config", config, *options)


def metrics(config: Path) -> str:
    return ask(config, "/metrics", "metrics")[1]


def actors(config: Path) -> set[str]:
    return {each["name"] for each in json.loads(ask(config, "/v1/actors")[1])["actors"]}


def chains(config: Path) -> set[int]:
    return {each["chain_id"] for each in json.loads(ask(config, "/v1/chains")[1])["chains"]}


def audited(dsn: str) -> list[str]:
    return [str(row[0]) for row in fetch(dsn, "SELECT outcome FROM audit WHERE action = 'config.reload' ORDER BY id")]


def test_the_log_changes_for_all_who_write_it(config: Path, postgres_dsn: str) -> None:
    with daemon(config):
        rewrite(config, 'style = "json"', 'style = "json"\nlevel = "error"')
        done = reload(config)
        assert (done.returncode, done.stdout) == (0, "update logging: logging.level\nDone: 1 step.\n"), done.stderr
        assert event(config.with_name("log"), "reloaded") is None, "which is below an error"
        rewrite(config, 'level = "error"', 'level = "info"')
        assert reload(config).returncode == 0
        assert event(config.with_name("log"), "reloaded") is not None
        assert reload(config).stdout == "There is nothing to do.\n"
        assert audited(postgres_dsn) == ["requested", "done"] * 3
        assert 'fusion_reloads_total{outcome="done"} 3.0' in metrics(config)


def test_a_dry_run_shows_the_plan_and_changes_nothing(config: Path, postgres_dsn: str) -> None:
    with daemon(config):
        before = metrics_of_reloads(config)
        config.write_text(config.read_text() + SECOND_CHAIN)
        done = reload(config, "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert [(each["action"], each["target"]) for each in told["steps"]] == [
            ("add", f"chain:{CHAIN + 1}"),
            ("restart", "risk"),
            ("restart", "oracle"),
            ("restart", "transactions"),
        ]
        assert f"chain_listener:{CHAIN + 1}" not in actors(config)
        assert metrics_of_reloads(config) == before
        assert audited(postgres_dsn) == []
        rewrite(config, "[daemon]\n", '[daemon]\ninstance = "other"\n')
        done = reload(config, "--dry-run")
        assert done.returncode == FAILED
        assert "refused daemon.instance: only a restart of the daemon changes it\n" in done.stdout


def metrics_of_reloads(config: Path) -> list[str]:
    return [line for line in metrics(config).splitlines() if line.startswith(("fusion_reload", "fusion_configuration"))]


def test_a_chain_comes_and_goes(config: Path) -> None:
    with daemon(config) as process:
        only = config.read_text()
        config.write_text(only + SECOND_CHAIN)
        process.send_signal(signal.SIGHUP)
        until(lambda: chains(config) == {CHAIN, CHAIN + 1}, "the routes know it")
        assert f"chain_listener:{CHAIN + 1}" in actors(config)
        scraped = metrics(config)
        assert f'fusion_topic_lag_entries{{consumer="risk_calculator",stream="journal:{CHAIN + 1}"}} 0.0' in scraped
        assert f'fusion_chain_faults_total{{chain="{CHAIN + 1}"}}' in scraped
        config.write_text(only)
        done = reload(config)
        assert f"remove chain:{CHAIN + 1}" in done.stdout
        assert "what accounts hold and owe there no longer counts" in done.stdout
        assert chains(config) == {CHAIN}
        assert f"chain_listener:{CHAIN + 1}" not in actors(config)
        assert f'"{CHAIN + 1}"' not in metrics(config)
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0


def test_a_bad_file_changes_nothing_and_is_told(config: Path, postgres_dsn: str) -> None:
    with daemon(config) as process:
        good = config.read_text()
        config.write_text(good + "[risk]\nscore_bps = [1, 2, 3]\n")
        done = reload(config)
        assert done.returncode == CONFIGURATION
        assert "limits must fall" in done.stderr
        process.send_signal(signal.SIGHUP)
        until(lambda: event(config.with_name("log"), "reload_failed") is not None, "the log says so")
        until(lambda: audited(postgres_dsn) == ["requested", "failed: ConfigurationInvalid"], "the audit says so")
        assert "fusion_reload_succeeded 0.0" in metrics(config)
        last = json.loads(ask(config, "/v1/reload")[1])
        assert last["succeeded"] is False
        assert "limits must fall" in last["reason"]
        config.write_text(good)
        assert reload(config).stdout == "There is nothing to do.\n"
        assert "fusion_reload_succeeded 1.0" in metrics(config)


def test_what_only_a_restart_changes_is_refused_as_a_whole(config: Path) -> None:
    with daemon(config):
        rewrite(config, "metrics_port = 0", "metrics_port = 1")
        config.write_text(config.read_text() + SECOND_CHAIN)
        done = reload(config)
        assert done.returncode == FAILED
        assert "The configuration changes http.metrics_port." in done.stderr
        assert chains(config) == {CHAIN}


def test_a_step_that_fails_takes_the_others_back(config: Path, postgres_dsn: str) -> None:
    execute(postgres_dsn, UNSTARTABLE)
    with daemon(config):
        before = actors(config)
        rewrite(config, 'style = "json"', 'style = "json"\nlevel = "error"')
        config.write_text(config.read_text() + SECOND_CHAIN + "[retention]\njournal_days = 30\n")
        done = reload(config)
        assert done.returncode == FAILED
        assert f"The step `add chain:{CHAIN + 1}` failed (StartFailed" in done.stderr
        assert "no room for it" in done.stderr
        assert "the old configuration is in force again, as a whole" in done.stderr
        assert actors(config) == before
        assert chains(config) == {CHAIN}
        assert "fusion_reload_succeeded 0.0" in metrics(config)
        assert audited(postgres_dsn) == ["requested", "failed: ReloadFailed"]
        execute(postgres_dsn, "DROP TRIGGER refuse ON streams")
        rewrite(config, '\nlevel = "error"', "")
        assert f"add chain:{CHAIN + 1}" in reload(config).stdout, "the same, once the cause is mended"
        assert event(config.with_name("log"), "reloaded") is not None, "the level was taken back"


def test_a_token_is_rotated(config: Path, open_directory: Path) -> None:
    (open_directory / "ops-token").write_text(TOKEN)
    config.write_text(config.read_text() + SECRETS.format(open_directory))
    with daemon(config):
        assert pausing_by(config, TOKEN) == 200
        (open_directory / "ops-token").write_text(NEXT_TOKEN)
        assert pausing_by(config, NEXT_TOKEN) == 401, "nobody knows it yet"
        assert "update principals: secret ops-token" in reload(config).stdout
        assert pausing_by(config, NEXT_TOKEN) == 200
        assert pausing_by(config, TOKEN) == 401
        assert "token-0123" not in log_of(config)


def pausing_by(config: Path, token: str) -> int:
    """The answer to whoever has that token and wants the poller to be held."""
    listening = event(config.with_name("log"), "listening")
    assert listening is not None
    url = f"http://127.0.0.1:{listening['admin']}/v1/actors/oracle_poller/pause"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, b"{}", headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_who_is_held_is_held_also_after_the_reload(config: Path, open_directory: Path) -> None:
    (open_directory / "ops-token").write_text(TOKEN)
    config.write_text(config.read_text() + SECRETS.format(open_directory))
    with daemon(config):
        assert pausing_by(config, TOKEN) == 200
        until(lambda: state_of(config, "oracle_poller") == "paused", "held")
        config.write_text(config.read_text() + "[oracle]\npoll_seconds = 1.0\n")
        assert "restart oracle: oracle.poll_seconds" in reload(config).stdout
        until(lambda: state_of(config, "oracle_poller") == "paused", "held by the next life's gate")


def state_of(config: Path, actor: str) -> str:
    listed = json.loads(ask(config, "/v1/actors")[1])["actors"]
    return str(next(each["state"] for each in listed if each["name"] == actor))


def test_a_standby_follows_and_takes_over_by_what_it_has_read(open_directory: Path, postgres_dsn: str) -> None:
    """first   reads the file anew ──────────────────────╳ dies
    second  ── hindered: it would decide otherwise ── reads it, too ── takes over, the chain included
    """
    first = named(config_for(open_directory, DEAD, postgres_dsn), "first")
    directory = open_directory / "second"
    directory.mkdir(mode=0o755)
    second = named(config_for(directory, DEAD, postgres_dsn), "second")
    with daemon(first) as holder, daemon(second, wait="lease") as waiting:
        until(lambda: status_of(second) == STANDBY, "stands by")
        for config in (first, second):
            config.write_text(config.read_text() + SECOND_CHAIN)
        assert reload(first).returncode == 0
        until(lambda: lease_of(second)["state"] == "hindered", "it would decide otherwise")
        waiting.send_signal(signal.SIGHUP)
        until(lambda: status_of(second) == STANDBY, "no longer")
        holder.kill()
        until(lambda: event(second.with_name("log"), "ready") is not None, "took over")
        assert chains(second) == {CHAIN, CHAIN + 1}
        assert reload(second).stdout == "There is nothing to do.\n"
        waiting.terminate()
        assert waiting.wait(STOP_SECONDS) == 0
