"""An EVM node that plays what anvil cannot: A -> B -> A reorgs, lagging heads, lies, refusals and hangs.

JSON-RPC over real HTTP on loopback, served by a thread. The chain is a tree of blocks; `switch` makes any of
them the head. Faults are switches on the object. Hashes and bloom filters are real keccak, the rest of a
block is as much as a listener reads.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

from eth_utils.crypto import keccak

GENESIS_TIME = 1_700_000_000
BLOCK_SECONDS = 12
EMPTY_TRIE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class FakeLog:
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class FakeBlock:
    number: int
    hash: bytes
    parent: bytes
    logs: tuple[FakeLog, ...]
    genesis_time: int

    @property
    def timestamp(self) -> int:
        return self.genesis_time + self.number * BLOCK_SECONDS

    def header(self, fill_bloom: bool) -> Json:
        return {
            "number": hex(self.number),
            "hash": "0x" + self.hash.hex(),
            "parentHash": "0x" + self.parent.hex(),
            "timestamp": hex(self.timestamp),
            "logsBloom": "0x" + (_bloom(self.logs) if fill_bloom else 0).to_bytes(256, "big").hex(),
            "receiptsRoot": "0x" + keccak(self.hash).hex() if self.logs or not fill_bloom else EMPTY_TRIE,
            "transactions": [log["transactionHash"] for log in self.wire_logs()],
        }

    def wire_logs(self) -> list[Json]:
        return [
            {
                "address": "0x" + log.address.hex(),
                "topics": ["0x" + topic.hex() for topic in log.topics],
                "data": "0x" + log.data.hex(),
                "blockNumber": hex(self.number),
                "blockHash": "0x" + self.hash.hex(),
                "transactionHash": "0x" + keccak(self.hash + index.to_bytes(4, "big")).hex(),
                "transactionIndex": hex(index),
                "logIndex": hex(index),
                "removed": False,
            }
            for index, log in enumerate(self.logs)
        ]


class RpcError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class Faults:
    """All off. A switch that counts is used up by the requests it hits."""

    lag: int = 0
    """The node knows nothing of the last `lag` blocks."""
    limits: int = 0
    """HTTP 429 for so many requests …"""
    retry_after: str | None = None
    """… with this Retry-After."""
    longest_range: int | None = None
    """eth_getLogs by range is refused beyond so many blocks …"""
    densest_range: int | None = None
    """… or so many logs …"""
    refusal: tuple[int, str] = (-32005, "query returned more than 10000 results")
    """… with this error."""
    logs_per_range: int | None = None
    """A range answer is cut after so many logs, without a word."""
    empty_ranges: bool = False
    """A range answer is always []."""
    unindexed: int = 0
    """eth_getLogs finds nothing in the last so many blocks, by hash either."""
    without_receipts: int = 0
    """The receipts of the last so many blocks are not there yet."""
    no_block_receipts: bool = False
    """The node has no eth_getBlockReceipts."""
    no_bloom: bool = False
    """Bloom filters are zero, although the blocks have receipts."""
    no_tags: bool = False
    """`safe` and `finalized` are refused …"""
    tag_refusal: tuple[int, str] = (-39001, "unknown block tag")
    """… with this error."""
    hangs: int = 0
    """So many requests are read and never answered."""
    broken: int = 0
    """So many requests are answered with HTTP 502 and HTML."""
    doubled_logs: bool = False
    """Every log comes twice."""
    wild_index: bool = False
    """Log indexes are beyond what any block can hold."""
    foreign_logs: bool = False
    """Logs name another block hash than the header."""
    misplaced_receipts: bool = False
    """The logs of receipts name the next block's number beside their own block's hash."""


@dataclass
class FakeNode:
    chain_id: int = 31_337
    finality: int = 64
    """`finalized` is so many blocks behind the head, `safe` half as many."""
    genesis_time: int = GENESIS_TIME
    """Unix seconds of block 0."""
    faults: Faults = field(default_factory=Faults)
    requests: list[str] = field(default_factory=list)
    """Methods asked for, with `by range` or `by hash` for logs."""
    url: str = ""

    def __post_init__(self) -> None:
        genesis = FakeBlock(0, keccak(b"genesis%d" % self.chain_id), bytes(32), (), self.genesis_time)
        self.blocks: dict[bytes, FakeBlock] = {genesis.hash: genesis}
        self.head = genesis
        self.final_number: int | None = None
        """Overrides `finality` while set."""
        self.before_answer: Callable[[Sequence[Json]], None] | None = None
        """Called with the calls of every HTTP request before it is answered: a scenario moves the chain between
        two of them."""
        self._salt = 0
        self._lock = threading.RLock()
        self._released = threading.Event()
        self._asked = threading.Condition()

    # --- the chain -----------------------------------------------------------------------------------------

    def mine(self, *logs: FakeLog) -> FakeBlock:
        """One block on the head."""
        with self._lock:
            self._salt += 1
            digest = keccak(self.head.hash + self._salt.to_bytes(8, "big"))
            block = FakeBlock(self.head.number + 1, digest, self.head.hash, logs, self.genesis_time)
            self.blocks[block.hash] = block
            self.head = block
        return block

    def switch(self, block: FakeBlock) -> None:
        """Make any known block the head: forward, back, or onto another branch."""
        with self._lock:
            self.head = block

    def canonical(self) -> list[FakeBlock]:
        """From genesis to the head."""
        with self._lock:
            chain = [self.head]
            while chain[-1].number:
                chain.append(self.blocks[chain[-1].parent])
        return chain[::-1]

    def ancestor(self, block: FakeBlock, number: int) -> FakeBlock:
        """The block at `number` below `block`; `block` itself when that is lower already."""
        while block.number > number:
            block = self.blocks[block.parent]
        return block

    # --- JSON-RPC ------------------------------------------------------------------------------------------

    def answer(self, method: str, params: list[object]) -> object:
        with self._lock:
            match method:
                case "eth_chainId":
                    return hex(self.chain_id)
                case "eth_getBlockByNumber":
                    return self._header(cast("str", params[0]))
                case "eth_getBlockByHash":
                    return self._block_of(cast("str", params[0])).header(True)
                case "eth_getBlockReceipts" if not self.faults.no_block_receipts:
                    return self._receipts(self._block_of(cast("str", params[0])))
                case "eth_getTransactionReceipt":
                    return self._receipt(cast("str", params[0]))
                case "eth_getLogs":
                    return self._logs(cast("dict[str, object]", params[0]))
        raise RpcError(-32601, f"the method {method} does not exist")

    def _visible(self) -> list[FakeBlock]:
        chain = self.canonical()
        return chain[: max(1, len(chain) - self.faults.lag)]

    def _header(self, tag: str) -> Json | None:
        chain = self._visible()
        top = chain[-1].number
        final = top - self.finality if self.final_number is None else self.final_number
        match tag:
            case "latest":
                number = top
            case "safe" | "finalized" if self.faults.no_tags:
                raise RpcError(*self.faults.tag_refusal)
            case "safe":
                number = max(0, (top + final) // 2)
            case "finalized":
                number = max(0, final)
            case _:
                number = int(tag, 16)
        return chain[number].header(not self.faults.no_bloom) if number <= top else None

    def _logs(self, query: dict[str, object]) -> list[Json]:
        addresses = cast("list[str]", query["address"])
        if "blockHash" in query:
            self.note("by hash")
            return self._of_block(cast("str", query["blockHash"]), addresses)
        self.note("by range")
        first, last = int(cast("str", query["fromBlock"]), 16), int(cast("str", query["toBlock"]), 16)
        chain = self._visible()
        found = [log for block in chain[first : last + 1] for log in self._wired(block, addresses)]
        faults = self.faults
        too_long = faults.longest_range is not None and last - first + 1 > faults.longest_range
        if too_long or (faults.densest_range is not None and len(found) > faults.densest_range):
            raise RpcError(*faults.refusal)
        if faults.empty_ranges:
            return []
        return found if faults.logs_per_range is None else found[: faults.logs_per_range]

    def _of_block(self, block_hash: str, addresses: list[str]) -> list[Json]:
        return self._wired(self._block_of(block_hash), addresses)

    def _block_of(self, block_hash: str) -> FakeBlock:
        block = self.blocks.get(bytes.fromhex(block_hash[2:]))
        if block is None or block not in self._visible():
            raise RpcError(-32000, "unknown block")
        return block

    def _receipts(self, block: FakeBlock) -> list[Json] | None:
        """One transaction per log."""
        if block.number > self.head.number - self.faults.without_receipts:
            return None
        moved: Json = {"blockNumber": hex(block.number + 1)} if self.faults.misplaced_receipts else {}
        return [{"transactionHash": log["transactionHash"], "logs": [{**log, **moved}]} for log in block.wire_logs()]

    def _receipt(self, transaction: str) -> Json | None:
        receipts = [receipt for block in self._visible() for receipt in self._receipts(block) or ()]
        return next((receipt for receipt in receipts if receipt["transactionHash"] == transaction), None)

    def _wired(self, block: FakeBlock, addresses: list[str]) -> list[Json]:
        if block.number > self.head.number - self.faults.unindexed:
            return []
        logs = [log for log in block.wire_logs() if log["address"] in addresses]
        if self.faults.foreign_logs:
            logs = [log | {"blockHash": "0x" + bytes(32).hex()} for log in logs]
        if self.faults.wild_index:
            logs = [log | {"logIndex": hex(2**31)} for log in logs]
        return logs * 2 if self.faults.doubled_logs else logs

    def take_fault(self) -> str | None:
        with self._lock:
            for name in ("hangs", "limits", "broken"):
                left = getattr(self.faults, name)
                if left:
                    setattr(self.faults, name, left - 1)
                    return name
        return None

    def note(self, request: str) -> None:
        with self._asked:
            self.requests.append(request)
            self._asked.notify_all()

    def wait_for_requests(self, count: int, timeout: float) -> None:
        """Block this thread until `count` requests came in all."""
        with self._asked:
            if not self._asked.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} requests came instead of {count}")

    def hang(self) -> None:
        """Until the node is closed."""
        self._released.wait()

    def release(self) -> None:
        self._released.set()


@contextmanager
def serve(node: FakeNode) -> Iterator[FakeNode]:
    """Serve the node on a random loopback port; `node.url` says where."""

    class Handler(_Handler):
        fake = node

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    node.url = f"http://127.0.0.1:{server.server_port}/v2/planted-key"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield node
    finally:
        node.release()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeNode
    protocol_version = "HTTP/1.1"
    timeout = 30
    wbufsize = -1  # headers and body in one segment: no delayed acknowledgement between them

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        match self.fake.take_fault():
            case "hangs":
                self.fake.hang()
                self.close_connection = True
            case "limits":
                after = self.fake.faults.retry_after
                self._reply(429, b"slow down", {} if after is None else {"Retry-After": after})
            case "broken":
                self._reply(502, b"<html>bad gateway</html>", {})
            case _:
                calls = body if isinstance(body, list) else [body]
                if self.fake.before_answer is not None:
                    self.fake.before_answer(calls)
                answers = [self._answer(call) for call in calls]
                answered = answers if isinstance(body, list) else answers[0]
                self._reply(200, json.dumps(answered).encode(), {"Content-Type": "application/json"})

    def _answer(self, call: Json) -> Json:
        method = cast("str", call["method"])
        self.fake.note(method)
        head: Json = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            return head | {"result": self.fake.answer(method, cast("list[object]", call["params"]))}
        except RpcError as error:
            return head | {"error": {"code": error.code, "message": error.message}}

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the overridden name
        """Quiet: a test's output is its own."""


def _bloom(logs: Sequence[FakeLog]) -> int:
    bits = 0
    for log in logs:
        for item in (log.address, *log.topics):
            digest = keccak(item)
            for pair in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[pair : pair + 2], "big") & 2047)
    return bits
