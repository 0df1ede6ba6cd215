"""An ordered stop of the whole daemon: how long it may take, and what it leaves to be told.

Its stages come one after the other, each with a time of its own:
actors, branch by branch -> both HTTP servers -> the store's pools -> the lease -> the asyncio thread
 -> the embedded Postgres.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from fusion_daemon.aio import CLOSE_TIMEOUT
from fusion_daemon.runtime import Departure, StopReport, Zombie
from fusion_daemon.store import LEASE_CLOSE, POOLS_CLOSE
from fusion_daemon.store.embedded import STOP_LADDER

HTTP_STOP_TIMEOUT = 8.0
"""Seconds; of each of the two servers."""
ZOMBIES = 4
"""The exit code of a daemon that leaves somebody behind."""


def stop_budget(tree: float, *, embedded: bool) -> float:
    """Seconds that a stop takes at most: `tree` is the supervision tree's own budget, `embedded` whether the database
    stops with the daemon."""
    database = sum(patience for _, patience in STOP_LADDER) if embedded else 0.0
    loop = CLOSE_TIMEOUT + 1.0  # and the thread itself
    return tree + 2 * HTTP_STOP_TIMEOUT + POOLS_CLOSE + LEASE_CLOSE + loop + database


def tell_departures(report: StopReport, log: FilteringBoundLogger) -> None:
    """Every actor's, in the order in which they were told to stop."""
    departures = [_told(each) for each in report.departures if not each.supervisor]
    log.info("actors_stopped", departures=departures)


def end_with_zombies(zombies: Sequence[Zombie], error: BaseException | None, log: FilteringBoundLogger) -> None:
    """trio cannot end while a task of its own runs on, so a zombie would keep the process for ever. Everything
    that counts has been committed, and the embedded Postgres ends with its parent.

    `error`: what the daemon was ending with, and would have said; it has no other chance. With zombies this does not
    return: their tasks' stacks are in the log, every thread's follow on standard error.
    """
    if not zombies:
        return
    stacks = [
        {"actor": each.name, "life": each.life, "age": round(each.age, 3), "whereabouts": each.whereabouts}
        for each in zombies
    ]
    log.error("zombies_left_behind", zombies=stacks, exc_info=error)
    sys.stderr.flush()
    faulthandler.dump_traceback(all_threads=True)
    os._exit(ZOMBIES)


def _told(departure: Departure) -> Mapping[str, object]:
    told: dict[str, object] = {
        "actor": departure.name,
        "how": departure.how,
        "seconds": round(departure.seconds, 3),
    }
    more = {"reason": departure.cancelled, "error": departure.error, "whereabouts": departure.whereabouts}
    return told | {name: value for name, value in more.items() if value}
