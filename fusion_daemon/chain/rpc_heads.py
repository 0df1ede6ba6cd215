"""New heads as a node announces them over a WebSocket: a hint that looking pays now, and nothing else.

INVARIANTS
* Nothing that is said here is believed: who is told looks at an endpoint, as ever. The chain is polled in any case, so
  a socket that is silent, lost, or talks nonsense is no fault of the chain; it is opened again, ever more seldom.
* Hints come at most once in `shortest` seconds, however many are sent. asyncio side.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import msgspec

from fusion_daemon.aio import AioDead, AioTimeout
from fusion_daemon.chain.settings import ChainSettings

_SHORTEST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_LONGEST_SILENCE = 120.0
"""Seconds without a head: perhaps the node forgot us. It is asked anew."""
_PING_SECONDS = 20.0
_LARGEST_MESSAGE = 1 << 20
_SUBSCRIBE = '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}'

Hint = Callable[[], Awaitable[None]]


class _Announcement(msgspec.Struct, frozen=True):
    """Of a head; the answer to the subscription is none."""

    method: str = ""


@dataclass(slots=True)
class HeadStatistics:
    heads: int = 0
    """Announced."""
    losses: int = 0
    """Sockets that could not be opened, or ended."""


class NewHeads:
    """Listens at each `ws_url` of a chain until it is closed; any of them is enough."""

    def __init__(self, settings: ChainSettings, session: aiohttp.ClientSession, hint: Hint) -> None:
        self._settings = settings
        self._session = session
        self._hint = hint
        self._next = 0.0
        self.statistics = HeadStatistics()
        """Safe to read from any thread."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._hear(url)) for url in settings.ws_urls]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()

    async def _hear(self, url: str) -> None:
        wait = _SHORTEST_WAIT
        while True:
            before = self.statistics.heads
            try:
                await self._listen(url)
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, msgspec.DecodeError, AioTimeout):
                pass  # lost: the chain is polled; its endpoints say what is wrong with the node
            except AioDead:
                return  # there is nobody any more to be told
            self.statistics.losses += 1
            wait = _SHORTEST_WAIT if self.statistics.heads > before else min(2 * wait, _LONGEST_WAIT)
            await asyncio.sleep(wait)

    async def _listen(self, url: str) -> None:
        """Until the socket ends, or says what nobody understands."""
        opening = self._session.ws_connect(url, heartbeat=_PING_SECONDS, max_msg_size=_LARGEST_MESSAGE)
        async with asyncio.timeout(self._settings.request_timeout):
            socket = await opening
        try:
            await socket.send_str(_SUBSCRIBE)
            while True:
                message = await socket.receive(timeout=_LONGEST_SILENCE)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                if msgspec.json.decode(message.data, type=_Announcement).method == "eth_subscription":
                    self.statistics.heads += 1
                    await self._tell()
        finally:
            await socket.close()

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next:
            self._next = loop.time() + self._settings.poll.shortest
            await self._hint()


async def open_heads(settings: ChainSettings, hint: Hint) -> NewHeads:
    """Asyncio side."""
    return NewHeads(settings, aiohttp.ClientSession(), hint)
