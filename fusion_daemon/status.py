"""`fusion-daemon status` and `takeover`: ask the running daemon over its admin port, or tell it."""

from __future__ import annotations

import http.client
import socket
from http import HTTPStatus
from pathlib import Path

import msgspec

from fusion_daemon.config import Config
from fusion_daemon.domain.failure import Failure
from fusion_daemon.settings import admin_http

_TIMEOUT = 5.0
TAKEOVER_PATIENCE = 30.0
_LIMPING = "degraded"


class DaemonNotReached(Failure):
    """Nobody answers on the admin port."""


class ComponentStatus(msgspec.Struct, frozen=True):
    name: str
    ready: bool
    state: str
    since: str
    restarts: int
    reason: str | None = None


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    components: tuple[ComponentStatus, ...]

    @property
    def well(self) -> bool:
        """Ready, and no component is limping: a chain whose endpoints are down leaves the daemon ready for the rest."""
        return self.ready and not any(each.state == _LIMPING for each in self.components)

    @property
    def stands_by(self) -> bool:
        """Another daemon holds the lease, and this one could take over now."""
        return any((each.name, each.state) == ("lease", "standby") for each in self.components)


class Takeover(msgspec.Struct, frozen=True):
    instance: str
    term: int


class TakeoverRefused(Failure):
    """The daemon did not take the lease."""


def take_over(config: Config) -> Takeover:
    """Tell the standby that this configuration describes to take the lease now; over the unix socket, where the
    caller's user id says who asks. Blocks. Raises DaemonNotReached, TakeoverRefused."""
    path = admin_http(config).socket
    assert path is not None  # every daemon has one
    connection = _UnixConnection(path, TAKEOVER_PATIENCE)
    try:
        connection.request("POST", "/v1/lease/takeover", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status == HTTPStatus.OK:
            return msgspec.json.decode(body, type=Takeover)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise _not_reached(str(path), error) from error
    finally:
        connection.close()
    raise TakeoverRefused(
        f"The daemon did not take over ({answer.status}: {body.decode(errors='replace')[:300]}).",
        "Whoever held the lease may hold it still.",
        "See `fusion-daemon status`, and the daemon's log.",
    )


def takeover_text(done: Takeover, *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(done).decode()
    return f"{done.instance} holds the lease (term {done.term})."


def read_status(config: Config) -> Readiness:
    """Over TCP, or over the unix socket when the configuration lets the system choose the port (0). Blocks;
    no step of it for more than five seconds. Raises DaemonNotReached."""
    where, connection = _door(config)
    try:
        connection.request("GET", "/-/ready")
        return msgspec.json.decode(connection.getresponse().read(), type=Readiness)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise _not_reached(where, error) from error
    finally:
        connection.close()


def _not_reached(where: str, error: Exception) -> DaemonNotReached:
    return DaemonNotReached(
        f"Nothing that speaks our protocol answers on {where} ({type(error).__name__}).",
        "The daemon is not running, or listens elsewhere.",
        "See `systemctl status fusion-daemon`, and [http] port in the configuration.",
    )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _door(config: Config) -> tuple[str, http.client.HTTPConnection]:
    settings = admin_http(config)
    if config.http.port == 0 and settings.socket is not None:
        return str(settings.socket), _UnixConnection(settings.socket, _TIMEOUT)
    where = f"{config.http.host}:{config.http.port}"
    return where, http.client.HTTPConnection(config.http.host, config.http.port, timeout=_TIMEOUT)


def print_status(status: Readiness, *, as_json: bool) -> None:
    """A table, or one JSON object, on standard output."""
    if as_json:
        print(msgspec.json.encode(status).decode())
        return
    from rich.console import Console
    from rich.table import Table

    title = "ready" if status.well else "ready, but DEGRADED" if status.ready else "NOT READY"
    title = "standby" if status.stands_by else title
    table = Table(title=title, title_justify="left")
    for heading in ("component", "state", "since", "restarts", "why"):
        table.add_column(heading)
    for each in status.components:
        style = "red" if not (each.ready or status.stands_by) else "yellow" if each.state == _LIMPING else ""
        table.add_row(each.name, each.state, each.since, str(each.restarts), each.reason or "", style=style)
    Console().print(table)
