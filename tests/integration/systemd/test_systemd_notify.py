"""Rule: the daemon tells its service manager the truth: READY when it is, WATCHDOG while it moves, STOPPING."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 20.0
WATCHDOG_SECONDS = 0.9
BEATS = 6
CHAIN = """
[[chains]]
id = 31337
name = "local"
rpc_urls = ["http://127.0.0.1:1"]
start_block = 0
"""


class Manager:
    """The service manager's side of sd_notify: a datagram socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE)
        self.address = str(path)

    def receive(self) -> list[str]:
        """The assignments of the next datagram. Raises TimeoutError."""
        return self._socket.recv(65536).decode().splitlines()

    def receive_until(self, assignment: str) -> list[list[str]]:
        """Every datagram up to the one that holds the assignment."""
        told = [self.receive()]
        while assignment not in told[-1]:
            told.append(self.receive())
        return told

    def rest(self) -> list[list[str]]:
        self._socket.setblocking(False)
        told = []
        while True:
            try:
                told.append(self.receive())
            except BlockingIOError:
                return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    # Short, for the socket's path, and open to the account that Postgres runs under.
    path = Path(tempfile.mkdtemp(prefix="fp-notify-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def manager(directory: Path) -> Iterator[Manager]:
    manager = Manager(directory / "notify")
    yield manager
    manager.close()


@contextmanager
def daemon(directory: Path, manager: Manager, dsn: str) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "state").mkdir(mode=0o700)
    config = directory / "config.toml"
    config.write_text(
        f'[daemon]\nstate_directory = "{directory / "state"}"\n[database]\ndsn = "{dsn}"\n'
        f'[http]\nport = 0\nmetrics_port = 0\n[logging]\nstyle = "json"\n{CHAIN}'
    )
    told = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * 1e6))}
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fusion_daemon", "run", "--config", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | told,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def test_a_whole_life_is_told(directory: Path, manager: Manager, postgres_dsn: str) -> None:
    with daemon(directory, manager, postgres_dsn) as process:
        before = manager.receive_until("READY=1")
        log = (directory / "log").read_text()
        # READY is the first word of substance, and true when said: every actor has started, the ports are open.
        assert not [told for told in before[:-1] if "WATCHDOG=1" in told or "STOPPING=1" in told]
        assert '"listening"' in log
        for actor in ("alert_dispatcher", "risk_calculator", "chain_listener:31337", "oracle_poller"):
            assert f'"actor": "{actor}"' in log
        assert (directory / "state" / "admin.sock").is_socket()

        last = time.monotonic()
        for _ in range(BEATS):
            assert manager.receive() == ["WATCHDOG=1"]
            now = time.monotonic()
            assert now - last < WATCHDOG_SECONDS, "a gap as long as this and systemd would have killed it"
            last = now

        process.send_signal(signal.SIGTERM)
        stopping = manager.receive_until("STOPPING=1")[-1]
        assert any(each.startswith("STATUS=") for each in stopping)
        assert process.wait(PATIENCE) == 0
        rest = [assignment for told in manager.rest() for assignment in told]
        assert any(each.startswith("EXTEND_TIMEOUT_USEC=") for each in [*stopping, *rest])
        assert "READY=1" not in rest


def test_a_reload_begins_and_ends_and_the_status_is_as_before(
    directory: Path, manager: Manager, postgres_dsn: str
) -> None:
    with daemon(directory, manager, postgres_dsn) as process:
        manager.receive_until("READY=1")
        before = time.monotonic_ns() // 1000
        process.send_signal(signal.SIGHUP)
        reloading = manager.receive_until("RELOADING=1")[-1]
        (stamp,) = (each.partition("=")[2] for each in reloading if each.startswith("MONOTONIC_USEC="))
        assert before <= int(stamp) <= time.monotonic_ns() // 1000
        assert "STATUS=running" in manager.receive_until("READY=1")[-1]


def test_a_standby_is_ready_and_alive_and_says_what_it_is(
    directory: Path, manager: Manager, postgres_dsn: str
) -> None:
    active = Path(tempfile.mkdtemp(prefix="fp-active-", dir=directory))
    active.chmod(0o755)
    ignored = Manager(active / "notify")
    try:
        with daemon(active, ignored, postgres_dsn) as first:
            ignored.receive_until("READY=1")
            with daemon(directory, manager, postgres_dsn) as second:
                ready = manager.receive_until("READY=1")[-1]
                assert "STATUS=standby of fusion-prime" in ready
                for _ in range(2):
                    assert manager.receive() == ["WATCHDOG=1"]
                first.kill()
                promoted = manager.receive_until("STATUS=running")
                assert "WATCHDOG=1" in promoted[0] or "READY=1" in promoted[0]
                second.send_signal(signal.SIGTERM)
                manager.receive_until("STOPPING=1")
                assert second.wait(PATIENCE) == 0
    finally:
        ignored.close()


def test_a_daemon_that_stands_still_does_not_feed_the_watchdog(
    directory: Path, manager: Manager, postgres_dsn: str
) -> None:
    with daemon(directory, manager, postgres_dsn) as process:
        manager.receive_until("WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        manager.rest()
        manager._socket.settimeout(WATCHDOG_SECONDS)
        with pytest.raises(TimeoutError):
            manager.receive()


def test_a_daemon_that_cannot_start_never_says_ready(directory: Path, manager: Manager) -> None:
    with daemon(directory, manager, "postgresql://u@127.0.0.1:1/x") as process:
        assert process.wait(PATIENCE) == 1
    assert not [told for told in manager.rest() if "READY=1" in told]
