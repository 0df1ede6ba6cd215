"""Rules: a backup is whole or it is none; a restore happens as a whole, into nothing, or not at all."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import asyncpg
import pytest

from fusion_daemon.store import EmbeddedPostgres, MigrationRefused, binaries, programs
from fusion_daemon.store.backup import (
    BackupDamaged,
    BackupRefused,
    RestoreRefused,
    manifest_path,
    read_manifest,
    restore_backup,
    take_backup,
)
from fusion_daemon.store.cluster import dsn_of_running
from fusion_daemon.store.programs import ProgramFailed, ProgramMissing, find_program, without_password


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def count(dsn: str, table: str) -> int | None:
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("SELECT to_regclass($1)", table) is None:
            return None
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


async def value(dsn: str, question: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        found: object = await connection.fetchval(question)
        return found
    finally:
        await connection.close()


@pytest.fixture
def dump(postgres_dsn: str, tmp_path: Path) -> Path:
    asyncio.run(execute(postgres_dsn, "INSERT INTO accounts (id, customer, name) VALUES ('a', 'c', 'n')"))
    asyncio.run(execute(postgres_dsn, "INSERT INTO streams (name, head) VALUES ('journal:5', 0)"))
    return asyncio.run(take_backup(postgres_dsn, tmp_path / "one.dump", "hash"))[0]


def test_a_backup_and_its_manifest_are_private_and_say_what_is_in_them(dump: Path) -> None:
    manifest = read_manifest(dump)
    assert (manifest.rows["accounts"], manifest.heads, manifest.configuration) == (1, {"journal:5": 0}, "hash")
    for path in (dump, manifest_path(dump)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in dump.parent.iterdir()) == ["one.dump", "one.dump.json"]


def test_a_restore_brings_rows_streams_partitions_and_triggers_back(dump: Path, empty_postgres_dsn: str) -> None:
    asyncio.run(restore_backup(empty_postgres_dsn, dump))
    assert asyncio.run(count(empty_postgres_dsn, "accounts")) == 1
    asyncio.run(execute(empty_postgres_dsn, "INSERT INTO streams (name) VALUES ('journal:6')"))
    assert asyncio.run(count(empty_postgres_dsn, "chain_journal_c6_p1")) == 0


def test_a_restored_lease_is_nobodys(postgres_dsn: str, empty_postgres_dsn: str, tmp_path: Path) -> None:
    """The holder at the time of the backup works elsewhere: whoever is started here need not fear or await it."""
    held = (
        "INSERT INTO leases (term, instance, configuration, lease_seconds, taken, backend_pid, backend_start)"
        " VALUES (3, 'elsewhere', 'other', 600, 'free', 1, now())"
    )
    asyncio.run(execute(postgres_dsn, held))
    dump, _ = asyncio.run(take_backup(postgres_dsn, tmp_path / "held.dump", "hash"))
    asyncio.run(restore_backup(empty_postgres_dsn, dump))
    assert asyncio.run(count(empty_postgres_dsn, "leases")) == 1
    released = asyncio.run(value(empty_postgres_dsn, "SELECT released_at IS NOT NULL FROM leases WHERE term = 3"))
    assert released is True


def test_a_backup_replaces_nothing(dump: Path, postgres_dsn: str) -> None:
    taken = dump.read_bytes()
    with pytest.raises(BackupRefused, match="exists already"):
        asyncio.run(take_backup(postgres_dsn, dump, "hash"))
    with pytest.raises(BackupRefused, match="lies in no directory"):
        asyncio.run(take_backup(postgres_dsn, dump.parent / "none" / "two.dump", "hash"))
    assert dump.read_bytes() == taken


def test_in_a_directory_a_backup_is_named_by_its_time(postgres_dsn: str, tmp_path: Path) -> None:
    path, manifest = asyncio.run(take_backup(postgres_dsn, tmp_path, "hash"))
    assert path.name == f"fusion-prime-{manifest.taken_at:%Y%m%dT%H%M%SZ}.dump"


def test_an_empty_database_is_no_backup(empty_postgres_dsn: str, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="no schema"):
        asyncio.run(take_backup(empty_postgres_dsn, tmp_path, "hash"))


def test_a_failed_backup_leaves_nothing(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    told = '[ "$1" = --version ] && echo "pg_dump (PostgreSQL) 99.1" && exit'
    program.write_text(f"#!/bin/sh\n{told}\necho full >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    target = tmp_path / "backups"
    target.mkdir()
    with pytest.raises(ProgramFailed, match="pg_dump failed: full"):
        asyncio.run(take_backup(postgres_dsn, target, "hash"))
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "grown", "no manifest", "bad manifest"])
def test_a_damaged_backup_is_refused_before_anything_happens(
    dump: Path, empty_postgres_dsn: str, damage: str
) -> None:
    content = dump.read_bytes()
    middle = len(content) // 2
    if damage == "truncated":
        dump.write_bytes(content[:-1])
    elif damage == "flipped":
        dump.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif damage == "grown":
        dump.write_bytes(content + b"x")
    elif damage == "no manifest":
        manifest_path(dump).unlink()
    else:
        manifest_path(dump).write_text("{}")
    with pytest.raises(BackupDamaged):
        asyncio.run(restore_backup(empty_postgres_dsn, dump))
    assert asyncio.run(count(empty_postgres_dsn, "accounts")) is None


def test_a_dump_that_pg_restore_cannot_read_leaves_the_database_empty(
    dump: Path, empty_postgres_dsn: str, postgres_dsn: str
) -> None:
    # The digest fits, so the damage was there when it was taken: the table's data are cut off.
    import hashlib

    manifest = manifest_path(dump)
    before = read_manifest(dump)
    content = dump.read_bytes()[:-40]
    dump.write_bytes(content)
    told = manifest.read_text().replace(before.sha256, hashlib.sha256(content).hexdigest())
    manifest.write_text(told.replace(f'"octets": {before.octets}', f'"octets": {len(content)}'))
    with pytest.raises(ProgramFailed):
        asyncio.run(restore_backup(empty_postgres_dsn, dump))
    assert asyncio.run(count(empty_postgres_dsn, "accounts")) is None


def test_nothing_is_restored_over_anything(dump: Path, postgres_dsn: str) -> None:
    with pytest.raises(RestoreRefused, match="not empty"):
        asyncio.run(restore_backup(postgres_dsn, dump))


def test_a_backup_of_a_newer_schema_is_refused(dump: Path, empty_postgres_dsn: str) -> None:
    manifest = manifest_path(dump)
    manifest.write_text(manifest.read_text().replace('"version": 50', '"version": 9999'))
    with pytest.raises(MigrationRefused, match="which this program does not know"):
        asyncio.run(restore_backup(empty_postgres_dsn, dump))


def test_a_program_older_than_the_server_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "pg_dump (PostgreSQL) 15.13 (Debian 15.13-0)"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_program("pg_dump", 15) == program
    assert find_program("pg_dump", 18) == binaries.find_binaries().program("pg_dump")

    def none_installed() -> binaries.Binaries:
        raise binaries.BinariesMissing("a", "b", "c")

    monkeypatch.setattr(programs, "find_binaries", none_installed)
    with pytest.raises(ProgramMissing, match="is of version 15"):
        find_program("pg_dump", 18)


@pytest.mark.parametrize(
    ("dsn", "parts"),
    [
        ("postgresql://u:p%40ss@h:1/d?x=1", ("postgresql://u@h:1/d?x=1", "p@ss")),
        ("postgresql://u@/d?host=/run", ("postgresql://u@/d?host=/run", None)),
        ("postgresql:///d", ("postgresql:///d", None)),
    ],
)
def test_a_password_never_stands_on_a_command_line(dsn: str, parts: tuple[str, str | None]) -> None:
    assert without_password(dsn) == parts


def test_the_server_of_another_process_is_found_while_it_runs(postgres_server: EmbeddedPostgres) -> None:
    state = postgres_server.cluster.state_dir
    assert dsn_of_running(state) == postgres_server.dsn
    assert dsn_of_running(state / "nothing") is None
