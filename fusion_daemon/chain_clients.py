"""The chain room's clients for those who ask chains something else than their blocks: the rooms do not know each
other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import trio

from fusion_daemon.aio import Aio
from fusion_daemon.chain.rpc_patience import LONGEST_CROSSING, Patience
from fusion_daemon.chain.rpc_pools import OpenEndpoints
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import ChainId

T = TypeVar("T")

_CLOSE_SECONDS = 2.0
"""That a client takes at most to close its connections."""


class Client(Protocol):
    """Asyncio side."""

    async def close(self) -> None: ...


C = TypeVar("C", bound=Client)


class ChainClients(Generic[C]):
    """A client of its own for each chain; several may ask through the same endpoints. trio side."""

    def __init__(
        self,
        aio: Aio,
        chains: Iterable[ChainSettings],
        opened: Callable[[ChainSettings, OpenEndpoints], Awaitable[C]],
        endpoints: OpenEndpoints,
        patience: float,
    ) -> None:
        """`patience`: of one crossing with its nodes, in request timeouts."""
        self._aio = aio
        self._chains = {settings.chain: settings for settings in chains}
        self._open = opened
        self._endpoints = endpoints
        self._patience = patience
        self._clients: dict[ChainId, C] = {}

    async def __aenter__(self) -> Self:
        # Shielded: nobody would close what was opened when the others were not. It asks no node, so it takes no time.
        with trio.CancelScope(shield=True):
            for chain, settings in self._chains.items():
                self._clients[chain] = await self._aio.call(
                    self._open, settings, self._endpoints, timeout=settings.request_timeout
                )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Side by side, so that however many there are it is done within an actor's time to stop.
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for client in self._clients.values():
                    nursery.start_soon(self._close, client)

    async def _close(self, client: C) -> None:
        await self._aio.call(client.close, timeout=_CLOSE_SECONDS)

    async def ask(self, chain: ChainId, question: Callable[[C], Awaitable[T]]) -> T:
        """One crossing. Raises RpcFailure and AioError."""
        patience = Patience(self._chains[chain].request_timeout * self._patience)
        return await self._aio.call(patience.ask, partial(question, self._clients[chain]), timeout=LONGEST_CROSSING)
