"""Does the process move? What `/-/live` tells, who is started again because he hangs, and what keeps the service
manager's watchdog fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from fusion_daemon.aio import AioStatistics
from fusion_daemon.http.admin_routes import Beat
from fusion_daemon.runtime import Supervisor, stalled
from fusion_daemon.store import Trouble

LOOK_SECONDS = 1.0
LOOP_LIMIT = 5.0
"""Seconds without a beat after which a loop counts as stuck."""


def loop_beats(seen: AioStatistics) -> Sequence[Beat]:
    """Of both loops."""
    return (
        Beat("asyncio", seen.asyncio_loop.beat_age, LOOP_LIMIT),
        Beat("trio", seen.trio_loop.beat_age, LOOP_LIMIT),
    )


def stuck_loops(seen: AioStatistics) -> Sequence[str]:
    """A sentence for each."""
    return [f"{beat.name} loop: no beat for {beat.age:.1f} s" for beat in loop_beats(seen) if beat.age > beat.limit]


async def revive_stalled(tree: Supervisor, trouble: Callable[[], Trouble | None]) -> None:
    """Until it is cancelled: whoever hangs is started again, alone, long before the service manager would end all of
    them."""
    while True:
        await trio.sleep(LOOK_SECONDS)
        # Who waits for a database that is away or full is not stuck, and a restart would cure nothing.
        if trouble() is None:
            tree.revive_stalled()


def reasons_to_starve(seen: AioStatistics, tree: Supervisor, trouble: Trouble | None) -> Sequence[str]:
    """Why the watchdog may not be fed: a loop without a beat, a critical actor without progress, a zombie."""
    # Who waits for a database that is away or full is not stuck, and a restart would cure nothing.
    stuck = () if trouble is not None else stalled(tree.tree())
    reasons = [*stuck_loops(seen), *(f"{found.name}: {found.reason}" for found in stuck)]
    return reasons + [f"{zombie.name}: would not stop" for zombie in tree.zombies()]
