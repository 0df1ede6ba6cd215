"""Where logs stand in their receipts, for the message tracker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from actors.message_folding import receipts_unavailable
from fusion_daemon.aio import Aio, AioError
from fusion_daemon.chain.rpc import ChainRpc, open_rpc
from fusion_daemon.chain.rpc_errors import RpcFailure
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain_clients import ChainClients
from fusion_daemon.domain.identifiers import ChainId, Hash32

_PATIENCE = 2.0
"""Of one crossing, in request timeouts: the chain id may have to be proved first."""


def longest_silence(chains: Iterable[ChainSettings]) -> float:
    """Seconds that the tracker may wait for the receipts of RECEIPTS_AT_ONCE transactions."""
    return _PATIENCE * max((each.request_timeout for each in chains), default=0.0)


class ChainReceipts(ChainClients[ChainRpc]):
    """trio side."""

    def __init__(
        self, aio: Aio, chains: Iterable[ChainSettings], endpoints: OpenEndpoints = own_endpoints
    ) -> None:
        super().__init__(aio, chains, open_rpc, endpoints, _PATIENCE)

    async def __call__(self, chain: ChainId, transactions: Sequence[Hash32]) -> Mapping[tuple[Hash32, int], int]:
        """See `actors.message_folding.Receipts`."""
        try:
            receipts = await self.ask(chain, lambda client: client.fetch_receipt_logs(transactions))
        except RpcFailure as failure:
            raise receipts_unavailable(chain, f"did not tell receipts: {failure.happened}") from failure
        except AioError as error:
            raise receipts_unavailable(chain, f"did not tell receipts ({error})") from error
        return {(log.block_hash, log.log_index): place for logs in receipts for place, log in enumerate(logs)}
