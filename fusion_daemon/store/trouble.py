"""Why nothing can be recorded at present, from the errors and successes of the actors' connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from fusion_daemon.store.connect import SessionLost, StoreUnavailable, describe, disk_full, unavailable

DISK_FULL = "disk full"
AWAY = "away"
NO_SPACE = "No space left on device"
"""A server that has just died of it says so in its farewell, under another code."""

SPELL = 2.0
"""Seconds: longer than the longest pause between two tries, so that a full disk on which a small commit still
finds room, while others fail, is one spell."""

_AWAY_ERRORS = (SessionLost, OSError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError)


@dataclass(frozen=True, slots=True)
class Trouble:
    state: str
    """`disk full` or `away`."""
    since: float
    """Unix seconds."""
    failure: StoreUnavailable


class Troubles:
    """INVARIANT: a full disk is over when something was written after its last error and SPELL has passed;
    reading proves nothing. A server that was away is back with its first answer."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._present: Trouble | None = None
        self._failed_at = 0.0
        self._written_at = 0.0

    @property
    def present(self) -> Trouble | None:
        found = self._present
        if found is None or found.state != DISK_FULL or self._written_at <= self._failed_at:
            return found
        return found if self._monotonic() - self._failed_at < SPELL else None

    def failed(self, error: BaseException) -> None:
        present = self.present
        if isinstance(error, asyncpg.DiskFullError) or NO_SPACE in str(error):
            self._failed_at = self._monotonic()
            if present is None or present.state != DISK_FULL:
                self._present = Trouble(DISK_FULL, time.time(), disk_full(error))
        elif isinstance(error, _AWAY_ERRORS) and present is None:
            self._present = Trouble(AWAY, time.time(), unavailable(f"does not answer ({describe(error)})"))
        # Anything else is a busy database, not one that is away: a deadlock, a lock, too many connections.

    def answered(self) -> None:
        if self._present is not None and self._present.state == AWAY:
            self._present = None

    def written(self) -> None:
        self._written_at = self._monotonic()
