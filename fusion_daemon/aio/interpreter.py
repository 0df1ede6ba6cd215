"""One interpreter for two loops: how they take turns."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL = 0.0005
"""Seconds: with the default of 5 ms an API flood would delay trio's loop."""


def share_interpreter() -> None:
    """For a process that is about to live long: call it once, when all is imported.

    What exists by then never becomes garbage. Left to the collector, each of its full passes would look at all of it,
    and hold both loops for some 50 ms.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
