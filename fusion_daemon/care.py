"""`fusion-daemon db …`: backup, restore and verification, from a configuration to what was found."""

from __future__ import annotations

from pathlib import Path

import trio

from fusion_daemon.aio import open_aio
from fusion_daemon.config import Config
from fusion_daemon.config_hash import configuration_hash
from fusion_daemon.database import reachable_database, running_database
from fusion_daemon.findings import Finding
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.settings import message_rules
from fusion_daemon.store import without_holder
from fusion_daemon.store.backup import Manifest, restore_backup, take_backup
from fusion_daemon.verification import verify_database

_LONGEST = 7 * 86_400.0
"""Seconds for one of these; a person or a timer of the operator's ends it sooner."""


def back_up(config: Config, target: Path) -> tuple[Path, Manifest]:
    """Blocks. The daemon may run. Raises the Failures of `take_backup` and of reaching the database."""
    place, told = target.absolute(), configuration_hash(config)

    async def work() -> tuple[Path, Manifest]:
        async with reachable_database(config, SecretFiles.of(config)) as dsn, open_aio() as aio:
            return await aio.call(take_backup, dsn, place, told, timeout=_LONGEST)

    return trio.run(work)


def restore(config: Config, dump: Path) -> tuple[Manifest, list[Finding]]:
    """Blocks. Holds the lease's lock meanwhile. Raises the Failures of `restore_backup`, `LeaseHeld`,
    `StateDirectoryLocked`."""
    place = dump.absolute()

    async def work() -> tuple[Manifest, list[Finding]]:
        async with running_database(config, SecretFiles.of(config)) as dsn, open_aio() as aio:
            async with without_holder(aio, dsn):
                manifest = await aio.call(restore_backup, dsn, place, timeout=_LONGEST)
                return manifest, await aio.call(verify_database, dsn, message_rules(config), timeout=_LONGEST)

    return trio.run(work)


def verify(config: Config) -> list[Finding]:
    """Blocks. The daemon may run. Raises the Failures of reaching the database."""

    async def work() -> list[Finding]:
        async with reachable_database(config, SecretFiles.of(config)) as dsn, open_aio() as aio:
            return await aio.call(verify_database, dsn, message_rules(config), timeout=_LONGEST)

    return trio.run(work)
