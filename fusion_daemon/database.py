"""Which Postgres the daemon uses: the one of the configuration, or the embedded one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit, urlunsplit

import trio

from fusion_daemon.aio import open_aio
from fusion_daemon.config import Config
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.store import embedded_postgres, migrate
from fusion_daemon.store.candidacy import MIGRATION_TIMEOUT
from fusion_daemon.store.cluster import dsn_of_running, require_cluster


def external_dsn(config: Config, secret: Callable[[str], str]) -> str | None:
    """The configured DSN with its password filled in; None: the embedded Postgres. Raises SecretMissing."""
    dsn = config.database.dsn
    if dsn is None or config.database.password is None:
        return dsn
    url = urlsplit(dsn)
    user, _, place = url.netloc.rpartition("@")
    password = quote(secret(config.database.password), safe="")
    return urlunsplit(url._replace(netloc=f"{user}:{password}@{place}"))


def database_name(config: Config) -> str:
    """For people: which database that is, without its password."""
    return config.database.dsn or f"the embedded Postgres in {config.daemon.state_directory}"


@asynccontextmanager
async def reachable_database(config: Config, secret: Callable[[str], str]) -> AsyncIterator[str]:
    """trio side: as `running_database`, and the embedded server of a daemon that runs serves as well. One that nobody
    has made yet is not made: raises `ClusterMissing`."""
    if config.database.dsn is None:
        dsn = dsn_of_running(config.daemon.state_directory)
        if dsn is not None:
            yield dsn
            return
        require_cluster(config.daemon.state_directory)
    async with running_database(config, secret) as dsn:
        yield dsn


@asynccontextmanager
async def running_database(config: Config, secret: Callable[[str], str]) -> AsyncIterator[str]:
    """trio side: a DSN that answers inside the block."""
    dsn = external_dsn(config, secret)
    if dsn is not None:
        yield dsn
        return
    async with embedded_postgres(config.daemon.state_directory) as server:
        yield server.dsn


def migrate_database(config: Config) -> list[str]:
    """Apply what is pending; the names of what was applied. Raises MigrationRefused and the store's Failures."""

    async def bring_up() -> list[str]:
        async with running_database(config, SecretFiles.of(config)) as dsn, open_aio() as aio:
            return [one.name for one in await aio.call(migrate, dsn, timeout=MIGRATION_TIMEOUT)]

    return trio.run(bring_up)
