"""Our payload: `abi.encode(Envelope)`, twelve static words. Its keccak256 is the message's id on both chains."""

from __future__ import annotations

import struct

import msgspec
from eth_utils.crypto import keccak

from fusion_daemon.crosschain.evidence import MessageId
from fusion_daemon.domain.identifiers import Address, ChainId

VERSION = 1
SIZE = 384
_WORDS = struct.Struct("32s" * 12).unpack
_BITS = (16, 63, 160, 63, 160, 64, 8, 160, 160, 256, 64, 256)
"""Of each word, in order; a word with more is no envelope. Chain ids end below 2**63 (EIP-2294), as our columns do."""


class Envelope(msgspec.Struct, frozen=True, gc=False):
    source: ChainId
    source_app: Address
    destination: ChainId
    destination_app: Address
    nonce: int
    """Of the source router, from 1."""
    kind: int
    account: Address
    asset: Address
    amount: int
    deadline: int
    """Unix seconds; 0: none."""
    ref: bytes

    @property
    def content(self) -> tuple[ChainId, Address, ChainId, Address, int, Address, Address, int, int, bytes]:
        """All but the nonce: what is said, however often it is said."""
        return (
            self.source,
            self.source_app,
            self.destination,
            self.destination_app,
            self.kind,
            self.account,
            self.asset,
            self.amount,
            self.deadline,
            self.ref,
        )


def id_of(payload: bytes) -> MessageId:
    return MessageId(keccak(payload))


def read_envelope(payload: bytes) -> Envelope | None:
    """None: another size, version, or a word outside its type's range."""
    if len(payload) != SIZE:
        return None
    words = _WORDS(payload)
    numbers = [int.from_bytes(word, "big") for word in words]
    if numbers[0] != VERSION or any(number >> bits for number, bits in zip(numbers, _BITS, strict=True)):
        return None
    return Envelope(
        ChainId(numbers[1]),
        Address(words[2][12:]),
        ChainId(numbers[3]),
        Address(words[4][12:]),
        numbers[5],
        numbers[6],
        Address(words[7][12:]),
        Address(words[8][12:]),
        numbers[9],
        numbers[10],
        words[11],
    )


def write_envelope(envelope: Envelope) -> bytes:
    """The payload of an envelope: `read_envelope` gives it back."""
    return b"".join(
        each.rjust(32, b"\0") if isinstance(each, bytes) else each.to_bytes(32, "big")
        for each in (
            VERSION,
            envelope.source,
            envelope.source_app,
            envelope.destination,
            envelope.destination_app,
            envelope.nonce,
            envelope.kind,
            envelope.account,
            envelope.asset,
            envelope.amount,
            envelope.deadline,
            envelope.ref,
        )
    )
