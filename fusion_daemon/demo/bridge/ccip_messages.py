"""CCIP messages of three generations, from the source's event to what the destination executes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from fusion_daemon.demo.bridge.deploy import Generation
from fusion_daemon.demo.bridge.faults import Key
from fusion_daemon.demo.bridge.logs import BridgeLog
from fusion_daemon.domain.identifiers import Address, Hash32

FORM_15 = (
    "(uint64,address,address,uint64,uint256,bool,uint64,address,uint256,bytes,(address,uint256)[],bytes[],bytes32)"
)
_HEADER = "(bytes32,uint64,uint64,uint64,uint64)"
_SENT_16 = f"({_HEADER},address,bytes,bytes,bytes,address,uint256,uint256,(address,bytes,bytes,uint256,bytes)[])"
FORM_16 = f"({_HEADER},bytes,bytes,address,uint256,(bytes,address,uint32,bytes,uint256)[])"
MANUALLY_EXECUTE_15 = f"manuallyExecute(({FORM_15}[],bytes[][],bytes32[],uint256),(uint256,uint256[])[])"
MANUALLY_EXECUTE_16 = f"manuallyExecute((uint64,{FORM_16}[],bytes[][],bytes32[],uint256)[],(uint256,uint32[])[][])"
EXECUTE_20 = "execute(bytes,address[],bytes[],uint32)"
_SENT_20 = ["address", "uint256", "bytes", "(address,uint32,uint32,uint256,bytes)[]", "bytes[]"]
_LEAF = bytes(32)
_NUMBER_20, _GAS_20, _SENDER_20 = slice(17, 25), slice(29, 33), slice(124, 156)
"""Where the packed 2.0 message has its number, gas limit and sender (each source address is 32 bytes)."""


@dataclass(frozen=True, slots=True)
class Lane:
    """One direction of one generation, as both ends hash it."""

    source_selector: int
    destination_selector: int
    on_ramp: Address


@dataclass(frozen=True, slots=True)
class CcipMessage:
    key: Key
    number: int
    """The lane's sequence number, from 1."""
    message_id: bytes
    leaf: Hash32
    """Under the committed root; 2.0 has none and repeats the id."""
    gas_limit: int
    form: object
    """What the off-ramp's `execute` takes."""


Reader = Callable[[BridgeLog, Lane, Address | None], CcipMessage]
"""A sender given here is told in place of the true one."""


def _read_15(log: BridgeLog, lane: Lane, sender: Address | None) -> CcipMessage:
    fields = list(decode([FORM_15], log.data)[0])
    if sender is not None:
        fields[1] = sender
    identity = _id_15(fields, lane)
    fields[12] = identity
    return CcipMessage(log.key, fields[3], identity, identity, fields[4], tuple(fields))


def _id_15(fields: Sequence[object], lane: Lane) -> Hash32:
    head = [fields[1], fields[2], *fields[3:9]]
    types = ["address", "address", "uint64", "uint256", "bool", "uint64", "address", "uint256"]
    data = fields[9]
    assert isinstance(data, bytes)
    parts = [
        _LEAF,
        _lane_hash("EVM2EVMMessageHashV2", lane, "address", lane.on_ramp),
        keccak(encode(types, head)),
        keccak(data),
        keccak(encode(["(address,uint256)[]"], [fields[10]])),
        keccak(encode(["bytes[]"], [fields[11]])),
    ]
    return Hash32(keccak(b"".join(parts)))


def _read_16(log: BridgeLog, lane: Lane, sender: Address | None) -> CcipMessage:
    header, true_sender, data, receiver, extra_args, *_ = decode([_SENT_16], log.data)[0]
    gas_limit = int(decode(["uint256", "bool"], extra_args[4:])[0])
    padded = encode(["address"], [true_sender if sender is None else sender])
    (to,) = decode(["address"], receiver)
    form = (header, padded, data, to, gas_limit, ())
    message_id, _, _, number, nonce = header
    head = encode(["bytes32", "address", "uint64", "uint256", "uint64"], [message_id, to, number, gas_limit, nonce])
    parts = [
        _LEAF,
        _lane_hash("Any2EVMMessageHashV1", lane, "bytes32", keccak(encode(["address"], [lane.on_ramp]))),
        keccak(head),
        keccak(padded),
        keccak(data),
        keccak(encode(["(bytes,address,uint32,bytes,uint256)[]"], [()])),
    ]
    return CcipMessage(log.key, number, message_id, Hash32(keccak(b"".join(parts))), gas_limit, form)


def _read_20(log: BridgeLog, lane: Lane, sender: Address | None) -> CcipMessage:
    wire = bytearray(decode(_SENT_20, log.data)[2])
    if sender is not None:
        wire[_SENDER_20] = bytes(12) + sender
    identity = Hash32(keccak(bytes(wire)))
    number, gas = int.from_bytes(wire[_NUMBER_20], "big"), int.from_bytes(wire[_GAS_20], "big")
    return CcipMessage(log.key, number, identity, identity, gas, bytes(wire))


def _lane_hash(domain: str, lane: Lane, kind: str, ramp: bytes) -> bytes:
    types = ["bytes32", "uint64", "uint64", kind]
    return keccak(encode(types, [keccak(text=domain), lane.source_selector, lane.destination_selector, ramp]))


SENT_TOPICS: Mapping[Generation, bytes] = {
    "1.5": keccak(text=f"CCIPSendRequested({FORM_15})"),
    "1.6": keccak(text=f"CCIPMessageSent(uint64,uint64,{_SENT_16})"),
    "2.0": keccak(text=f"CCIPMessageSent(uint64,address,bytes32,{','.join(_SENT_20)})"),
}
READERS: Mapping[Generation, Reader] = {"1.5": _read_15, "1.6": _read_16, "2.0": _read_20}
