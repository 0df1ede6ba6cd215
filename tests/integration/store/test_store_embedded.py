"""The embedded server: whoever starts it and however its parent ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import trio

from fusion_daemon.store import (
    ClusterRefused,
    EmbeddedPostgres,
    PostgresKeepsEnding,
    PostgresStartFailed,
    StateDirectoryLocked,
    StateDirectoryUnreachable,
    embedded_postgres,
    running_postgres,
)
from fusion_daemon.store import embedded as module
from fusion_daemon.store.binaries import Account, Binaries, blocked_at, find_binaries, server_account

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends the server another account")
REPOSITORY = Path(__file__).resolve().parents[3]

CHILD = """
import sys
from pathlib import Path
from fusion_daemon.store.embedded import running_postgres
with running_postgres(Path(sys.argv[1]), durable=False) as server:
    print(server.pid, server.dsn, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that everyone may enter; pytest's own is closed to the server's account."""
    path = Path(tempfile.mkdtemp(prefix="fusion-prime-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def ask(dsn: str, query: str = "SELECT 1") -> object:
    async def run() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def alive(pid: int) -> bool:
    """Zombies do not count: reaping them is the work of whoever adopted them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def family(pid: int) -> list[int]:
    """The server and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def wait_until_gone(pids: list[int]) -> None:
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert module._ended(pidfd, 10), f"process {pid} was left behind"
        finally:
            os.close(pidfd)


def modes(*roots: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for root in roots:
        for path in (root, *root.parents):
            at = path.stat()
            found[str(path)] = (at.st_mode, at.st_uid, at.st_gid)
    return found


def start_child(
    state_dir: Path, *before: str, python: str = sys.executable, stderr: int | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, python, "-c", CHILD, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *map(str, sys.path[1:])]),
        },
    )


def announced(child: subprocess.Popen[str]) -> tuple[int, str]:
    assert child.stdout is not None
    pid, dsn = child.stdout.readline().split()
    return int(pid), dsn


def end_child(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def test_data_survive_a_stop_and_a_start(open_dir: Path) -> None:
    state_dir = open_dir / "state"
    with running_postgres(state_dir) as server:
        ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert ask(server.dsn, "SHOW fsync") == "on"
        pids = family(server.pid)
    assert [pid for pid in pids if alive(pid)] == []
    with running_postgres(state_dir) as server:
        assert ask(server.dsn, "SELECT answer FROM kept") == 42
    assert not (state_dir / "postgres" / "data" / "postmaster.pid").exists()


def test_nobody_else_can_connect_or_read(open_dir: Path) -> None:
    with running_postgres(open_dir / "state", durable=False) as server:
        assert ask(server.dsn, "SHOW listen_addresses") == ""
        for path in (server.cluster.data, server.cluster.sockets):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((server.cluster.sockets / ".s.PGSQL.5432").stat().st_mode) == 0o700
        assert stat.S_IMODE((open_dir / "state").stat().st_mode) & 0o007 == 0


def test_a_second_server_on_the_directory_is_refused(open_dir: Path) -> None:
    with running_postgres(open_dir / "state", durable=False) as server:
        with (
            pytest.raises(StateDirectoryLocked, match="in use by another process"),
            running_postgres(open_dir / "state", durable=False),
        ):
            raise AssertionError("must not start")
        assert ask(server.dsn) == 1


def test_the_lock_is_free_again_after_a_failed_start(open_dir: Path) -> None:
    with running_postgres(open_dir / "state", durable=False):
        pass
    version = open_dir / "state" / "postgres" / "data" / "PG_VERSION"
    version.write_text("9\n")
    for _ in range(2):
        with (
            pytest.raises(ClusterRefused, match="written by Postgres 9"),
            running_postgres(open_dir / "state", durable=False),
        ):
            raise AssertionError("must not start")


def test_a_server_that_cannot_start_says_why(open_dir: Path) -> None:
    with running_postgres(open_dir / "state", durable=False):
        pass
    (open_dir / "state" / "postgres" / "data" / "global" / "pg_control").unlink()
    with (
        pytest.raises(PostgresStartFailed, match="could not find the database system"),
        running_postgres(open_dir / "state", durable=False),
    ):
        raise AssertionError("must not start")


def test_a_long_path_gets_a_short_socket_directory(open_dir: Path) -> None:
    state_dir = open_dir / ("long" * 20) / "state"
    state_dir.parent.mkdir(mode=0o755)
    with running_postgres(state_dir, durable=False) as server:
        sockets = server.cluster.sockets
        assert ask(server.dsn) == 1
        assert len(str(sockets)) < 60
    assert not sockets.exists()


def test_the_parents_settings_do_not_leak_into_the_server(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with running_postgres(open_dir / "state", durable=False) as server:
        assert (server.cluster.sockets / ".s.PGSQL.5432").exists()


def test_a_killed_parent_takes_the_server_with_it_and_a_new_one_starts_at_once(open_dir: Path) -> None:
    child = start_child(open_dir / "state")
    try:
        pid, dsn = announced(child)
        pids = family(pid)
        ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        child.send_signal(signal.SIGKILL)
        child.wait()
        # At once: the old server may still be shutting down.
        with running_postgres(open_dir / "state", durable=False) as server:
            assert ask(server.dsn, "SELECT answer FROM kept") == 42
        wait_until_gone(pids)
    finally:
        end_child(child)


def test_a_server_that_missed_its_parents_death_is_ended(open_dir: Path) -> None:
    server = EmbeddedPostgres(open_dir / "state", durable=False)
    server.prepare()
    server.spawn()
    while not server.ready():
        os.sched_yield()
    server.cluster.release()  # as if the daemon had gone and the kernel's signal been lost
    with running_postgres(open_dir / "state", durable=False) as successor:
        assert server.reaped(0)
        assert ask(successor.dsn) == 1


@as_root
def test_root_reaches_programs_in_a_closed_directory_without_opening_it(open_dir: Path) -> None:
    # open_dir/closed (0700, root) holds the programs, open_dir/state is where the server lives
    found, closed = find_binaries(), open_dir / "closed"
    closed.mkdir(mode=0o700)
    install = closed / "site-packages" / "embedded_postgres" / "pginstall"
    shutil.copytree(found.install, install, symlinks=True)
    shutil.copytree(found.libs, closed / "site-packages" / found.libs.name, symlinks=True)
    before = modes(install / "bin", open_dir)
    hidden = Binaries(install, closed / "site-packages" / found.libs.name, found.version)
    for _ in range(2):  # the copy is made once and found again
        with running_postgres(open_dir / "state", durable=False, binaries=hidden) as server:
            assert ask(server.dsn) == 1
            program = Path(f"/proc/{server.pid}/exe").readlink()
            assert program.is_relative_to(open_dir / "state")
            assert program.stat().st_uid == 0
    assert modes(install / "bin", open_dir) == before


@as_root
def test_root_does_not_open_the_way_to_a_state_directory(open_dir: Path) -> None:
    closed = open_dir / "closed"
    closed.mkdir(mode=0o700)
    before = modes(closed)
    with (
        pytest.raises(StateDirectoryUnreachable, match=f"cannot enter {closed}"),
        running_postgres(closed / "state", durable=False),
    ):
        raise AssertionError("must not start")
    assert modes(closed) == before


@as_root
def test_root_runs_the_server_without_any_privilege(open_dir: Path) -> None:
    account = server_account()
    assert account is not None
    with running_postgres(open_dir / "state", durable=False) as server:
        status = Path(f"/proc/{server.pid}/status").read_text().splitlines()
        fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert fields["Uid"].split() == [str(account.uid)] * 4
    assert fields["Gid"].split() == [str(account.gid)] * 4
    assert fields["Groups"].split() == []
    assert fields["NoNewPrivs"] == "1"
    assert {fields[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == {"0" * 16}


NOBODY = Account("nobody", 65534, 65534)
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@as_root
def test_an_ordinary_user_runs_the_server_as_itself(open_dir: Path) -> None:
    python = python_of_anyone()
    state_dir = open_dir / "theirs"
    state_dir.mkdir(mode=0o700)
    os.chown(state_dir, NOBODY.uid, NOBODY.gid)
    before = modes(state_dir)
    child = start_child(state_dir, *AS_NOBODY, python=python)
    try:
        pid, dsn = announced(child)
        pids = family(pid)
        assert Path(f"/proc/{pid}").stat().st_uid == NOBODY.uid
        assert ask(dsn) == 1
        assert modes(state_dir) == before
        child.kill()
        wait_until_gone(pids)
    finally:
        end_child(child)


@as_root
def test_a_state_directory_of_another_user_is_refused_in_words(open_dir: Path) -> None:
    python = python_of_anyone()
    state_dir = open_dir / "ours"
    state_dir.mkdir(mode=0o700)
    child = start_child(state_dir, *AS_NOBODY, python=python, stderr=subprocess.PIPE)
    try:
        assert child.stderr is not None
        told = child.stderr.read()
    finally:
        end_child(child)
    assert f"StateDirectoryForbidden: The state directory {state_dir} cannot be used by this user" in told
    assert "Run as the user that made it" in told


def python_of_anyone() -> str:
    candidates = (sys.executable, shutil.which("python3", path="/usr/bin:/bin") or "")
    for path in candidates:
        if path and blocked_at(Path(path), NOBODY) is None and _version(path) == sys.version_info[:2]:
            return path
    pytest.skip("no interpreter that an ordinary user could run")


def _version(python: str) -> tuple[int, int]:
    answer = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True
    )
    major, minor = answer.stdout.split()
    return int(major), int(minor)


@pytest.mark.parametrize(
    ("mode", "enters"),
    [(0o100, "owner"), (0o010, "group"), (0o001, "other"), (0o011, "group other"), (0, "")],
)
def test_owner_group_and_others_are_told_apart(open_dir: Path, mode: int, enters: str) -> None:
    door = open_dir / "door"
    door.mkdir()
    found = door.stat()
    who = {
        "owner": Account("owner", found.st_uid, found.st_gid + 1),
        "group": Account("group", found.st_uid + 1, found.st_gid),
        "other": Account("other", found.st_uid + 1, found.st_gid + 1),
    }
    door.chmod(mode)
    allowed = [name for name, account in who.items() if blocked_at(door, account) is None]
    door.chmod(0o700)
    assert " ".join(allowed) == enters


def test_the_first_closed_directory_is_named(open_dir: Path) -> None:
    below = open_dir / "closed" / "below"
    below.mkdir(parents=True)
    (open_dir / "closed").chmod(0o700)
    assert blocked_at(below, Account("stranger", 4_000_000, 4_000_000)) == open_dir / "closed"


async def test_a_killed_server_is_started_again_under_the_same_address(open_dir: Path) -> None:
    async with embedded_postgres(open_dir / "state", durable=False) as server:
        dsn, first = server.dsn, server.pid
        os.kill(first, signal.SIGKILL)
        with trio.fail_after(30):
            while server.restarts == 0:  # noqa: ASYNC110  another process is waited for
                await trio.sleep(0.01)
        assert (server.dsn, server.pid != first) == (dsn, True)
        pids = family(server.pid)
        assert await trio.to_thread.run_sync(ask, dsn) == 1
    assert [pid for pid in pids if alive(pid)] == []


async def test_a_server_that_keeps_ending_ends_the_daemon(open_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTARTS", 1)
    with pytest.RaisesGroup(PostgresKeepsEnding):
        async with embedded_postgres(open_dir / "state", durable=False) as server:
            for expected in (0, 1):
                while server.restarts < expected:  # noqa: ASYNC110  another process is waited for
                    await trio.sleep(0.01)
                os.kill(server.pid, signal.SIGKILL)
            await trio.sleep_forever()


async def test_cancelling_the_daemon_stops_the_server(open_dir: Path) -> None:
    with trio.CancelScope() as scope:
        async with embedded_postgres(open_dir / "state", durable=False) as server:
            pids = family(server.pid)
            scope.cancel()
            await trio.sleep_forever()
    assert [pid for pid in pids if alive(pid)] == []
    assert not (server.cluster.data / "postmaster.pid").exists()


async def test_the_server_outlives_the_worker_threads_of_its_start(
    open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parent-death signal follows the forking thread, and trio retires idle workers (after 10 s; here
    # at once): initdb runs in one of those, the server must not.
    monkeypatch.setattr("trio._core._thread_cache.IDLE_TIMEOUT", 0.01)
    before = set(threading.enumerate())
    async with embedded_postgres(open_dir / "state", durable=False) as server:
        while set(threading.enumerate()) - before:  # noqa: ASYNC110  threads are waited for
            await trio.sleep(0.01)
        assert await trio.to_thread.run_sync(ask, server.dsn) == 1
        assert server.restarts == 0
        assert alive(server.pid)


async def test_the_server_is_never_forked_by_a_worker_thread(open_dir: Path) -> None:
    server = EmbeddedPostgres(open_dir / "state", durable=False)
    with pytest.raises(RuntimeError, match="main thread"):
        await trio.to_thread.run_sync(server.spawn)
