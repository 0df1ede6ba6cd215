"""The systemd notification protocol (sd_notify(3)), of our own: one datagram per message.

Without NOTIFY_SOCKET every message is a no-op, so the program runs the same in a terminal.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import structlog
import trio
from structlog.typing import FilteringBoundLogger


@dataclass(frozen=True, slots=True)
class NotifierStatistics:
    """Datagrams since the start. A lost one is not retried: the next says more."""

    sent: int
    lost: int
    last_error: str


class Notifier:
    """Speaks to the service manager. Every method returns at once and is callable from any thread."""

    def __init__(self, address: str, watchdog_seconds: float | None) -> None:
        """`address`: a path, or `@name` in the abstract namespace, or empty for nobody."""
        self.watchdog_seconds = watchdog_seconds
        """The unit's WatchdogSec for this process; None when it is off."""
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._sent = self._lost = 0
        self._last_error = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int) -> Notifier:
        """From NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; the watchdog may be meant for another."""
        usec = environment.get("WATCHDOG_USEC", "")
        meant_for = environment.get("WATCHDOG_PID", "")
        mine = usec.isdecimal() and int(usec) > 0 and meant_for in ("", str(pid))
        return cls(environment.get("NOTIFY_SOCKET", ""), int(usec) / 1e6 if mine else None)

    def ready(self, status: str) -> None:
        """The tree is up."""
        self._send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={_one_line(status)}")

    def reloading(self, status: str) -> None:
        """It takes on another configuration, or tries to; `ready` says that this is over."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", f"STATUS={_one_line(status)}")

    def stopping(self, status: str) -> None:
        """The ordered stop begins."""
        self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def extend_timeout(self, seconds: float) -> None:
        """The start or stop under way needs at least `seconds` from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def watchdog(self) -> None:
        """Alive. Only `feed_watchdog` should say so."""
        self._send("WATCHDOG=1")

    def statistics(self) -> NotifierStatistics:
        return NotifierStatistics(self._sent, self._lost, self._last_error)

    def _send(self, *fields: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(fields).encode(), self._address)
            self._sent += 1
        except OSError as error:  # a deaf manager must not end the daemon; the loss shows in statistics
            self._lost += 1
            self._last_error = str(error)


async def feed_watchdog(
    notifier: Notifier,
    held_back: Callable[[], Sequence[str]],
    interval: float,
) -> None:
    """Send WATCHDOG=1 every `interval` seconds while `held_back()` is empty; for ever.

    Trio side; that this task runs is trio's own sign of life. `held_back` returns the reasons not to
    feed: a loop without a beat, a critical actor that is `stalled`, a zombie. The change to and
    from a starved watchdog is logged and shown as the unit's status.
    """
    log = cast("FilteringBoundLogger", structlog.get_logger("watchdog"))
    before: tuple[str, ...] = ()
    while True:
        reasons = tuple(held_back())
        if not reasons:
            notifier.watchdog()
        if bool(reasons) != bool(before):
            if reasons:
                log.error("watchdog_starved", reasons=reasons)
            else:
                log.info("watchdog_fed_again")
            notifier.status("stalled: " + "; ".join(reasons) if reasons else "running")
        before = reasons
        await trio.sleep(interval)


def _one_line(text: str) -> str:
    return " ".join(text.split())
