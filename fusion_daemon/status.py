"""`fusion-daemon status` and `takeover`: ask the running daemon over its admin port, or tell it."""

from __future__ import annotations

import http.client
import shutil
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from fusion_daemon.admin_client import UnixConnection, call, not_reached
from fusion_daemon.config import Config
from fusion_daemon.settings import admin_http

_TIMEOUT = 5.0
TAKEOVER_PATIENCE = 30.0


class ComponentStatus(msgspec.Struct, frozen=True):
    name: str
    ready: bool
    state: str
    since: datetime
    restarts: int
    healthy: bool
    reason: str | None = None
    data_age: float | None = None


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    components: tuple[ComponentStatus, ...]

    @property
    def well(self) -> bool:
        """Ready, and no component is limping: a chain whose endpoints are down leaves the daemon ready for the rest."""
        return self.ready and all(each.healthy for each in self.components)

    @property
    def stands_by(self) -> bool:
        """Another daemon holds the lease, and this one could take over now."""
        return any((each.name, each.state) == ("lease", "standby") for each in self.components)

    @property
    def title(self) -> str:
        if self.stands_by:
            return "standby"
        return "ready" if self.well else "ready, but DEGRADED" if self.ready else "NOT READY"


class Takeover(msgspec.Struct, frozen=True):
    instance: str
    term: int


def take_over(config: Config) -> Takeover:
    """Tell the standby that this configuration describes to take the lease now. Blocks. Raises DaemonNotReached, and
    Refused: then whoever held the lease may hold it still."""
    return call(config, "POST", "/v1/lease/takeover", {}, Takeover, TAKEOVER_PATIENCE)


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
        raise not_reached(where, error) from error
    finally:
        connection.close()


def _door(config: Config) -> tuple[str, http.client.HTTPConnection]:
    settings = admin_http(config)
    if config.http.port == 0 and settings.socket is not None:
        return str(settings.socket), UnixConnection(settings.socket, _TIMEOUT)
    where = f"{config.http.host}:{config.http.port}"
    return where, http.client.HTTPConnection(config.http.host, config.http.port, timeout=_TIMEOUT)


def print_status(status: Readiness, *, as_json: bool) -> None:
    """One line a component and its reason below it, or one JSON object, on standard output."""
    if as_json:
        print(msgspec.json.encode(status).decode())
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    for line, style in status_lines(status, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        console.print(line, style=style)


def status_lines(status: Readiness, width: int | None) -> Iterator[tuple[str, str]]:
    """Lines and their styles. Nothing is ever cut: reasons are folded at `width`, or whole on one line when it is
    None, for `grep`; and no word is split, so that a URL can be copied."""
    yield status.title, "bold"
    names = max((len(each.name) for each in status.components), default=0)
    states = max((len(each.state) for each in status.components), default=0)
    for each in status.components:
        style = "red" if not (each.ready or status.stands_by) else "" if each.healthy else "yellow"
        since = each.since.astimezone(UTC)
        restarts = f", {each.restarts} restart{'s' * (each.restarts != 1)}" if each.restarts else ""
        age = "" if each.data_age is None else f", data {each.data_age:.0f} s old"
        yield f"  {each.name:<{names}}  {each.state:<{states}}  since {since:%Y-%m-%d %H:%M:%SZ}{age}{restarts}", style
        for line in _folded(each.reason or "", width):
            yield f"    {line}", style


def _folded(reason: str, width: int | None) -> list[str]:
    lines = reason.splitlines()
    if width is None:
        return [" ".join(lines)] if lines else []
    fold = textwrap.TextWrapper(max(width - 4, 20), break_long_words=False, break_on_hyphens=False)
    return [part for line in lines for part in fold.wrap(line)]
