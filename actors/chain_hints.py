"""Heads that a chain's node announces, brought from asyncio's side to the listener's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from fusion_daemon.aio import Aio
from fusion_daemon.chain.rpc_heads import HeadStatistics, open_heads
from fusion_daemon.chain.settings import ChainSettings

_DOOR_SECONDS = 5.0


@asynccontextmanager
async def announced(aio: Aio, settings: ChainSettings, ring: Callable[[], None]) -> AsyncIterator[HeadStatistics]:
    """While the body runs, `ring` is called when a head was announced. Trio side."""

    async def hint() -> None:
        ring()

    with trio.CancelScope(shield=True):  # cancelled in the midst of it, nobody would close what was opened
        told = partial(aio.to_trio, hint, timeout=_DOOR_SECONDS)
        heads = await aio.call(open_heads, settings, told, timeout=_DOOR_SECONDS)
    try:
        yield heads.statistics
    finally:
        with trio.CancelScope(shield=True):
            await aio.call(heads.close, timeout=_DOOR_SECONDS)
