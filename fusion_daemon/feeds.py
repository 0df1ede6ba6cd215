"""The oracle's view calls: batches of `eth_call` on the latest block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusion_daemon.aio import Aio, AioError
from fusion_daemon.chain.rpc import ChainRpc, open_rpc
from fusion_daemon.chain.rpc_errors import RpcFailure
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain_clients import ChainClients
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.oracle.calls import Call, CallFailed

_PATIENCE = 2.0
"""Of one crossing, in request timeouts: the chain id may have to be proved first."""


class ChainCalls(ChainClients[ChainRpc]):
    """trio side."""

    def __init__(
        self, aio: Aio, chains: Iterable[ChainSettings], endpoints: OpenEndpoints = own_endpoints
    ) -> None:
        super().__init__(aio, chains, open_rpc, endpoints, _PATIENCE)

    async def __call__(self, chain: ChainId, calls: Sequence[Call]) -> Sequence[bytes | CallFailed]:
        """Raises CallFailed when the batch as a whole has no answer."""
        try:
            answers = await self.ask(chain, lambda client: client.view(calls))
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
