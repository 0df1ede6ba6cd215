"""What the service manager hears. The manager is a datagram socket of the test's own."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import Notifier, feed_watchdog


class Manager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        messages = []
        while True:
            try:
                messages.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return messages


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@fusion-prime-test-{os.getpid()}"
    listening = Manager(address)
    yield listening
    listening.socket.close()


def test_messages_are_those_of_sd_notify(manager: Manager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address}, pid=1)
    notifier.ready("two chains,\nfive actors")
    notifier.status("draining")
    notifier.extend_timeout(12.5)
    notifier.stopping("SIGTERM")
    notifier.watchdog()
    assert manager.heard() == [
        "READY=1\nSTATUS=two chains, five actors",
        "STATUS=draining",
        "EXTEND_TIMEOUT_USEC=12500000",
        "STOPPING=1\nSTATUS=SIGTERM",
        "WATCHDOG=1",
    ]
    figures = notifier.statistics()
    assert (figures.sent, figures.lost) == (5, 0)


def test_a_reload_tells_the_monotonic_time(manager: Manager) -> None:
    # systemd compares it with the time of its own request, so it must be of the same clock.
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Notifier(manager.address, None).reloading("reading\nit anew")
    (message,) = manager.heard()
    first, stamp, last = message.split("\n")
    assert (first, last) == ("RELOADING=1", "STATUS=reading it anew")
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= now


def test_the_watchdog_may_be_meant_for_another_process() -> None:
    for environment, seconds in (
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ):
        assert Notifier.from_environment(environment, pid=7).watchdog_seconds == seconds


def test_nobody_listens_and_nothing_happens(tmp_path: Path) -> None:
    silent = Notifier.from_environment({}, pid=7)
    silent.ready("up")
    assert silent.statistics().sent == silent.statistics().lost == 0
    deaf = Notifier(str(tmp_path / "gone"), None)
    deaf.watchdog()
    figures = deaf.statistics()
    assert (figures.sent, figures.lost) == (0, 1)
    assert "No such file" in figures.last_error


async def test_the_watchdog_is_fed_only_while_nothing_objects(
    manager: Manager, autojump_clock: MockClock
) -> None:
    objections: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed_watchdog, Notifier(manager.address, 30.0), lambda: objections, 10.0)
        await trio.sleep(25.0)
        assert manager.heard() == ["WATCHDOG=1"] * 3
        objections.append("risk: no beat for 61.0 s, limit 60 s")
        await trio.sleep(30.0)
        assert manager.heard() == ["STATUS=stalled: risk: no beat for 61.0 s, limit 60 s"]
        objections.clear()
        await trio.sleep(10.0)
        assert manager.heard() == ["WATCHDOG=1", "STATUS=running"]
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
