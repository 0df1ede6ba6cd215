"""The packed message of CCIP 2.0, which the on-ramp emits as octets. Its keccak256 is the message id."""

from __future__ import annotations

import struct

import msgspec

from fusion_daemon.crosschain.layout import Unreadable

VERSION = 1
_FIXED = struct.Struct(">BQQQII4s32s")


class PackedMessage(msgspec.Struct, frozen=True, gc=False):
    source: int
    """CCIP selector, as `destination`."""
    destination: int
    number: int
    """Not unique with faster-than-finality lanes, and a reorg can change it: never a key."""
    execution_gas: int
    receive_gas: int
    finality: bytes
    """4 octets: zeros = finalized, 0x00010000 = safe, 1 … 65535 = depth in blocks."""
    on_ramp: bytes
    off_ramp: bytes
    sender: bytes
    receiver: bytes
    token_transfer: bytes
    """Packed too; empty: no token."""
    data: bytes


def read_packed(encoded: bytes) -> PackedMessage:
    """Raises Unreadable for another version, lengths that leave the octets, or a rest."""
    if len(encoded) < _FIXED.size:
        raise Unreadable("a packed message without its header")
    version, source, destination, number, execution_gas, receive_gas, finality, _hash = _FIXED.unpack_from(encoded)
    if version != VERSION:
        raise Unreadable(f"a packed message of version {version}")
    parts, at = [], _FIXED.size
    for width in (1, 1, 1, 1, 2, 2, 2):
        start = at + width
        end = start + int.from_bytes(encoded[at:start], "big")
        if start > len(encoded) or end > len(encoded):
            raise Unreadable("a packed message that ends too early")
        parts.append(encoded[start:end])
        at = end
    if at != len(encoded):
        raise Unreadable("octets after the end of a packed message")
    on_ramp, off_ramp, sender, receiver, _blob, token_transfer, data = parts
    return PackedMessage(
        source,
        destination,
        number,
        execution_gas,
        receive_gas,
        finality,
        on_ramp,
        off_ramp,
        sender,
        receiver,
        token_transfer,
        data,
    )
