"""How the interpreter divides itself among the daemon's threads: trio's loop, asyncio's, and those that compute."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL = 0.0001
"""Seconds: with the default of 5 ms a thread that computes would delay trio's loop, which may have to wait for several
of them in turn. It costs about 3 % of a busy core more than half a millisecond would."""


def prepare_interpreter() -> None:
    """Once, when everything is imported. What is there by then stays to the end, so no collection has to look at it:
    each that did would hold all threads for tens of milliseconds."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
