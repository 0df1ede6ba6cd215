"""The oracle's view calls, made with the chain room's client: the rooms do not know each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

import trio

from fusion_daemon.aio import Aio, AioError
from fusion_daemon.chain.rpc import ChainRpc, open_rpc
from fusion_daemon.chain.rpc_errors import RpcFailure
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.oracle.calls import Call, CallFailed

_PATIENCE = 2.0
"""Of one crossing, in request timeouts: the chain id may have to be proved first."""

_CLOSE_SECONDS = 2.0
"""That a client takes at most to close its connections."""


class ChainCalls:
    """Batches of `eth_call` on the latest block, a client of its own for each chain. trio side."""

    def __init__(self, aio: Aio, chains: Iterable[ChainSettings]) -> None:
        self._aio = aio
        self._chains = {settings.chain: settings for settings in chains}
        self._clients: dict[ChainId, ChainRpc] = {}

    async def __aenter__(self) -> Self:
        for chain, settings in self._chains.items():
            self._clients[chain] = await self._aio.call(open_rpc, settings, timeout=settings.request_timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Side by side, so that however many there are it is done within the poller's time to stop.
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for client in self._clients.values():
                    nursery.start_soon(self._close, client)

    async def _close(self, client: ChainRpc) -> None:
        await self._aio.call(client.close, timeout=_CLOSE_SECONDS)

    async def __call__(self, chain: ChainId, calls: Sequence[Call]) -> Sequence[bytes | CallFailed]:
        """Raises CallFailed when the batch as a whole has no answer."""
        patience = self._chains[chain].request_timeout * _PATIENCE
        try:
            answers = await self._aio.call(self._clients[chain].view, calls, timeout=patience)
        except RpcFailure as failure:
            raise CallFailed(failure.happened, failure.means, failure.remedy) from failure
        except AioError as error:
            raise CallFailed(
                f"Chain {chain} did not answer ({error}).",
                "Its feeds are silent.",
                "Check its RPC endpoints.",
            ) from error
        return [
            answer if isinstance(answer, bytes) else CallFailed(answer.happened, answer.means, answer.remedy)
            for answer in answers
        ]
