"""Rule: nobody is taken for stuck who waits for a database that is not yet known to be away."""

from __future__ import annotations

import inspect

from fusion_daemon.branches import BEAT_LIMIT
from fusion_daemon.liveness import LOOK_SECONDS
from fusion_daemon.store import Store
from fusion_daemon.store.connect import COMMAND_TIMEOUT, CONNECT_TIMEOUT
from fusion_daemon.store.pool import CLEAN_UP


def test_a_statement_without_an_answer_is_the_databases_fault_first() -> None:
    """It fails by its own deadline, which shows that the database is away; until then nobody knows."""
    assert CONNECT_TIMEOUT + COMMAND_TIMEOUT + CLEAN_UP + LOOK_SECONDS < BEAT_LIMIT


def test_reading_ends_by_its_own_deadline() -> None:
    longest = inspect.signature(Store.read).parameters["timeout"].default
    assert longest + CLEAN_UP + LOOK_SECONDS < BEAT_LIMIT
