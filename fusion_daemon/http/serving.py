"""The trio side of a server: up while a block runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from fusion_daemon.aio import Aio
from fusion_daemon.http.server import AdminServer, BoundTo

START_TIMEOUT = 10.0


@asynccontextmanager
async def serving(aio: Aio, server: AdminServer, stop_timeout: float) -> AsyncIterator[BoundTo]:
    """trio side: `server` listens inside the block and is closed after it, also when the block is
    cancelled. `stop_timeout` (seconds) must exceed the server's own `settings.stop`.

    Raises BindRefused, BindFailed and AioTimeout.
    """
    try:
        yield await aio.call(server.start, timeout=START_TIMEOUT)
    finally:
        with trio.CancelScope(shield=True):
            await aio.call(server.stop, timeout=stop_timeout)
