"""The truth about messages: read from the nodes alone, by means of nothing that the tracker uses.

    sent         the source's router shows MessageSent on the chain as it is now
    applied      the destination's router shows MessageReceived or MessageRecovered
    stored       the destination's router answers with the adapter that it was stored from
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from fusion_daemon.domain.identifiers import hex_of
from tests.integration.crosschain.pair import Pair

_ENVELOPE = {
    "version": "uint16",
    "source": "uint64",
    "source_app": "address",
    "destination": "uint64",
    "app": "address",
    "nonce": "uint64",
    "kind": "uint8",
    "account": "address",
    "asset": "address",
    "amount": "uint256",
    "deadline": "uint64",
    "ref": "bytes32",
}
_FIELDS = {
    "MessageSent": ("uint64", "bytes"),
    "MessageResent": ("uint64",),
    "MessageReceived": ("uint64", "bytes"),
    "MessageFailed": ("uint64", "bytes", "bytes"),
    "MessageRefused": ("uint64", "uint64", "bytes", "bytes"),
    "MessageRetried": ("uint64", "bytes"),
    "MessageRecovered": ("uint64",),
}
_TOPICS = {
    keccak(text=signature): signature.partition("(")[0]
    for signature in (
        "MessageSent(bytes32,bytes32,address,uint64,bytes)",
        "MessageResent(bytes32,bytes32,address,uint64)",
        "MessageReceived(bytes32,bytes32,address,uint64,bytes)",
        "MessageFailed(bytes32,bytes32,address,uint64,bytes,bytes)",
        "MessageRefused(bytes32,bytes32,uint64,uint64,bytes,bytes)",
        "MessageRetried(bytes32,address,uint64,bytes)",
        "MessageRecovered(bytes32,address,uint64)",
    )
}
_VALUE_KINDS = (1, 3, 4)
"""Grants, releases and seizures move credit; a call asks for it."""


@dataclass(frozen=True)
class Event:
    name: str
    side: int
    block: int
    block_hash: bytes
    transaction: bytes
    log_index: int
    id: bytes
    values: tuple[object, ...]


@dataclass
class TrueMessage:
    id: bytes
    events: list[Event] = field(default_factory=list)
    processed: bool = False
    stored: bool = False

    def first(self, *names: str) -> Event | None:
        return min((each for each in self.events if each.name in names), key=lambda each: each.block, default=None)

    def count(self, *names: str) -> int:
        return sum(each.name in names for each in self.events)

    @property
    def sent(self) -> bool:
        return self.first("MessageSent") is not None

    @property
    def applied(self) -> bool:
        return self.first("MessageReceived", "MessageRecovered") is not None

    @property
    def payload(self) -> bytes:
        """Of any of the events; each message has one that shows it."""
        values = (value for each in self.events for value in each.values)
        return next(value for value in values if isinstance(value, bytes) and len(value) == 384)

    @property
    def envelope(self) -> dict[str, object]:
        return dict(zip(_ENVELOPE, decode(list(_ENVELOPE.values()), self.payload), strict=True))

    @property
    def value(self) -> int:
        """Credit, USD x 1e8."""
        amount = self.envelope["amount"]
        assert isinstance(amount, int)
        return amount if self.envelope["kind"] in _VALUE_KINDS else 0


@dataclass
class Truth:
    messages: dict[bytes, TrueMessage]
    events: list[Event]
    finalized: list[int]

    @property
    def in_flight(self) -> int:
        return sum(each.value for each in self.messages.values() if each.sent and not each.applied)

    @property
    def sourceless(self) -> int:
        """Applied, and its source is gone: what the bridge's eagerness cost."""
        return sum(each.value for each in self.messages.values() if each.applied and not each.sent)


def read_truth(pair: Pair) -> Truth:
    events = [event for side in (0, 1) for event in _events(pair, side)]
    messages: dict[bytes, TrueMessage] = {}
    for event in events:
        messages.setdefault(event.id, TrueMessage(event.id)).events.append(event)
    for message in messages.values():
        side = 1 if message.envelope["destination"] == pair.chain(1) else 0
        router = pair.links[side].router
        (message.processed,) = map(bool, pair.nodes[side].view(router, "processed(bytes32)", ["bool"], message.id))
        (adapter,) = pair.nodes[side].view(router, "storedFrom(bytes32)", ["address"], message.id)
        message.stored = int(str(adapter), 16) != 0
    return Truth(messages, events, [pair.finalized(side) for side in (0, 1)])


def locks_minus_grants(pair: Pair, truth: Truth) -> int:
    """By the contracts' own books: credit that its home has locked and that nobody abroad has."""
    found = 0
    for ref in {each.envelope["ref"] for each in truth.messages.values()}:
        assert isinstance(ref, bytes)
        home = 0 if int.from_bytes(ref[:8], "big") == pair.chain(0) else 1
        lock = pair.nodes[home].view(
            pair.links[home].credit, "lockOf(bytes32)", ["(address,uint64,address,uint64,uint256,uint256)"], ref
        )[0]
        grant = pair.nodes[1 - home].view(
            pair.links[1 - home].credit, "grantOf(bytes32)", ["(address,uint64,uint8,uint256)"], ref
        )[0]
        assert isinstance(lock, tuple)
        assert isinstance(grant, tuple)
        found += int(lock[5]) - int(grant[3])
    return found


def _events(pair: Pair, side: int) -> list[Event]:
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": hex_of(pair.links[side].router)}
    logs = pair.nodes[side].call("eth_getLogs", query)
    assert isinstance(logs, list)
    found = []
    for log in logs:
        name = _TOPICS.get(bytes.fromhex(log["topics"][0][2:]))
        if name is not None:
            found.append(
                Event(
                    name,
                    side,
                    int(log["blockNumber"], 16),
                    bytes.fromhex(log["blockHash"][2:]),
                    bytes.fromhex(log["transactionHash"][2:]),
                    int(log["logIndex"], 16),
                    bytes.fromhex(log["topics"][1][2:]),
                    tuple(decode(_FIELDS[name], bytes.fromhex(log["data"][2:]))),
                )
            )
    return found
