"""What commands ask of the running daemon: one request over its unix socket, where the caller's user id says who
asks. Everything here blocks."""

from __future__ import annotations

import http.client
import socket
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import msgspec

from fusion_daemon.config import Config
from fusion_daemon.domain.failure import Failure
from fusion_daemon.settings import admin_http

PATIENCE = 15.0
"""Seconds without a byte, for what the daemon answers at once; more than it gives any actor to obey."""

T = TypeVar("T")


class DaemonNotReached(Failure):
    """Nobody answers where the daemon should listen."""


@dataclass(eq=False)
class Refused(Failure):
    """The daemon answered, and did not do it."""

    status: int
    """Of HTTP: 404 unknown, 409 and 422 not possible, 401 and 403 not allowed, 503 not now."""
    code: str
    """Of the problem: stable, kebab-case."""


class _Problem(msgspec.Struct):
    """RFC 9457, as the daemon writes it."""

    code: str
    detail: str
    request_id: str
    remedy: str | None = None


def call(
    config: Config, method: str, path: str, body: object | None, reply_type: type[T], patience: float = PATIENCE
) -> T:
    """The daemon's answer as `reply_type`, whatever success it is.

    `path` with its query, its parts as `segment` makes them; `body` (JSON) or None for none. No step takes more than
    `patience` seconds. Raises DaemonNotReached, also for an answer that is none of ours, and Refused.
    """
    socket_path = admin_http(config).socket
    assert socket_path is not None  # every daemon has one
    payload = None if body is None else msgspec.json.encode(body)
    headers = {} if payload is None else {"Content-Type": "application/json"}
    connection = UnixConnection(socket_path, patience)
    try:
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status < HTTPStatus.BAD_REQUEST:
            return msgspec.json.decode(text, type=reply_type)
        problem = msgspec.json.decode(text, type=_Problem)
    except TimeoutError as error:
        raise _silent(socket_path, patience) from error
    except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
        raise not_reached(str(socket_path), error) from error
    finally:
        connection.close()
    raise _refused(answer.status, problem)


def segment(name: str) -> str:
    """One part of a path, or one value of a query, whatever it holds."""
    return quote(name, safe="")


def not_reached(where: str, error: Exception) -> DaemonNotReached:
    if isinstance(error, PermissionError):
        return DaemonNotReached(
            f"{where} may not be opened by this user.",
            "Nothing was asked of the daemon.",
            "Ask as root, or as the user under which the daemon runs.",
        )
    return DaemonNotReached(
        f"Nothing that speaks our protocol answers on {where} ({type(error).__name__}).",
        "The daemon is not running, or listens elsewhere.",
        "See `systemctl status fusion-daemon`, and state_directory, [http] port and socket in the configuration.",
    )


def _silent(where: Path, patience: float) -> DaemonNotReached:
    return DaemonNotReached(
        f"Whoever listens on {where} did not answer within {patience:g} s.",
        "Nobody knows whether the daemon did what it was told.",
        "See `fusion-daemon status` and the daemon's log before you ask again. An order needs the database, "
        "SIGTERM does not.",
    )


def _refused(status: int, problem: _Problem) -> Refused:
    means = f"The daemon refused ({status} {problem.code})."
    return Refused(problem.detail, means, problem.remedy or _remedy(status, problem), status, problem.code)


def _remedy(status: int, problem: _Problem) -> str:
    """For a refusal that names none."""
    if problem.code == "not-found":
        return "A standby serves almost nothing, see `fusion-daemon status`; else this daemon is another version."
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return "Nothing was done; correct what was asked."
    return f"The daemon's log may say more, under the request {problem.request_id}."


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
