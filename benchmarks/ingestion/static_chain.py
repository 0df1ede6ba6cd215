"""A chain that is a formula: any block of it, without a node that has to hold it. Pure.

    block      0   1  …  every  …  2 x every  …        `events` logs in each of those, none in the others

Hashes link and name their own block; filters, receipts, transactions and logs agree with each other, and amounts with
balances. What nobody recomputes is made up: a hash is not that of the header's fields, and roots are none of a trie's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak

from fusion_daemon.chain.validate import bloom_bits
from fusion_daemon.domain.identifiers import Address, hex_of

Json = dict[str, object]

EMITTER = Address(bytes.fromhex("e11177e5" * 5))
SENDER = Address(b"\x51" * 20)
TOKEN = bytes(12) + b"\xee" * 20
TOPIC = keccak(text="CollateralDeposited(address,address,uint256,uint256,uint64)")
ACCOUNTS = 1_000
AMOUNT = 10**15
SAFE, FINAL = 32, 64
"""Blocks behind the head, as anvil has it."""
GENESIS_TIME = 1_700_000_000
_EMPTY_TRIE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
_EMPTY_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
_NO_BLOOM = "0x" + "0" * 512
_ZEROS = "0x" + "0" * 64
_GAS = "0x1c9c380"


class Refused(Exception):
    """A call that this chain answers with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class StaticChain:
    chain: int
    every: int
    events: int
    """Of each block that has any."""
    head: Callable[[], int]
    genesis_time: int = GENESIS_TIME
    period: int = 2
    """Seconds from block to block."""

    def has_events(self, number: int) -> bool:
        return self.events > 0 and number > 0 and number % self.every == 0

    def hash(self, number: int) -> str:
        """It begins with the block's number, so that a block is found by it."""
        return self._hash("block", number)

    def transaction_hash(self, number: int) -> str:
        return self._hash("transaction", number)

    def number_of(self, kind: str, text: str) -> int | None:
        """The block of a hash (of a block or a transaction); None when this chain has no such hash yet."""
        number = int(text[2:18], 16)
        return number if number <= self.head() and self._hash(kind, number) == text else None

    def block(self, number: int, full: bool) -> Json:
        busy = self.has_events(number)
        transactions: list[object] = []
        if busy:
            transactions = [self.transaction(number) if full else self.transaction_hash(number)]
        return {
            "number": hex(number),
            "hash": self.hash(number),
            "parentHash": self.hash(number - 1) if number else _ZEROS,
            "timestamp": hex(self.genesis_time + self.period * number),
            "logsBloom": f"0x{self.bloom(number):0512x}" if busy else _NO_BLOOM,
            "transactionsRoot": self._hash("transactions", number) if busy else _EMPTY_TRIE,
            "receiptsRoot": self._hash("receipts", number) if busy else _EMPTY_TRIE,
            "stateRoot": self._hash("state", number),
            "sha3Uncles": _EMPTY_UNCLES,
            "mixHash": _ZEROS,
            "nonce": "0x0000000000000000",
            "miner": "0x" + "0" * 40,
            "difficulty": "0x0",
            "totalDifficulty": "0x0",
            "extraData": "0x",
            "size": "0x220",
            "gasLimit": _GAS,
            "gasUsed": "0xf4240" if busy else "0x0",
            "baseFeePerGas": "0x7",
            "uncles": [],
            "transactions": transactions,
        }

    def transaction(self, number: int) -> Json:
        return {
            **self._place(number),
            "hash": self.transaction_hash(number),
            "from": hex_of(SENDER),
            "to": hex_of(EMITTER),
            "input": "0x",
            "value": "0x0",
            "gas": _GAS,
            "gasPrice": "0x7",
            "nonce": hex(number // self.every),
            "type": "0x0",
            "chainId": hex(self.chain),
            "v": "0x1b",
            "r": "0x1",
            "s": "0x1",
        }

    def receipt(self, number: int) -> Json:
        return {
            **self._place(number),
            "transactionHash": self.transaction_hash(number),
            "from": hex_of(SENDER),
            "to": hex_of(EMITTER),
            "contractAddress": None,
            "cumulativeGasUsed": "0xf4240",
            "gasUsed": "0xf4240",
            "effectiveGasPrice": "0x7",
            "logs": self.logs(number),
            "logsBloom": f"0x{self.bloom(number):0512x}",
            "status": "0x1",
            "type": "0x0",
        }

    def logs(self, number: int) -> list[Json]:
        """Event k (from 0, over the whole chain) is account k % ACCOUNTS depositing for the (k / ACCOUNTS + 1)-th
        time, as the emitter of the dense chain does."""
        if not self.has_events(number):
            return []
        place = {**self._place(number), "transactionHash": self.transaction_hash(number), "address": hex_of(EMITTER)}
        return [
            {
                **place,
                "logIndex": hex(index),
                "topics": [hex_of(TOPIC), hex_of(_account(event)), hex_of(TOKEN)],
                "data": f"0x{AMOUNT:064x}{(event // ACCOUNTS + 1) * AMOUNT:064x}{event + 1:064x}",
                "removed": False,
            }
            for index, event in enumerate(self._events(number))
        ]

    def bloom(self, number: int) -> int:
        bits = bloom_bits(EMITTER) | bloom_bits(TOPIC) | bloom_bits(TOKEN)
        for event in self._events(number):
            bits |= bloom_bits(_account(event))
        return bits

    def busy_blocks(self, first: int, last: int) -> Iterator[int]:
        """Of first..last (inclusive), those with events."""
        if self.events > 0:
            yield from range(max(1, -(-first // self.every)) * self.every, last + 1, self.every)

    def _events(self, number: int) -> range:
        first = (number // self.every - 1) * self.events
        return range(first, first + self.events)

    def _place(self, number: int) -> Json:
        return {"blockNumber": hex(number), "blockHash": self.hash(number), "transactionIndex": "0x0"}

    def _hash(self, kind: str, number: int) -> str:
        digest = hashlib.blake2b(f"{self.chain} {kind} {number}".encode(), digest_size=24).hexdigest()
        return f"0x{number:016x}{digest}"


def _account(event: int) -> bytes:
    return bytes(12) + ((0xACC << 148) + event % ACCOUNTS).to_bytes(20, "big")


def answer(chain: StaticChain, method: str, params: Sequence[object]) -> object:
    """The result of one call. Raises Refused."""
    handler = _METHODS.get(method)
    if handler is None:
        raise Refused(-32601, f"the method {method} does not exist")
    return handler(chain, params)


def _block_by_number(chain: StaticChain, params: Sequence[object]) -> object:
    number = _height(chain, params[0])
    return chain.block(number, params[1] is True) if 0 <= number <= chain.head() else None


def _block_by_hash(chain: StaticChain, params: Sequence[object]) -> object:
    number = chain.number_of("block", str(params[0]))
    return None if number is None else chain.block(number, params[1] is True)


def _logs(chain: StaticChain, params: Sequence[object]) -> object:
    query = params[0]
    assert isinstance(query, dict)
    first, last = _range(chain, query)
    found = [log for number in chain.busy_blocks(first, last) for log in chain.logs(number)]
    addresses, topics = query.get("address"), query.get("topics") or []
    return [log for log in found if _matches(addresses, log["address"]) and _all_match(topics, log["topics"])]


def _range(chain: StaticChain, query: Json) -> tuple[int, int]:
    if "blockHash" in query:
        number = chain.number_of("block", str(query["blockHash"]))
        if number is None:
            raise Refused(-32000, "unknown block")
        return number, number
    first, last = (_height(chain, query.get(end, "latest")) for end in ("fromBlock", "toBlock"))
    if last > chain.head():
        raise Refused(-32602, "block range extends beyond current head block")
    return first, last


def _all_match(wanted: Sequence[object], topics: object) -> bool:
    assert isinstance(topics, list)
    return len(wanted) <= len(topics) and all(map(_matches, wanted, topics))


def _matches(wanted: object, found: object) -> bool:
    if wanted is None:
        return True
    choice = wanted if isinstance(wanted, list) else [wanted]
    return any(str(each).lower() == found for each in choice)


def _block_receipts(chain: StaticChain, params: Sequence[object]) -> object:
    text = str(params[0])
    number = chain.number_of("block", text) if len(text) == 66 else _height(chain, text)
    if number is None or number > chain.head():
        return None
    return [chain.receipt(number)] if chain.has_events(number) else []


def _by_transaction(tell: Callable[[StaticChain, int], object]) -> Callable[[StaticChain, Sequence[object]], object]:
    def found(chain: StaticChain, params: Sequence[object]) -> object:
        number = chain.number_of("transaction", str(params[0]))
        return tell(chain, number) if number is not None and chain.has_events(number) else None

    return found


def _height(chain: StaticChain, tag: object) -> int:
    head = chain.head()
    heights = {"latest": head, "pending": head, "earliest": 0, "safe": head - SAFE, "finalized": head - FINAL}
    return max(heights[str(tag)], 0) if str(tag) in heights else int(str(tag), 16)


_METHODS: dict[str, Callable[[StaticChain, Sequence[object]], object]] = {
    "eth_chainId": lambda chain, _: hex(chain.chain),
    "net_version": lambda chain, _: str(chain.chain),
    "web3_clientVersion": lambda _chain, _: "static-chain",
    "eth_syncing": lambda _chain, _: False,
    "eth_blockNumber": lambda chain, _: hex(chain.head()),
    "eth_getBlockByNumber": _block_by_number,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getLogs": _logs,
    "eth_getBlockReceipts": _block_receipts,
    "eth_getTransactionByHash": _by_transaction(StaticChain.transaction),
    "eth_getTransactionReceipt": _by_transaction(StaticChain.receipt),
    "eth_getCode": lambda _chain, _: "0x",
}
