"""The logs of one chain up to a depth, with each log's place in its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusion_daemon.demo.bridge.faults import Key
from fusion_daemon.demo.node import Node
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of


@dataclass(frozen=True, slots=True)
class BridgeLog:
    key: Key
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_index: int
    """The RPC's `logIndex`: the place in the block. It differs from `key.position` in all but a block's first
    transaction."""


def finalized(node: Node, depth: int | None) -> int:
    """The last block to act on: the node's own finalized one, or `depth` blocks below the head. May be 0."""
    if depth is None:
        block = node.call("eth_getBlockByNumber", "finalized", False)
        assert isinstance(block, dict)
        return _number(block["number"])
    return max(_number(node.call("eth_blockNumber")) - depth, 0)


def read_logs(node: Node, addresses: Sequence[Address], topics: Sequence[bytes], last: int | None) -> list[BridgeLog]:
    """The canonical logs of these addresses and first topics up to block `last` (None: the head), in chain order.

    Read anew each time, from the first block on: what a reorg took away is simply not there any more.
    """
    query = {
        "fromBlock": "0x0",
        "toBlock": "latest" if last is None else hex(last),
        "address": [hex_of(address) for address in addresses],
        "topics": [[hex_of(topic) for topic in topics]],
    }
    entries = node.call("eth_getLogs", query)
    assert isinstance(entries, list)
    first = _first_indexes(node, {str(entry["transactionHash"]) for entry in entries})
    return [_log(entry, first[str(entry["transactionHash"])]) for entry in entries if entry["transactionHash"] in first]


def _first_indexes(node: Node, hashes: set[str]) -> dict[str, int]:
    """For each transaction the block-level index of its receipt's first log. One that a reorg took away since
    the logs were read has no receipt, and is left out."""
    ordered = sorted(hashes)
    receipts = node.batch([("eth_getTransactionReceipt", [each]) for each in ordered]) if ordered else []
    return {
        each: _number(receipt["logs"][0]["logIndex"])
        for each, receipt in zip(ordered, receipts, strict=True)
        if isinstance(receipt, dict)
    }


def _log(entry: dict[str, object], first: int) -> BridgeLog:
    topics = entry["topics"]
    assert isinstance(topics, list)
    index = _number(entry["logIndex"])
    return BridgeLog(
        key=Key(Hash32(_octets(entry["transactionHash"])), index - first),
        address=_octets(entry["address"]),
        topics=tuple(_octets(topic) for topic in topics),
        data=_octets(entry["data"]),
        block_index=index,
    )


def _octets(text: object) -> bytes:
    return bytes.fromhex(str(text)[2:])


def _number(text: object) -> int:
    return int(str(text), 16)
