"""What a sender of transactions asks of a chain. Asyncio side; one method is one crossing.

All that is seen of one signer at one moment comes from one endpoint: a count from one node and a receipt from another
would contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from fusion_daemon.chain.rpc import ChainRpc
from fusion_daemon.chain.rpc_endpoints import Endpoint, Endpoints, raise_error
from fusion_daemon.chain.rpc_errors import quote_node
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.rpc_wire import RAWS, Call, Param, RawAnswer, WireError, number_of
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of

T = TypeVar("T")

_FEE_BLOCKS = 10
_MEDIAN: list[Param] = [50]
"""Percentile."""
_NOTHING = b"null"
_REVERTED = 3
"""The code of a call that reverts, on nodes that tell it from their own errors."""


class WireMined(msgspec.Struct, frozen=True, rename="camel"):
    block_number: str
    block_hash: str
    status: str
    gas_used: str
    effective_gas_price: str = "0x0"


class WireFees(msgspec.Struct, frozen=True, rename="camel"):
    base_fee_per_gas: list[str]
    reward: list[list[str]] | None = None


@dataclass(frozen=True, slots=True)
class MinedReceipt:
    block_number: int
    block_hash: Hash32
    succeeded: bool
    gas_used: int
    gas_price: int


@dataclass(frozen=True, slots=True)
class SignerSight:
    head: int
    final: int
    final_count: int
    latest_count: int
    pending_count: int
    base_fees: tuple[int, ...]
    """The next block's last."""
    rewards: tuple[int, ...]
    receipts: Mapping[Hash32, MinedReceipt]
    known: frozenset[Hash32]


@dataclass(frozen=True, slots=True)
class CallRefused:
    message: str
    data: bytes
    reverted: bool
    """By the contract; else the node refused it for a reason of its own."""


class TransactionRpc:
    """Every method raises a subclass of RpcFailure and nothing else; cancelled, `submit` may have happened."""

    def __init__(self, settings: ChainSettings, endpoints: Endpoints) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._chain = ChainRpc(settings, endpoints)

    async def close(self) -> None:
        await self._endpoints.close()

    async def look(self, signer: Address, hashes: Sequence[Hash32]) -> SignerSight:
        """`hashes` of what was signed and may be on the chain."""
        head = await self._chain.fetch_head()
        endpoint = self._endpoints.at(head.endpoint)
        number = head.header.number
        final = head.finalized if head.finalized is not None else max(0, number - self._settings.finality_depth)
        answers = await self._endpoints.ask(endpoint, _looking(signer, hashes, final), RAWS)
        receipts = [self._mined(endpoint, each) for each in answers[: len(hashes)]]
        seen = [self._read(endpoint, each, msgspec.Raw) for each in answers[len(hashes) : -4]]
        counts = [self._number(endpoint, each) for each in answers[-4:-1]]
        fees = self._read(endpoint, answers[-1], WireFees)
        try:
            return SignerSight(
                head=number,
                final=final,
                final_count=counts[0],
                latest_count=counts[1],
                pending_count=counts[2],
                base_fees=tuple(int(each, 16) for each in fees.base_fee_per_gas),
                rewards=tuple(int(each, 16) for block in fees.reward or () for each in block[:1]),
                receipts={hash_: each for hash_, each in zip(hashes, receipts, strict=True) if each is not None},
                known=frozenset(hash_ for hash_, each in zip(hashes, seen, strict=True) if bytes(each) != _NOTHING),
            )
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"answered with a malformed fee ({error})") from error

    async def simulate(self, signer: Address, to: Address, data: bytes, value: int) -> int | CallRefused:
        """On the pending block: the gas that it needs."""
        endpoint = self._endpoints.choose()
        await self._endpoints.prove(endpoint)
        call: Param = {"from": hex_of(signer), "to": hex_of(to), "data": hex_of(data), "value": hex(value)}
        calls: list[Call] = [(method, [call, "pending"]) for method in ("eth_call", "eth_estimateGas")]
        answers = await self._endpoints.ask(endpoint, calls, RAWS)
        for answer in answers:
            if answer.error is not None:
                return _refusal(endpoint.url, answer.error)
        return self._number(endpoint, answers[1])

    async def submit(self, raw: bytes) -> str | None:
        """None when the node took it, else what it says."""
        endpoint = self._endpoints.choose()
        await self._endpoints.prove(endpoint)
        [answer] = await self._endpoints.ask(endpoint, [("eth_sendRawTransaction", [hex_of(raw)])], RAWS)
        return None if answer.error is None else quote_node(endpoint.url, answer.error.message)

    def _mined(self, endpoint: Endpoint, answer: RawAnswer) -> MinedReceipt | None:
        if bytes(self._read(endpoint, answer, msgspec.Raw)) == _NOTHING:
            return None
        try:
            return _receipt(self._read(endpoint, answer, WireMined))
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"answered with a malformed receipt ({error})") from error

    def _read(self, endpoint: Endpoint, answer: RawAnswer, kind: type[T]) -> T:
        raise_error(endpoint.url, answer.error)
        try:
            return msgspec.json.decode(answer.result, type=kind)
        except msgspec.DecodeError as error:
            raise self._endpoints.fault(endpoint, f"did not answer what was asked ({error})") from error

    def _number(self, endpoint: Endpoint, answer: RawAnswer) -> int:
        try:
            return number_of(self._read(endpoint, answer, str))
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"did not answer a number ({error})") from error


async def open_transaction_rpc(settings: ChainSettings, opened: OpenEndpoints = own_endpoints) -> TransactionRpc:
    """Asyncio side. Opens no connection yet; `close()` ends those that were opened."""
    return TransactionRpc(settings, opened(settings))


def _looking(signer: Address, hashes: Sequence[Hash32], final: int) -> list[Call]:
    calls: list[Call] = [("eth_getTransactionReceipt", [hex_of(each)]) for each in hashes]
    calls += [("eth_getTransactionByHash", [hex_of(each)]) for each in hashes]
    calls += [("eth_getTransactionCount", [hex_of(signer), tag]) for tag in (hex(final), "latest", "pending")]
    return [*calls, ("eth_feeHistory", [hex(_FEE_BLOCKS), "latest", [*_MEDIAN]])]


def _receipt(wire: WireMined) -> MinedReceipt:
    octets = bytes.fromhex(wire.block_hash.removeprefix("0x"))
    if len(octets) != 32:
        raise ValueError("a block hash of another length")
    return MinedReceipt(
        number_of(wire.block_number),
        Hash32(octets),
        number_of(wire.status) == 1,
        number_of(wire.gas_used),
        int(wire.effective_gas_price, 16),
    )


def _refusal(url: str, error: WireError) -> CallRefused:
    data = _returned(bytes(error.data))
    reverted = error.code == _REVERTED or bool(data) or "revert" in error.message.lower()
    return CallRefused(quote_node(url, error.message), data, reverted)


def _returned(data: bytes) -> bytes:
    """Some nodes put other things there."""
    try:
        return bytes.fromhex(msgspec.json.decode(data or b'""', type=str).removeprefix("0x"))
    except (ValueError, msgspec.DecodeError):
        return b""
