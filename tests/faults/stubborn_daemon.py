"""`fusion-daemon` with two actors that misbehave on an ordered stop: one does not go at all, one not before its cancel.

A process of its own, since it leaves the tests' process no other way to look at what the shipped exit does.
"""

from __future__ import annotations

import threading

import trio

from actors.oracle_poller import OraclePoller
from actors.retention_keeper import RetentionKeeper
from fusion_daemon import branches
from fusion_daemon.cli import main
from fusion_daemon.runtime import ActorContext

_NEVER = threading.Event()


class Stubborn(RetentionKeeper):
    """In a thread that nobody can cancel, as in a call of C code that does not return."""

    async def run(self, context: ActorContext) -> None:
        context.started()
        await trio.to_thread.run_sync(self.hold_on)

    @staticmethod
    def hold_on() -> None:
        _NEVER.wait()


class Slow(OraclePoller):
    async def run(self, context: ActorContext) -> None:
        context.started()
        await trio.sleep_forever()


if __name__ == "__main__":
    vars(branches).update(RetentionKeeper=Stubborn, OraclePoller=Slow)
    branches.PARTING["retention_keeper"] = (0.1, 0.3)
    branches.PARTING["oracle_poller"] = (0.1, 5.0)
    main()
