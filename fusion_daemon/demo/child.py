"""The daemon as a child process: start it, ask it, kill it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from fusion_daemon.demo.leash import leashed
from fusion_daemon.domain.failure import Failure

_START_PATIENCE = 30.0
_STOP_PATIENCE = 20.0


class DaemonFailed(Failure):
    """The child exited, or never became ready."""


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DaemonChild:
    """`fusion-daemon run` on a configuration; its log goes to a file.

    INVARIANT: the child dies with its parent (`leashed`), so start it from the main thread.
    """

    def __init__(self, config: Path, log: Path, port: int, token: str) -> None:
        self._config = config
        self._log = log
        self._port = port
        self._token = token
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the present process; -1 before the first."""
        return -1 if self._process is None else self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def wait(self) -> int:
        """Until it ends by itself; the exit code."""
        return 0 if self._process is None else self._process.wait()

    def send(self, signum: signal.Signals) -> None:
        """To a daemon that has been started."""
        if self._process is not None:
            self._process.send_signal(signum)

    def ends_within(self, seconds: float) -> bool:
        """Wait for it to end by itself, at most that long."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False  # it runs on, as it should
        return True

    def start(self) -> None:
        """Start it and wait until it is ready. Raises DaemonFailed with the end of its log."""
        self.launch()
        deadline = time.monotonic() + _START_PATIENCE
        while time.monotonic() < deadline:
            if not self.running:
                raise self._failed("exited while starting")
            if self.ready():
                return
            time.sleep(0.02)
        raise self._failed(f"was not ready after {_START_PATIENCE:.0f} s")

    def launch(self) -> None:
        """Start it and return at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                leashed([sys.executable, "-m", "fusion_daemon", "run", "--config", str(self._config)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the owner alone, which stops its children in order
            )

    def ready(self) -> bool:
        try:
            return self.get("/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False  # not listening yet

    def kill(self) -> None:
        """SIGKILL: the daemon gets no chance to tidy up."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM and wait; the exit code."""
        return self._end(signal.SIGTERM)

    def get(self, path: str) -> tuple[int, object]:
        """GET on the admin port: status and parsed JSON. Raises OSError when nobody listens."""
        return self._request("GET", path, None)

    def post(self, path: str, body: object) -> tuple[int, object]:
        return self._request("POST", path, json.dumps(body).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> tuple[int, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            raw = response.read()
            return response.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    def _end(self, signum: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signum)
        try:
            return self._process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise self._failed(f"did not stop within {_STOP_PATIENCE:.0f} s of {signum.name} and was killed") from None

    def _failed(self, what: str) -> DaemonFailed:
        tail = self._log.read_text(errors="replace").splitlines()[-25:]
        return DaemonFailed(f"The daemon {what}.", "Its last words:\n" + "\n".join(tail), f"Read {self._log}.")
