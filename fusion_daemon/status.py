"""`fusion-daemon status`: ask the running daemon over its admin port."""

from __future__ import annotations

import http.client

import msgspec

from fusion_daemon.config import Config
from fusion_daemon.domain.failure import Failure

_TIMEOUT = 5.0


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


def read_status(config: Config) -> Readiness:
    """Blocks for at most five seconds. Raises DaemonNotReached."""
    where = f"{config.http.host}:{config.http.port}"
    connection = http.client.HTTPConnection(config.http.host, config.http.port, timeout=_TIMEOUT)
    try:
        connection.request("GET", "/-/ready")
        return msgspec.json.decode(connection.getresponse().read(), type=Readiness)
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise DaemonNotReached(
            f"Nothing that speaks our protocol answers on {where} ({type(error).__name__}).",
            "The daemon is not running, or listens elsewhere.",
            "See `systemctl status fusion-daemon`, and [http] port in the configuration.",
        ) from error
    finally:
        connection.close()


def print_status(status: Readiness, *, as_json: bool) -> None:
    """A table, or one JSON object, on standard output."""
    if as_json:
        print(msgspec.json.encode(status).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="ready" if status.ready else "NOT READY", title_justify="left")
    for heading in ("component", "state", "since", "restarts", "why"):
        table.add_column(heading)
    for each in status.components:
        style = "" if each.ready else "red"
        table.add_row(each.name, each.state, each.since, str(each.restarts), each.reason or "", style=style)
    Console().print(table)
