"""A small blocking JSON-RPC client for scripts that act on a local chain: deploy, send, wait."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from eth_abi.abi import decode, encode
from eth_abi.grammar import TupleType, parse
from eth_utils.crypto import keccak

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, hex_of, parse_address

_GAS_LIMIT = 25_000_000
_RECEIPT_PATIENCE = 15.0


class NodeRefused(Failure):
    """The node answered with an error, or a transaction was reverted."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One call to send: to None deploys."""

    sender: Address
    to: Address | None
    data: bytes
    value: int = 0
    gas: int = _GAS_LIMIT


@dataclass(frozen=True, slots=True)
class Creation:
    """Where a contract was deployed."""

    transaction: str
    block: int


def call_data(signature: str, *arguments: object) -> bytes:
    """`borrow(address,uint256)` and its arguments as calldata: 4-byte selector + ABI encoding."""
    parsed = parse(signature[signature.index("(") :])
    assert isinstance(parsed, TupleType)
    types = parsed.components
    return keccak(text=signature)[:4] + encode([each.to_type_str() for each in types], arguments)


class Node:
    """One keep-alive connection to one node. Not for use by two threads at once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.creations: dict[Address, Creation] = {}
        """Of the contracts that were deployed through here."""
        self._address = urlsplit(url)
        self._connection: http.client.HTTPConnection | None = None

    def call(self, method: str, *params: object) -> object:
        """One JSON-RPC call. Raises NodeRefused on an error answer."""
        return self.batch([(method, list(params))])[0]

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[object]:
        """One JSON-RPC batch; the results in order."""
        payload = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
            for index, (method, params) in enumerate(calls)
        ]
        answers = sorted(self._post(json.dumps(payload).encode()), key=lambda answer: int(str(answer["id"])))
        for answer, (method, _) in zip(answers, calls, strict=True):
            if "error" in answer:
                raise NodeRefused(f"{method} failed: {answer['error']}.", "The node refused it.", "Read its text.")
        return [answer["result"] for answer in answers]

    def timestamp(self) -> int:
        """Of the latest block, in unix seconds."""
        block = self.call("eth_getBlockByNumber", "latest", False)
        assert isinstance(block, dict)
        return int(str(block["timestamp"]), 16)

    def send(self, *transactions: Sent) -> list[dict[str, object]]:
        """Send all and wait for every receipt. Raises NodeRefused when one is reverted."""
        hashes = self._queue(self._numbered(transactions))
        deadline = time.monotonic() + _RECEIPT_PATIENCE
        receipts: list[object] = [None] * len(hashes)
        while time.monotonic() < deadline:
            receipts = self.batch([("eth_getTransactionReceipt", [each]) for each in hashes])
            if all(receipts):
                break
            time.sleep(0.01)
        found = [receipt for receipt in receipts if isinstance(receipt, dict)]
        reverted = [receipt["transactionHash"] for receipt in found if receipt["status"] != "0x1"]
        if reverted or len(found) != len(hashes):
            raise NodeRefused(
                f"{len(reverted)} of {len(hashes)} transactions reverted, {len(hashes) - len(found)} not mined.",
                f"First: {reverted[:1]}.",
                "Trace the transaction on the node.",
            )
        return found

    def deploy(self, sender: Address, bytecode: bytes, types: Sequence[str] = (), *arguments: object) -> Address:
        receipt = self.send(Sent(sender, None, bytecode + encode(list(types), list(arguments))))[0]
        created = parse_address(str(receipt["contractAddress"]))
        self.creations[created] = Creation(str(receipt["transactionHash"]), int(str(receipt["blockNumber"]), 16))
        return created

    def view(self, to: Address, signature: str, returns: Sequence[str], *arguments: object) -> tuple[object, ...]:
        """`eth_call` at the latest block; the decoded return values."""
        answer = self.call("eth_call", {"to": hex_of(to), "data": hex_of(call_data(signature, *arguments))}, "latest")
        return tuple(decode(list(returns), bytes.fromhex(str(answer)[2:])))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _queue(self, requests: Sequence[dict[str, str]]) -> list[object]:
        """The hashes. Many are mined only when all are queued: anvil, mining one of a sender while the next
        comes in, may keep all that follow as queued for ever."""
        calls = [("eth_sendTransaction", [each]) for each in requests]
        if len(calls) == 1:
            return self.batch(calls)
        self.call("evm_setAutomine", False)
        try:
            hashes = self.batch(calls)
            for _ in calls:
                if not self._pending():
                    break
                self.call("evm_mine")
        finally:
            self.call("evm_setAutomine", True)
        return hashes

    def _pending(self) -> bool:
        status = self.call("txpool_status")
        return isinstance(status, dict) and status["pending"] != "0x0"

    def _numbered(self, transactions: Sequence[Sent]) -> list[dict[str, str]]:
        """With nonces: the node takes a batch in any order, and would give one sender's the same nonce."""
        senders = list(dict.fromkeys(sent.sender for sent in transactions))
        counts = self.batch([("eth_getTransactionCount", [hex_of(sender), "pending"]) for sender in senders])
        next_nonce = {sender: int(str(count), 16) for sender, count in zip(senders, counts, strict=True)}
        numbered = []
        for sent in transactions:
            numbered.append(transaction_request(sent) | {"nonce": hex(next_nonce[sent.sender])})
            next_nonce[sent.sender] += 1
        return numbered

    def _post(self, body: bytes) -> list[dict[str, object]]:
        if self._connection is None:
            host, port = self._address.hostname or "127.0.0.1", self._address.port or 80
            self._connection = http.client.HTTPConnection(host, port, timeout=_RECEIPT_PATIENCE)
        try:
            self._connection.request("POST", "/", body, {"Content-Type": "application/json"})
            answers = json.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            self.close()  # the next call connects anew; this one is the caller's to judge
            raise
        return answers if isinstance(answers, list) else [answers]


def transaction_request(sent: Sent) -> dict[str, str]:
    """The call as JSON-RPC's transaction request, without a nonce."""
    fields = {
        "from": hex_of(sent.sender),
        "data": hex_of(sent.data),
        "value": hex(sent.value),
        "gas": hex(sent.gas),
    }
    return fields | ({"to": hex_of(sent.to)} if sent.to is not None else {})
