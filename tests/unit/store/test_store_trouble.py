"""Rules: a full disk is over when something was written, not when something was read; one that flaps is one spell."""

from __future__ import annotations

import asyncpg
import pytest

from fusion_daemon.store.trouble import AWAY, DISK_FULL, SPELL, Troubles

FULL = asyncpg.DiskFullError('could not extend file "base/1": No space left on device')


class Times:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def state(troubles: Troubles) -> str | None:
    return None if troubles.present is None else troubles.present.state


def test_reading_does_not_end_a_full_disk_and_writing_does_after_a_moment() -> None:
    # 53100, reads, 53100 … write, a moment
    times = Times()
    troubles = Troubles(times)
    troubles.failed(FULL)
    times.now += 60
    troubles.answered()
    assert state(troubles) == DISK_FULL
    troubles.written()
    assert state(troubles) is None


def test_a_small_commit_that_finds_room_meanwhile_does_not_make_it_flap() -> None:
    times = Times()
    troubles = Troubles(times)
    troubles.failed(FULL)
    assert troubles.present is not None
    since = troubles.present.since
    for _ in range(10):
        troubles.written()
        assert state(troubles) == DISK_FULL
        times.now += SPELL / 2
        troubles.failed(FULL)
    assert troubles.present.since == since
    troubles.written()
    times.now += SPELL
    assert state(troubles) is None


@pytest.mark.parametrize("error", [ConnectionRefusedError("no"), asyncpg.CannotConnectNowError("starting up")])
def test_a_server_that_was_away_is_back_with_its_first_answer(error: Exception) -> None:
    troubles = Troubles()
    troubles.failed(error)
    assert state(troubles) == AWAY
    troubles.answered()
    assert state(troubles) is None


def test_a_server_that_dies_of_the_full_disk_stays_full_while_it_is_away() -> None:
    troubles = Troubles()
    troubles.failed(asyncpg.ConnectionDoesNotExistError('could not write to "pg_wal/x": No space left on device'))
    troubles.failed(ConnectionRefusedError("no"))
    troubles.answered()
    assert state(troubles) == DISK_FULL


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError("x"), asyncpg.TooManyConnectionsError("x")])
def test_a_busy_database_is_no_trouble(error: Exception) -> None:
    troubles = Troubles()
    troubles.failed(error)
    assert state(troubles) is None
