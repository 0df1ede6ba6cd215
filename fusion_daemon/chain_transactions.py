"""The sender's questions, asked with the chain room's client: the rooms do not know each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from fusion_daemon.aio import Aio, AioError
from fusion_daemon.chain.rpc_errors import RpcFailure
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.rpc_transactions import CallRefused, TransactionRpc, open_transaction_rpc
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain_clients import ChainClients
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.transaction import Intent
from fusion_daemon.transactions.decide import Reverted, Sight, Trial
from fusion_daemon.transactions.fees import market_of
from fusion_daemon.transactions.node import NodeSilent, NotSimulated, answer_of
from fusion_daemon.transactions.nonces import Counts
from fusion_daemon.transactions.records import Answer, Receipt
from fusion_daemon.transactions.reverts import reason_of

T = TypeVar("T")

_PATIENCE = 3.0
"""Of one crossing, in request timeouts: chain id, head, and what is asked."""


class ChainTransactions(ChainClients[TransactionRpc]):
    """`Nodes` of the transactions room; a client of its own for each chain. Trio side."""

    def __init__(
        self, aio: Aio, chains: Iterable[ChainSettings], endpoints: OpenEndpoints = own_endpoints
    ) -> None:
        super().__init__(aio, chains, open_transaction_rpc, endpoints, _PATIENCE)

    async def look(self, chain: ChainId, signer: Address, hashes: Sequence[Hash32]) -> Sight:
        seen = await self._answer(chain, lambda client: client.look(signer, hashes))
        try:
            market = market_of(seen.base_fees, seen.rewards)
        except ValueError as error:
            raise _silent(chain, f"has no base fee ({error})") from error
        return Sight(
            head=seen.head,
            final=seen.final,
            counts=Counts(seen.final_count, seen.latest_count, seen.pending_count),
            market=market,
            receipts={
                hash_: Receipt(hash_, each.block_number, each.block_hash, each.succeeded, each.gas_used, each.gas_price)
                for hash_, each in seen.receipts.items()
            },
            known=seen.known,
        )

    async def simulate(self, intent: Intent) -> Trial | Reverted:
        found = await self._answer(
            intent.chain, lambda client: client.simulate(intent.signer, intent.to, intent.data, intent.value)
        )
        if not isinstance(found, CallRefused):
            return Trial(found)
        if found.reverted:
            return Reverted(reason_of(found.data, found.message))
        raise NotSimulated(
            f"Chain {intent.chain} does not simulate {intent.id}: {found.message}.",
            "It waits, unsigned.",
            "Look at the signer's balance, or cancel it.",
        )

    async def broadcast(self, chain: ChainId, raw: bytes) -> tuple[Answer, str]:
        refusal = await self._answer(chain, lambda client: client.submit(raw))
        return answer_of(refusal), refusal or ""

    async def _answer(self, chain: ChainId, question: Callable[[TransactionRpc], Awaitable[T]]) -> T:
        try:
            return await self.ask(chain, question)
        except RpcFailure as failure:
            raise NodeSilent(failure.happened, failure.means, failure.remedy) from failure
        except AioError as error:
            raise _silent(chain, f"did not answer ({error})") from error


def _silent(chain: ChainId, what: str) -> NodeSilent:
    return NodeSilent(
        f"Chain {chain} {what}.",
        "What is to be sent there waits; what was sent may have arrived.",
        "Check its RPC endpoints.",
    )
