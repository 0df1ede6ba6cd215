"""Postgres: streams with one writer, cursors, commits that happen once, migrations, the embedded server."""

from __future__ import annotations

from fusion_daemon.store.binaries import BinariesMissing, NoServerAccount
from fusion_daemon.store.candidacy import (
    LEASE_CLOSE,
    Candidacy,
    LeaseRole,
    LeaseStanding,
    open_candidacy,
    without_holder,
)
from fusion_daemon.store.cluster import ClusterRefused, StateDirectoryLocked, StateDirectoryUnreachable
from fusion_daemon.store.commits import Fenced, Superseded, WriteConflict
from fusion_daemon.store.connect import StoreRefused, StoreUnavailable
from fusion_daemon.store.embedded import (
    EmbeddedPostgres,
    PostgresKeepsEnding,
    PostgresStartFailed,
    PostgresWouldNotStop,
    embedded_postgres,
    running_postgres,
)
from fusion_daemon.store.lease import Candidate, Lease, LeaseHeld, LeaseNotEnded, Taken
from fusion_daemon.store.migrate import (
    Migration,
    MigrationFailed,
    MigrationLocked,
    MigrationRefused,
    SchemaState,
    migrate,
    schema_state,
)
from fusion_daemon.store.rows import Row, UnexpectedColumn
from fusion_daemon.store.store import (
    POOLS_CLOSE,
    Claim,
    PoolStatistics,
    Reader,
    Store,
    StoreStatistics,
    open_store,
)
from fusion_daemon.store.trouble import Trouble
from fusion_daemon.store.writes import (
    Advance,
    Append,
    Commit,
    Copy,
    Execute,
    ExecuteMany,
    SqlScalar,
    SqlValue,
    Write,
)

__all__ = [
    "LEASE_CLOSE",
    "POOLS_CLOSE",
    "Advance",
    "Append",
    "BinariesMissing",
    "Candidacy",
    "Candidate",
    "Claim",
    "ClusterRefused",
    "Commit",
    "Copy",
    "EmbeddedPostgres",
    "Execute",
    "ExecuteMany",
    "Fenced",
    "Lease",
    "LeaseHeld",
    "LeaseNotEnded",
    "LeaseRole",
    "LeaseStanding",
    "Migration",
    "MigrationFailed",
    "MigrationLocked",
    "MigrationRefused",
    "NoServerAccount",
    "PoolStatistics",
    "PostgresKeepsEnding",
    "PostgresStartFailed",
    "PostgresWouldNotStop",
    "Reader",
    "Row",
    "SchemaState",
    "SqlScalar",
    "SqlValue",
    "StateDirectoryLocked",
    "StateDirectoryUnreachable",
    "Store",
    "StoreRefused",
    "StoreStatistics",
    "StoreUnavailable",
    "Superseded",
    "Taken",
    "Trouble",
    "UnexpectedColumn",
    "Write",
    "WriteConflict",
    "embedded_postgres",
    "migrate",
    "open_candidacy",
    "open_store",
    "running_postgres",
    "schema_state",
    "without_holder",
]
