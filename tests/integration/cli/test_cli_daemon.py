"""Rule: the daemon as an operator meets it: it starts, says how it is, lets no second one in, and ends when told."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fusion_daemon.cli import CONFIGURATION, DEGRADED, FAILED, STANDBY
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.child import free_port
from tests.integration.cli.processes import INTERRUPTED, descendants, interrupt, left_of, run, started
from tests.looking import until

STOP_SECONDS = 10.0
CHAIN = 31337
DEAD = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    with anvil(CHAIN, options=("--block-time", "1")) as running:  # else its last block is old before the last test
        yield running.url


def write_config(directory: Path, rpc: str, dsn: str | None, port: int) -> Path:
    path = directory / "config.toml"
    database = "" if dsn is None else f'[database]\ndsn = "{dsn}"\n'
    path.write_text(
        f'[daemon]\nstate_directory = "{directory / "state"}"\n{database}'
        f'[http]\nport = {port}\nmetrics_port = 0\n[logging]\nstyle = "json"\n'
        f'[[chains]]\nid = {CHAIN}\nname = "local"\nrpc_urls = ["{rpc}"]\nstart_block = 0\npoll_max_seconds = 0.5\n'
    )
    return path


def config_for(directory: Path, rpc: str, dsn: str | None) -> Path:
    (directory / "state").mkdir(mode=0o711, exist_ok=True)
    return write_config(directory, rpc, dsn, free_port())


@contextmanager
def daemon(config: Path, wait: str = "ready") -> Iterator[subprocess.Popen[bytes]]:
    """`run` that has logged the event; its log is beside the configuration."""
    log = config.with_name("log")
    with started("run", "--config", config, log=log) as process:
        until(lambda: process.poll() is not None or event(log, wait) is not None, f"{wait} in the log")
        assert process.poll() is None, log.read_text()
        yield process


def event(log: Path, name: str) -> dict[str, object] | None:
    for line in log.read_text().splitlines(keepends=True):
        if line.endswith("\n") and (told := json.loads(line))["event"] == name:
            assert isinstance(told, dict)
            return told
    return None


def test_run_without_a_configuration_says_what_to_do() -> None:
    done = run("run")
    assert done.returncode == CONFIGURATION
    assert "--config config.toml" in done.stderr
    assert "fusion-daemon demo" in done.stderr


def test_run_refuses_a_key_that_could_not_sign(open_directory: Path, empty_postgres_dsn: str) -> None:
    config = config_for(open_directory, DEAD, empty_postgres_dsn)
    secrets = open_directory / "secrets"
    secrets.mkdir()
    (secrets / "desk-key").write_text("hello-there")
    config.write_text(
        config.read_text() + f'[secrets]\ndirectory = "{secrets}"\n'
        '[[alerting.receivers]]\nname = "desk"\nchannel = "webhook"\n'
        f'target = "{DEAD}"\nsecret = "desk-key"\n'
    )
    done = run("run", "--config", config)
    assert done.returncode == CONFIGURATION, done.stderr
    assert "The signing key desk-key of the receiver desk is malformed." in done.stderr
    assert "hello-there" not in done.stderr


def test_migrate_applies_once_and_then_has_nothing_to_do(open_directory: Path, empty_postgres_dsn: str) -> None:
    config = config_for(open_directory, DEAD, empty_postgres_dsn)
    first = run("migrate", "--config", config)
    assert first.returncode == 0, first.stderr
    database, *applied = first.stdout.splitlines()
    assert database == f"database: {empty_postgres_dsn}"
    assert len(applied) > 3
    assert all(re.fullmatch(r"applied \d{4}_\w+\.sql", line) for line in applied)
    second = run("migrate", "--config", config)
    assert (second.returncode, second.stdout) == (0, f"{database}\nThe schema is up to date.\n")


def test_run_names_every_missing_secret(open_directory: Path, empty_postgres_dsn: str) -> None:
    config = config_for(open_directory, "http://127.0.0.1:1/{key-a}/{key-b}", empty_postgres_dsn)
    config.write_text(f'{config.read_text()}[secrets]\ndirectory = "{open_directory}"\n')
    done = run("run", "--config", config)
    assert done.returncode == CONFIGURATION
    for name in ("key-a", "key-b"):
        assert f"The secret {name} cannot be read" in done.stderr
        assert f"{open_directory}/{name}" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_of_a_check_that_hangs_ends_it_quietly(open_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        config = config_for(open_directory, f"http://127.0.0.1:{port}", None)
        log = open_directory / "log"
        with started("check", "--config", config, log=log) as process:
            with silent.accept()[0] as asker:
                asker.recv(1)  # it has asked, and gets no answer
                interrupt(process)
                assert process.wait(STOP_SECONDS) in INTERRUPTED, log.read_text()
    assert "Traceback" not in log.read_text()


def test_migrate_of_a_database_that_is_not_there_says_so(open_directory: Path) -> None:
    done = run("migrate", "--config", config_for(open_directory, DEAD, "postgresql://u@127.0.0.1:1/x"))
    assert done.returncode == FAILED
    assert "could not be reached" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_ends_it_cleanly_and_in_time(
    open_directory: Path, postgres_dsn: str, node: str, stop: signal.Signals
) -> None:
    config = config_for(open_directory, node, postgres_dsn)
    with daemon(config) as process:
        process.send_signal(stop)
        assert process.wait(STOP_SECONDS) == 0
    log = config.with_name("log")
    assert event(log, "stopping") is not None
    assert event(log, "stopped") is not None
    assert not (open_directory / "state" / "admin.sock").exists()


def test_every_line_of_the_log_is_one_object(open_directory: Path, postgres_dsn: str, node: str) -> None:
    config = config_for(open_directory, node, postgres_dsn)
    with daemon(config) as process:
        process.terminate()
        process.wait(STOP_SECONDS)
    for line in config.with_name("log").read_text().splitlines():
        told = json.loads(line)
        assert {"event", "level", "timestamp"} <= told.keys()


def test_status_of_a_healthy_daemon(open_directory: Path, postgres_dsn: str, node: str) -> None:
    config = config_for(open_directory, node, postgres_dsn)
    with daemon(config):
        until(lambda: run("status", "--config", config).returncode == 0, "healthy")
        table = run("status", "--config", config).stdout
        assert table.startswith("ready")
        told = json.loads(run("status", "--config", config, "--json").stdout)
    names = {each["name"] for each in told["components"]}
    assert told["ready"] is True
    assert {"aio", "alert_dispatcher", "risk_calculator", "oracle_poller", f"chain_listener:{CHAIN}"} <= names
    assert all(name in table for name in names)


def test_status_names_what_is_degraded_and_exits_so(open_directory: Path, postgres_dsn: str) -> None:
    config = config_for(open_directory, DEAD, postgres_dsn)
    with daemon(config):
        until(lambda: run("status", "--config", config).returncode == DEGRADED, "degraded", patience=10.0)
        table = run("status", "--config", config)
        done = run("status", "--config", config, "--json")
    assert table.stdout.startswith("ready, but DEGRADED")
    assert done.returncode == DEGRADED
    told = json.loads(done.stdout)
    assert told["ready"] is True, "the other chains and what they feed go on"
    (listener,) = (each for each in told["components"] if each["state"] == "degraded")
    assert listener["name"] == f"chain_listener:{CHAIN}"
    assert "127.0.0.1:1" in listener["reason"]


def test_a_chain_whose_last_block_is_old_leaves_the_daemon_ready_and_not_healthy(
    open_directory: Path, postgres_dsn: str
) -> None:
    two_hours_ago = str(int(time.time()) - 7_200)
    with anvil(CHAIN, options=("--timestamp", two_hours_ago)) as old:
        config = config_for(open_directory, old.url, postgres_dsn)
        with daemon(config):
            until(lambda: "limit 120 s" in run("status", "--config", config).stdout, "the age of the chain's data")
            until(lambda: others_are_healthy(config), "their own data are young")
            done = run("status", "--config", config, "--json")
    told = json.loads(done.stdout)
    (listener,) = (each for each in told["components"] if each["name"] == f"chain_listener:{CHAIN}")
    assert (done.returncode, told["ready"], listener["ready"], listener["healthy"]) == (DEGRADED, True, True, False)
    assert 7_200 <= listener["data_age"] < 7_300


def others_are_healthy(config: Path) -> bool:
    """All but the chain's listener."""
    components = json.loads(run("status", "--config", config, "--json").stdout)["components"]
    return all(each["healthy"] for each in components if each["name"] != f"chain_listener:{CHAIN}")


def test_status_finds_a_daemon_whose_port_the_system_chose(open_directory: Path, postgres_dsn: str, node: str) -> None:
    (open_directory / "state").mkdir(mode=0o711)
    config = write_config(open_directory, node, postgres_dsn, 0)
    with daemon(config):
        until(lambda: run("status", "--config", config).returncode == 0, "found through the unix socket")


def test_status_without_a_daemon_says_where_it_looked(open_directory: Path) -> None:
    config = config_for(open_directory, DEAD, None)
    done = run("status", "--config", config)
    assert done.returncode == FAILED
    assert "127.0.0.1:" in done.stderr
    assert "systemctl status" in done.stderr


def test_status_of_a_stranger_on_the_port_says_so(open_directory: Path) -> None:
    def hang_up(listener: socket.socket) -> None:
        with listener.accept()[0] as caller:
            caller.sendall(b"220 mail.example ESMTP\r\n")

    with socket.create_server(("127.0.0.1", 0)) as stranger:
        threading.Thread(target=hang_up, args=(stranger,)).start()
        done = run("status", "--config", write_config(open_directory, DEAD, None, stranger.getsockname()[1]))
    assert done.returncode == FAILED
    assert "Nothing that speaks our protocol" in done.stderr


def test_a_second_daemon_on_the_same_database_stands_by_until_the_first_ends(
    open_directory: Path, postgres_dsn: str, node: str
) -> None:
    first = config_for(open_directory, node, postgres_dsn)
    other = open_directory / "other"
    other.mkdir(mode=0o755)
    second = config_for(other, node, postgres_dsn)
    with daemon(first) as process, daemon(second, wait="lease"):
        until(lambda: run("status", "--config", second).returncode == STANDBY, "the second stands by")
        table = run("status", "--config", second).stdout
        assert table.startswith("standby")
        assert "holds the lease (term 1)" in " ".join(table.split())
        assert run("status", "--config", first).returncode == 0, "the first one does not notice"
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
        until(lambda: run("status", "--config", second).returncode == 0, "the second is active")
        assert run("takeover", "--config", second).stdout == "fusion-prime holds the lease (term 2).\n"


def test_a_taken_port_is_named(open_directory: Path, postgres_dsn: str, node: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (open_directory / "state").mkdir(mode=0o711)
        done = run("run", "--config", write_config(open_directory, node, postgres_dsn, port))
    assert done.returncode == FAILED
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_the_embedded_postgres_comes_and_goes_with_the_daemon(open_directory: Path, node: str) -> None:
    config = config_for(open_directory, node, None)
    with daemon(config) as process:
        below = descendants(process.pid)
        assert any(each.name == "postgres" for each in below)
        second = run("run", "--config", config)
        assert second.returncode == FAILED
        assert "Traceback" not in second.stderr
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
    assert not left_of(below)
    # The same data serves the next start, and a killed daemon leaves nobody behind.
    with daemon(config) as process:
        below = descendants(process.pid)
        process.kill()
        process.wait()
        until(lambda: not left_of(below), "Postgres follows its parent")
    with daemon(config) as process:
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
