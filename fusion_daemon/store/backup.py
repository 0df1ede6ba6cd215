"""A backup: pg_dump's custom format, and beside it a manifest that says what is in it. asyncio side.

INVARIANTS
* The manifest's figures and the dump are of one snapshot.
* The manifest is renamed into place last, after the dump is whole on the disk: a dump with its manifest beside
  it is a backup, one without is not.
* A restore happens in one transaction into an empty database: it is there as a whole or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.connect import PASSING, connect, describe, unavailable
from fusion_daemon.store.migrate import Applied, pending, schema_state, shipped_migrations
from fusion_daemon.store.programs import find_program, run_program
from fusion_daemon.store.snapshot import LongReader, open_snapshot, read_facts

_CHUNK = 1 << 20


class BackupRefused(Failure):
    """There is nothing to back up, or no place to put it."""


class BackupDamaged(Failure):
    """The dump is not what its manifest says, or has none."""


class RestoreRefused(Failure):
    """The database holds something already; what is there is never mixed with a backup."""


class RestoreIncomplete(Failure):
    """What was restored is not what the manifest says was backed up."""


class AppliedMigration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    name: str
    checksum: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`<dump>.json`."""

    taken_at: datetime
    server_version: int
    """As Postgres' `server_version_num`."""
    configuration: str
    """Hash of what decides, as the lease has it."""
    migrations: tuple[AppliedMigration, ...]
    heads: dict[str, int]
    """Of every stream."""
    rows: dict[str, int]
    """Of every table."""
    octets: int
    sha256: str


def manifest_path(dump: Path) -> Path:
    return dump.with_name(dump.name + ".json")


async def take_backup(dsn: str, target: Path, configuration: str) -> tuple[Path, Manifest]:
    """Backs up into `target`: a directory, where the file is named by the time, or a new file. The daemon may
    run. Raises `BackupRefused`, `ProgramMissing`, `ProgramFailed`, `StoreUnavailable`; an interrupted one
    leaves nothing but a draft, `….part`."""
    taken_at = datetime.now(UTC).replace(microsecond=0)
    dump = _free_place(target, taken_at)
    applied = (await schema_state(dsn)).applied
    if not applied:
        raise BackupRefused(
            "The database has no schema.",
            "There is nothing to back up.",
            "Check [database] dsn, or [daemon] state_directory for the embedded one.",
        )
    draft = dump.with_name(dump.name + ".part")
    draft.unlink(missing_ok=True)
    _create(draft)
    try:
        async with open_snapshot(dsn) as reader:
            server, snapshot = await _snapshot_of(reader)
            program = await asyncio.to_thread(find_program, "pg_dump", server // 10_000)
            facts = await read_facts(reader)
            arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
            await run_program(program, [*arguments, f"--file={draft}"], dsn)
        octets, digest = await asyncio.to_thread(_digest, draft)
        manifest = Manifest(
            taken_at,
            server,
            configuration,
            tuple(AppliedMigration(each.version, each.name, each.checksum) for each in applied),
            dict(facts.heads),
            dict(facts.rows),
            octets,
            digest,
        )
        await asyncio.to_thread(_put_in_place, draft, dump, manifest)
    finally:
        draft.unlink(missing_ok=True)
    return dump, manifest


def read_manifest(dump: Path) -> Manifest:
    """The manifest of a dump, after the dump was found to be what it says and this program to know its schema.
    Blocks while it reads the whole file. Raises `BackupDamaged`, `MigrationRefused`."""
    try:
        manifest = msgspec.json.decode(manifest_path(dump).read_bytes(), type=Manifest)
        octets, digest = _digest(dump)
    except (OSError, msgspec.DecodeError) as error:
        raise _damaged(dump, f"cannot be read with its manifest ({error})") from error
    if (octets, digest) != (manifest.octets, manifest.sha256):
        raise _damaged(dump, f"has {octets} bytes and not the digest that its manifest names")
    pending([Applied(each.version, each.name, each.checksum) for each in manifest.migrations], shipped_migrations())
    return manifest


async def restore_backup(dsn: str, dump: Path) -> Manifest:
    """Restores into the empty database of `dsn`. The caller holds the lease's lock. Raises `BackupDamaged`,
    `MigrationRefused`, `RestoreRefused`, `RestoreIncomplete`, `ProgramMissing`, `ProgramFailed`,
    `StoreUnavailable`; only after `RestoreIncomplete` has anything changed."""
    manifest = await asyncio.to_thread(read_manifest, dump)
    async with open_snapshot(dsn) as reader:
        server, _ = await _snapshot_of(reader)
        present = (await read_facts(reader)).rows
    if present:
        raise RestoreRefused(
            f"The database is not empty: it has the tables {', '.join(sorted(present)[:5])} and more.",
            "A restore would mix two histories.",
            "Create a new database (or give the embedded Postgres a new state_directory) and restore into that.",
        )
    program = await asyncio.to_thread(find_program, "pg_restore", server // 10_000)
    arguments = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    await run_program(program, [*arguments, str(dump)], dsn)
    async with open_snapshot(dsn) as reader:
        facts = await read_facts(reader)
    if (facts.heads, facts.rows) != (manifest.heads, manifest.rows):
        wrong = [name for name in manifest.rows if manifest.rows[name] != facts.rows.get(name)]
        raise RestoreIncomplete(
            f"After the restore these tables have other row counts than when they were backed up: {wrong}.",
            "The database must not be used.",
            "Drop it; report this, and restore an earlier backup.",
        )
    await _give_back_the_lease(dsn)
    return manifest


async def _give_back_the_lease(dsn: str) -> None:
    """Whoever held it when the backup was taken has no session here. So any daemon that is started takes it, as
    from one that ended in good order: also one with another name or another configuration."""
    connection = await connect(dsn, purpose="restore")
    try:
        await connection.execute("UPDATE leases SET released_at = clock_timestamp() WHERE released_at IS NULL")
    except PASSING as error:
        raise unavailable(f"went away after the restore ({describe(error)})") from error
    finally:
        connection.terminate()


async def _snapshot_of(reader: LongReader) -> tuple[int, str]:
    row = await reader.fetch_one(
        "SELECT current_setting('server_version_num')::integer AS version, pg_export_snapshot() AS snapshot"
    )
    assert row is not None  # a SELECT without FROM has one row
    return row.integer("version"), row.text("snapshot")


def _free_place(target: Path, taken_at: datetime) -> Path:
    dump = target / f"fusion-prime-{taken_at:%Y%m%dT%H%M%SZ}.dump" if target.is_dir() else target
    if dump.parent.is_dir() and not dump.exists() and not manifest_path(dump).exists():
        return dump
    raise BackupRefused(
        f"{dump} {'exists already' if dump.parent.is_dir() else 'lies in no directory'}.",
        "A backup never replaces another file, and makes no directories.",
        "Name a directory that exists, or a file that does not.",
    )


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _digest(path: Path) -> tuple[int, str]:
    digest, octets = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            octets += len(chunk)
    return octets, digest.hexdigest()


def _put_in_place(draft: Path, dump: Path, manifest: Manifest) -> None:
    written = manifest_path(draft)
    written.unlink(missing_ok=True)
    _create(written)
    written.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    _sync([draft, written])
    draft.rename(dump)
    _sync([dump.parent])
    written.rename(manifest_path(dump))
    _sync([dump.parent])


def _sync(paths: Sequence[Path]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _damaged(dump: Path, how: str) -> BackupDamaged:
    return BackupDamaged(
        f"{dump} {how}.",
        "It is not a whole backup; nothing was restored.",
        "Fetch the dump and its manifest (the same name with .json) again, or take an earlier backup.",
    )
