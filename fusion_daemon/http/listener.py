"""Listening sockets, made so that nobody gets in between: loopback TCP and a unix socket of mode 0660."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import struct
from pathlib import Path

from fusion_daemon.domain.failure import Failure

UNIX_PATH_LIMIT = 107
"""Bytes of an AF_UNIX path on Linux, without the terminating zero."""
_UCRED = struct.Struct("3i")
"""pid, uid, gid: struct ucred of unix(7)."""


class BindRefused(Failure):
    """The configured address would open the admin port to the network."""


class BindFailed(Failure):
    """The configured address or path is taken, unusable or not this machine's."""


def bind_tcp(host: str, port: int, *, network: bool) -> socket.socket:
    """A bound, non-blocking TCP socket. Raises BindFailed, or BindRefused beyond loopback."""
    address = "127.0.0.1" if host == "localhost" else host
    try:
        ip = ipaddress.ip_address(address.strip("[]"))
    except ValueError as error:
        raise BindRefused(
            f"The listener's host {host!r} is neither an IP address nor localhost.",
            "A name could resolve to an address that the whole network reaches.",
            "Write 127.0.0.1 or ::1.",
        ) from error
    if not network and not ip.is_loopback:
        raise BindRefused(
            f"The listener's host {host!r} is not a loopback address.",
            "The admin port would be open to the network, in clear text.",
            "Write 127.0.0.1 or ::1 and reach it through ssh or a proxy that terminates TLS.",
        )
    listener = socket.socket(socket.AF_INET6 if ip.version == 6 else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(ip), port))
    except OSError as error:
        listener.close()
        raise BindFailed(
            f"{host}:{port} cannot be listened on ({error.strerror}).",
            "Another process has the port, or the address is not this machine's.",
            "Stop the other process (`ss -ltnp` names it) or configure another port.",
        ) from error
    listener.setblocking(False)
    return listener


def bind_unix(path: Path) -> socket.socket:
    """A bound, non-blocking unix socket of mode 0660. Raises BindFailed.

    Until someone calls listen() every connect is refused, so there is no moment in which the mode
    that the umask gave is the one that counts.
    """
    if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
        raise BindFailed(
            f"The unix socket's path is longer than {UNIX_PATH_LIMIT} bytes: {path}.",
            "The kernel has no room for such a path.",
            "Configure a shorter path, for example under /run.",
        )
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o660)
    except OSError as error:
        listener.close()
        raise BindFailed(
            f"The unix socket {path} cannot be made ({error.strerror}).",
            "Its directory is missing or not writable for the daemon's user.",
            "Create the directory, or configure another path.",
        ) from error
    listener.setblocking(False)
    return listener


def remove_unix(path: Path, inode: int) -> None:
    """Remove the socket file, but only the one that was ours: a successor may have made its own."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        return  # someone else removed it: nothing is left to do


def peer_uid(connection: socket.socket) -> int | None:
    """The user id of the process that connected (SO_PEERCRED, the kernel's word); None where the
    platform has no such option, and then only a token tells who asks."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or connection.family != socket.AF_UNIX:
        return None
    _, uid, _ = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _UCRED.size))
    return int(uid)


def _remove_stale(path: Path) -> None:
    """A socket file outlives a killed daemon. Remove it when nobody listens behind it."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise _occupied(path, f"it cannot be looked at: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise _occupied(path, "it is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise _occupied(path, f"it does not answer as a stale one does: {error}") from error
    raise _occupied(path, "another process is listening on it")


def _occupied(path: Path, why: str) -> BindFailed:
    return BindFailed(
        f"{path} exists already: {why}.",
        "The unix socket cannot take its place.",
        "Stop the other process, remove the file, or configure another path.",
    )
