"""Opening a connection, and telling the errors that pass from those that stay."""

from __future__ import annotations

from asyncio import timeout

import asyncpg

from fusion_daemon.domain.failure import Failure

CONNECT_TIMEOUT = 5.0
COMMAND_TIMEOUT = 30.0
"""Seconds a statement may take before the connection is given up; the server's own limit is shorter, so
that its answer comes first."""

SETTINGS = {
    "jit": "off",
    "timezone": "UTC",
    "statement_timeout": "25s",
    "lock_timeout": "10s",
    # A transaction whose client vanished must not hold its row locks until the kernel notices.
    "idle_in_transaction_session_timeout": "15s",
}


class SessionLost(Exception):
    """The connection ended under a piece of work. Passing: never leaves this room."""


PASSING = (
    SessionLost,
    OSError,  # refused, reset, no socket yet; TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, ended by statement_timeout
    asyncpg.TransactionRollbackError,  # serialization failure, deadlock
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidCachedStatementError,
)
"""What time may cure: the database is away or busy."""

REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)
"""What no waiting cures, when it is met while connecting."""


class StoreUnavailable(Failure):
    """The database did not answer, or not in time; nothing that was acknowledged is lost."""


class StoreRefused(Failure):
    """The database refuses this login: no waiting cures that."""


def refused_by_database(error: BaseException | None) -> bool:
    """Whether the server itself said no, for good. What the driver says may be about the connection."""
    return isinstance(error, asyncpg.PostgresError) and not isinstance(error, PASSING)


async def connect(dsn: str, *, purpose: str) -> asyncpg.Connection[asyncpg.Record]:
    """asyncio side. One connection of its own; no retry. Raises `StoreUnavailable` or `StoreRefused`."""
    try:
        async with timeout(CONNECT_TIMEOUT):
            return await asyncpg.connect(dsn, server_settings=settings(purpose))
    except REFUSED as error:
        raise refused(error) from error
    except PASSING as error:
        raise unavailable(f"could not be reached ({describe(error)})") from error


def settings(purpose: str) -> dict[str, str]:
    return {**SETTINGS, "application_name": f"fusion-daemon {purpose}"}


def describe(error: BaseException) -> str:
    """An error in one line. asyncpg's texts name hosts, roles and databases, never a password."""
    return f"{type(error).__name__}: {error}".split("\n", 1)[0].rstrip(": ")


def unavailable(how: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"The database {how}.",
        "Nothing new can be recorded until it answers; what was acknowledged is safe.",
        "Check that Postgres runs, accepts connections, and has disk space left.",
    )


def disk_full(error: BaseException) -> StoreUnavailable:
    return StoreUnavailable(
        f"The database's disk is full ({describe(error)}).",
        "Nothing new can be recorded until there is room; what was acknowledged is safe, and reading goes on.",
        "Make room on that disk; everything goes on by itself within seconds.",
    )


def refused(error: BaseException) -> StoreRefused:
    return StoreRefused(
        f"The database refused the login ({describe(error)}).",
        "The daemon has no store.",
        "Correct the role, the password or the database name in the configured DSN.",
    )
