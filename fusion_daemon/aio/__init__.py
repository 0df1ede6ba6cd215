"""The one door to asyncio: a uvloop loop in one thread, called from trio, with a portal back.

INVARIANTS
* One call is one coroutine. Neither side returns to its caller before the task on the other side has
  ended, whatever is cancelled. (A dead loop thread is the exception: there is nothing to wait for.)
* Cancellation is forwarded both ways. trio repeats a cancel until it is obeyed, asyncio delivers it
  once: so a callee that still runs `swallow_grace` seconds after its cancel is counted by name as
  having swallowed it, and is cancelled again, as often as it takes.
* A known outcome is not thrown away: a callee that finished although it was cancelled or late
  delivers its value or its error to the trio caller.
* A callee's KeyboardInterrupt or SystemExit reaches its caller and never the loop, which would end
  on it.

Knows nothing of the project. On virtual time a pending call
does not hold trio's clock back: tests of code behind this door run in real time.
"""

from __future__ import annotations

from fusion_daemon.aio.door import CLOSE_TIMEOUT, Aio, open_aio
from fusion_daemon.aio.errors import AioDead, AioError, AioTimeout, CalleeCancelled, CalleeExited
from fusion_daemon.aio.loop_thread import BackgroundFailure
from fusion_daemon.aio.stalls import Stall
from fusion_daemon.aio.statistics import BUCKETS, AioStatistics, CrossingStatistics, Histogram, LoopStatistics

__all__ = [
    "BUCKETS",
    "CLOSE_TIMEOUT",
    "Aio",
    "AioDead",
    "AioError",
    "AioStatistics",
    "AioTimeout",
    "BackgroundFailure",
    "CalleeCancelled",
    "CalleeExited",
    "CrossingStatistics",
    "Histogram",
    "LoopStatistics",
    "Stall",
    "open_aio",
]
