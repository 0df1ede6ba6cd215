"""Postgres as a child of the daemon: started, watched, restarted, and ended with it.

INVARIANT: the server is forked by the main thread. The kernel's parent-death signal follows the forking
*thread*, and trio retires idle worker threads, so a server forked by one of those would end within
seconds.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio

from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.binaries import Binaries, find_binaries
from fusion_daemon.store.cluster import Cluster

START_TIMEOUT = 60.0
"""Seconds; a start after a crash replays the write-ahead log first."""

STOP_LADDER = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""A fast shutdown with a checkpoint, one without, and the kernel's."""

RESTARTS = 5
RESTART_PERIOD = 60.0
POLL = 0.02


class PostgresStartFailed(Failure):
    """The server ended, or was not ready in time, while starting."""


class PostgresKeepsEnding(Failure):
    """The server ended again and again; restarting it is no use."""


class PostgresWouldNotStop(Failure):
    """The server survived even SIGKILL: a disk that does not answer holds it in the kernel."""


class EmbeddedPostgres:
    """The steps of one server's life; `running_postgres` and `embedded_postgres` put them in order."""

    def __init__(self, state_dir: Path, *, durable: bool = True, binaries: Binaries | None = None) -> None:
        self.cluster = Cluster(state_dir, durable=durable, binaries=binaries or find_binaries())
        self._process: subprocess.Popen[bytes] | None = None
        self.pidfd = -1
        self.restarts = 0

    @property
    def dsn(self) -> str:
        """Connects through the socket directory, which only the server's account (and root) may enter."""
        return self.cluster.dsn

    @property
    def pid(self) -> int:
        return -1 if self._process is None else self._process.pid

    def prepare(self) -> None:
        """Locks and fills the state directory and waits for a predecessor to end. Blocks; any thread."""
        self.cluster.prepare()
        try:
            end_leftover(self.cluster)
        except BaseException:
            self.cluster.release()
            raise

    def spawn(self) -> None:
        """Forks the server; at once. Main thread only."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("Postgres must be forked by the main thread: see the module's invariant")
        with self.cluster.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  programs of the wheel, no shell
                self.cluster.server_argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.cluster.home,
                env=self.cluster.environment(),
                # Its own session: Ctrl-C on the terminal is for the daemon, which stops the server last.
                start_new_session=True,
            )
        self.pidfd = os.pidfd_open(self._process.pid)

    def ready(self) -> bool:
        """Whether it accepts connections, by the status line it writes for pg_ctl. Raises
        `PostgresStartFailed` when it has ended."""
        if self._process is None or self._process.poll() is not None:
            raise self.start_failed("ended while starting")
        try:
            lines = (self.cluster.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def start_failed(self, how: str) -> PostgresStartFailed:
        return PostgresStartFailed(
            f"The embedded Postgres {how}. Its last words: {self.cluster.log_tail()}",
            "The daemon has no database.",
            f"Read {self.cluster.log_path}; most often the disk is full or the data directory was touched.",
        )

    def send(self, signum: int) -> None:
        if self.pidfd >= 0:
            try:
                signal.pidfd_send_signal(self.pidfd, signum)
            except ProcessLookupError:
                return  # it has ended: reaped() will say so

    def reaped(self, timeout: float) -> bool:
        """Whether it has ended, waiting up to `timeout` seconds; then its pidfd is closed."""
        if self._process is None:
            return True
        if not _ended(self.pidfd, timeout):
            return False
        self._process.wait()
        os.close(self.pidfd)
        self._process, self.pidfd = None, -1
        return True

    def stop(self) -> None:
        """The stop ladder. Blocks until the server has ended. Idempotent."""
        for signum, patience in STOP_LADDER:
            self.send(signum)
            if self.reaped(patience):
                return
        raise self.would_not_stop()

    def would_not_stop(self) -> PostgresWouldNotStop:
        return PostgresWouldNotStop(
            f"The embedded Postgres (pid {self.pid}) did not end, not even by SIGKILL.",
            "It is held in the kernel, most often by a disk that does not answer.",
            "Check the disk; the process ends when the disk answers or the machine restarts.",
        )


def end_leftover(cluster: Cluster) -> None:
    """Waits for, and at last ends, a server whose parent was killed. Blocks; holds the state lock, so
    no living daemon owns that server."""
    pid = cluster.leftover()
    if pid is None:
        return
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if cluster.leftover() != pid:  # the number was reused before the descriptor pinned it
            return
        for signum, patience in STOP_LADDER:
            signal.pidfd_send_signal(pidfd, signum)
            if _ended(pidfd, patience):
                return
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)


def _ended(pidfd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))


@contextmanager
def running_postgres(
    state_dir: Path, *, durable: bool = True, binaries: Binaries | None = None
) -> Iterator[EmbeddedPostgres]:
    """A server for code without an event loop (tests, tools). Main thread. Not restarted when it dies."""
    server = EmbeddedPostgres(state_dir, durable=durable, binaries=binaries)
    server.prepare()
    try:
        try:
            server.spawn()
            deadline = time.monotonic() + START_TIMEOUT
            while not server.ready():
                if time.monotonic() > deadline:
                    raise server.start_failed(f"was not ready within {START_TIMEOUT:.0f} s")
                time.sleep(POLL)
            yield server
        finally:
            server.stop()
    finally:
        server.cluster.release()


@asynccontextmanager
async def embedded_postgres(
    state_dir: Path, *, durable: bool = True, binaries: Binaries | None = None
) -> AsyncIterator[EmbeddedPostgres]:
    """trio side, main thread. Runs a server in `state_dir` and restarts it when it dies; its DSN stays.

    Raises `PostgresStartFailed` and the errors of `Cluster.prepare` before the body runs; out of the body
    (in an exception group) `PostgresKeepsEnding`. Cancellation stops the server, shielded.
    """
    server = EmbeddedPostgres(state_dir, durable=durable, binaries=binaries)
    await trio.to_thread.run_sync(server.prepare)
    try:
        try:
            await _launch(server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_keep, server)
                yield server
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await _stop(server)
    finally:
        server.cluster.release()


async def _launch(server: EmbeddedPostgres) -> None:
    server.spawn()
    with trio.move_on_after(START_TIMEOUT):
        while not server.ready():  # noqa: ASYNC110  the server tells it in a file
            await trio.sleep(POLL)
        return
    raise server.start_failed(f"was not ready within {START_TIMEOUT:.0f} s")


async def _keep(server: EmbeddedPostgres) -> None:
    """Restart the server when it ends. Its old children may hold the shared memory for a moment longer,
    so a restart that fails counts and is tried again."""
    ends: list[float] = []
    while True:
        await trio.lowlevel.wait_readable(server.pidfd)
        cause: PostgresStartFailed | None = None
        while server.reaped(0):
            ends = [at for at in ends if at > trio.current_time() - RESTART_PERIOD]
            ends.append(trio.current_time())
            if len(ends) > RESTARTS:
                raise PostgresKeepsEnding(
                    f"The embedded Postgres ended {len(ends)} times within {RESTART_PERIOD:.0f} s.",
                    "The daemon cannot keep a database.",
                    f"Read {server.cluster.log_path}.",
                ) from cause
            await trio.sleep(0.1 * 2 ** len(ends))
            # Without room the next start would end as this one did, and soon the daemon with it.
            while not server.cluster.has_room():  # noqa: ASYNC110  a disk tells nobody when it has room again
                await trio.sleep(1.0)
            try:
                await _launch(server)
            except PostgresStartFailed as error:
                cause = error
            else:
                server.restarts += 1


async def _stop(server: EmbeddedPostgres) -> None:
    for signum, patience in STOP_LADDER:
        if server.reaped(0):
            return
        server.send(signum)
        with trio.move_on_after(patience):
            await trio.lowlevel.wait_readable(server.pidfd)
    if not server.reaped(0):
        raise server.would_not_stop()
