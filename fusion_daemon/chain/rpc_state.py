"""A chain's state at one block: code, calls, receipts, and the logs that led to it. asyncio side.

For commands that look at what is deployed; the listener's questions are `rpc`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.chain.blocks import Creation, Log
from fusion_daemon.chain.range_rules import Said, classify
from fusion_daemon.chain.ranges import first_size
from fusion_daemon.chain.rpc_endpoints import Endpoint, raise_error
from fusion_daemon.chain.rpc_errors import RpcFailure, block_unknown, endpoint_fault, quote_node
from fusion_daemon.chain.rpc_pools import own_endpoints
from fusion_daemon.chain.rpc_wire import (
    CREATIONS,
    LOGS,
    TEXTS,
    Call,
    Param,
    TextAnswer,
    WireCreation,
    log_reader,
    number_of,
)
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of, parse_address

_CALLS_PER_BATCH = 50


class StateRpc:
    """One endpoint, the first that answers, for as long as this is open. Every method raises a subclass of
    RpcFailure and nothing else."""

    def __init__(self, settings: ChainSettings) -> None:
        self._settings = settings
        self._endpoints = own_endpoints(settings)

    async def close(self) -> None:
        await self._endpoints.close()

    async def height(self) -> int:
        """Of the latest block, from an endpoint that has proved its chain id."""
        endpoint = await self._proved()
        [answer] = await self._endpoints.ask(endpoint, [("eth_blockNumber", [])], TEXTS)
        raise_error(endpoint.url, answer.error)
        try:
            return number_of(answer.result or "")
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"has no latest block ({error})") from error

    async def ask(self, calls: Sequence[Call]) -> list[bytes | RpcFailure]:
        """Calls whose answers are octets, in order; one that was refused is an RpcFailure in its place."""
        endpoint = await self._proved()
        found: list[bytes | RpcFailure] = []
        for start in range(0, len(calls), _CALLS_PER_BATCH):
            answers = await self._endpoints.ask(endpoint, calls[start : start + _CALLS_PER_BATCH], TEXTS)
            found += [_octets(endpoint.url, answer) for answer in answers]
        return found

    async def creations(self, transactions: Sequence[Hash32]) -> list[Creation | None]:
        """In order; None: the node does not know the transaction."""
        if not transactions:
            return []
        endpoint = await self._proved()
        calls: list[Call] = [("eth_getTransactionReceipt", [hex_of(each)]) for each in transactions]
        answers = await self._endpoints.ask(endpoint, calls, CREATIONS)
        for answer in answers:
            raise_error(endpoint.url, answer.error)
        try:
            return [None if answer.result is None else _creation(answer.result) for answer in answers]
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"answered with a malformed receipt ({error})") from error

    async def logs(self, contract: Address, topics: Sequence[Hash32], first: int, last: int) -> list[Log]:
        """The contract's logs of blocks first..last with one of these first topics, in their order, in ranges such as
        the provider gives."""
        endpoint = await self._proved()
        found: list[Log] = []
        size = first_size(self._settings.longest_span, self._settings.logs_per_answer)
        while first <= last:
            end = size.last(first, last)
            part = await self._logs(endpoint, contract, topics, first, end)
            if isinstance(part, Said):
                size = size.after_refusal(first, end, part.refusal)
                continue
            size = size.after_answer(end - first + 1, len(part))
            found += part
            first = end + 1
        return found

    async def _logs(
        self, endpoint: Endpoint, contract: Address, topics: Sequence[Hash32], first: int, last: int
    ) -> list[Log] | Said:
        """What the provider said of the range when it wants a smaller one, and there is one."""
        kinds: Param = [[hex_of(topic) for topic in topics]]
        query: Param = {"address": [hex_of(contract)], "topics": kinds, "fromBlock": hex(first), "toBlock": hex(last)}
        [answer] = await self._endpoints.ask(endpoint, [("eth_getLogs", [query])], LOGS)
        if answer.error is not None and first < last:
            said = classify(answer.error.code, answer.error.message)
            if said is not None:
                return said
        raise_error(endpoint.url, answer.error)
        if answer.result is None:
            raise block_unknown(endpoint.url, f"the logs of blocks {first} to {last}")
        try:
            return list(map(log_reader(), answer.result))
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"answered with a malformed log ({error})") from error

    async def _proved(self) -> Endpoint:
        endpoint = self._endpoints.choose()
        await self._endpoints.prove(endpoint)
        return endpoint


async def open_state(settings: ChainSettings) -> StateRpc:
    """Opens no connection yet; `close()` ends those that were opened."""
    return StateRpc(settings)


def _creation(told: WireCreation) -> Creation:
    """Raises ValueError when it is malformed."""
    contract = None if told.contract_address is None else parse_address(told.contract_address)
    return Creation(number_of(told.status) == 1, number_of(told.block_number), contract)


def _octets(url: str, answer: TextAnswer) -> bytes | RpcFailure:
    if answer.error is not None:
        return endpoint_fault(url, f"refused a call: {quote_node(url, answer.error.message)}")
    try:
        return bytes.fromhex((answer.result or "").removeprefix("0x"))
    except ValueError:
        return endpoint_fault(url, "answered a call with something that is not hexadecimal")
