"""Something done for somebody who may lose patience."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from fusion_daemon.runtime.failures import NotRunning, SupervisionError


class Errand:
    """A change of the tree, run in its supervisor's nursery: one who waits for it and is cancelled leaves
    nothing half done, and a supervisor that comes down ends it."""

    __slots__ = ("_error", "_job", "_over")

    def __init__(self, supervisor: str, job: Callable[[], Awaitable[None]]) -> None:
        self._job = job
        self._over = trio.Event()
        self._error: SupervisionError | None = NotRunning(supervisor)

    async def run(self) -> None:
        try:
            await self._job()
            self._error = None
        except SupervisionError as error:
            self._error = error  # is raised where it is waited for
        finally:
            self._over.set()

    async def result(self) -> None:
        """Raises what the job raised, or `NotRunning`. Cancelled, it leaves the job alone."""
        await self._over.wait()
        if self._error is not None:
            raise self._error
