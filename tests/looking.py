"""Processes that are not ours to instrument: all that a test can do is look again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PATIENCE = 30.0
_INTERVAL = 0.02


def until(holds: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Look again and again, up to a deadline (seconds)."""
    deadline, interval = time.monotonic() + patience, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        interval.wait(_INTERVAL)
