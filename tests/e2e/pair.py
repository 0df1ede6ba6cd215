"""Two daemons on one database: one holds the lease, the other stands by."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from fusion_daemon.demo.child import DaemonChild, free_port
from fusion_daemon.demo.configuration import TOKEN_SECRET
from fusion_daemon.demo.ledger import read
from fusion_daemon.demo.stage import Stage
from fusion_daemon.store import Reader
from tests.looking import until


@dataclass(slots=True)
class Twin:
    daemon: DaemonChild
    config: Path
    log: Path

    def last_ready(self) -> float:
        """Unix seconds: when its log last said so; 0 for never."""
        lines = [line for line in self.log.read_text().split("\n")[:-1] if '"event": "ready"' in line]
        return datetime.fromisoformat(json.loads(lines[-1])["timestamp"]).timestamp() if lines else 0.0

    @property
    def stands_by(self) -> bool:
        return self.lease() == "standby"

    def lease(self) -> str:
        """The word of its readiness for the lease; empty while it does not listen."""
        try:
            _, answer = self.daemon.get("/-/ready")
        except OSError:
            return ""
        assert isinstance(answer, dict)
        return next(str(each["state"]) for each in answer["components"] if each["name"] == "lease")


@dataclass(slots=True)
class Pair:
    """`kill` and `start` are a death and the takeover that follows it; the stage's daemon is whoever is active."""

    stage: Stage
    active: Twin
    standby: Twin
    takeovers: list[float] = field(default_factory=list)
    """Seconds from each death until the survivor was ready, as its log says."""
    _died: float = 0.0

    def open(self) -> None:
        self.active.daemon.start()
        self._launch_standby()

    def kill(self) -> None:
        self._died = time.time()
        self.active.daemon.kill()

    def start(self) -> None:
        self.succeed()
        until(lambda: self.active.last_ready() > self._died, "the survivor's log says ready")
        self.takeovers.append(self.active.last_ready() - self._died)
        self._launch_standby()

    def succeed(self) -> None:
        """Until the standby is active and ready."""
        until(self.standby.daemon.ready, f"taken over; see {self.standby.log}", patience=60.0)
        self.active, self.standby = self.standby, self.active
        self.stage.daemon = self.active.daemon

    def close(self) -> None:
        for twin in (self.active, self.standby):
            twin.daemon.kill()

    def _launch_standby(self) -> None:
        self.standby.daemon.launch()
        until(lambda: self.standby.stands_by, f"stands by; see {self.standby.log}")


def open_pair(stage: Stage, lease_seconds: float) -> Pair:
    """The stage's own daemon and a second one with instance, directory, socket and ports of its own; not started."""
    text = stage.config.read_text()
    text = re.sub(r"^(dsn = .*)$", rf"\1\nlease_seconds = {lease_seconds}", text, flags=re.MULTILINE)
    stage.config.write_text(text)
    token = (stage.directory / "secrets" / TOKEN_SECRET).read_text()
    state = stage.directory / "second"
    state.mkdir(mode=0o700)
    port = free_port()
    for key, value in (
        ("instance", '"second"'),
        ("state_directory", f'"{state}"'),
        ("port", port),
        ("metrics_port", free_port()),
    ):
        text = re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
    config, log = stage.directory / "second.toml", stage.directory / "second.log"
    config.write_text(text)
    first = Twin(stage.daemon, stage.config, stage.directory / "daemon.log")
    return Pair(stage, first, Twin(DaemonChild(config, log, port, token), config, log))


@dataclass(frozen=True, slots=True)
class Term:
    instance: str
    taken: str
    waited_ms: int | None
    """Milliseconds by the database's clock since the last renewal of the term before; None for the first."""


def terms(dsn: str) -> list[Term]:
    async def query(reader: Reader) -> list[Term]:
        rows = await reader.fetch(
            "SELECT instance, taken,"
            " (extract(epoch FROM since - lag(renewed_at) OVER (ORDER BY term)) * 1000)::bigint AS waited_ms"
            " FROM leases ORDER BY term"
        )
        return [Term(row.text("instance"), row.text("taken"), row.optional_integer("waited_ms")) for row in rows]

    return read(dsn, query)
