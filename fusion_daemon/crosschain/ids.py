"""The bridges' own ids and hashes, recomputed: to check what a log claims, and to prove a message when it is executed
by hand. `abi` is Solidity's `abi.encode`, every argument of which is one 32-byte word here.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.domain.identifiers import Address, ChainId, Hash32

_LEAF = bytes(32)
_NODE = (1).to_bytes(32, "big")
_TAG_1_5 = keccak(text="EVM2EVMMessageHashV2")
_TAG_1_6_SOURCE = keccak(text="EVM2AnyMessageHashV1")
_TAG_1_6_LEAF = keccak(text="Any2EVMMessageHashV1")

Token15 = tuple[Address, int]
Token16 = tuple[Address, bytes, bytes, int, bytes]
"""(source pool, destination token, extra data, amount, destination execution data)"""
Delivered16 = tuple[bytes, Address, int, bytes, int]
"""(source pool, destination token, destination gas, extra data, amount)"""
_NO_ITEMS = keccak((32).to_bytes(32, "big") + bytes(32))
"""Of an empty array: most messages carry no token."""


def _abi(*words: int | bytes) -> bytes:
    return b"".join([word.to_bytes(32, "big") if isinstance(word, int) else word.rjust(32, b"\0") for word in words])


def _array(kind: str, items: Sequence[object]) -> bytes:
    return keccak(encode([kind], [items])) if items else _NO_ITEMS


# Axelar


def axelar_message(tx: bytes, receipt_index: int) -> str:
    return f"0x{tx.hex()}-{receipt_index}"


def amplifier_command(source_chain: str, message: str) -> Hash32:
    return Hash32(keccak(text=f"{source_chain}_{message}"))


def classic_commands(tx: bytes, receipt_index: int, destination: ChainId) -> tuple[Hash32, Hash32]:
    """Both formulas in use: of the validators' own records, and of a message id. Never a way to find a message."""
    chain = destination.to_bytes((destination.bit_length() + 7) // 8, "big")
    return (
        Hash32(keccak(tx + receipt_index.to_bytes(8, "little") + chain)),
        Hash32(keccak(axelar_message(tx, receipt_index).encode() + chain)),
    )


# CCIP


def ccip_1_5_id(
    source: int,
    destination: int,
    on_ramp: Address,
    sender: Address,
    receiver: Address,
    seq: int,
    gas_limit: int,
    strict: bool,
    nonce: int,
    fee_token: Address,
    fee: int,
    data: bytes,
    tokens: Sequence[Token15],
    token_data: Sequence[bytes],
) -> Hash32:
    """The message id, and the leaf of its commit."""
    metadata = keccak(_abi(_TAG_1_5, source, destination, on_ramp))
    fixed = keccak(_abi(sender, receiver, seq, gas_limit, int(strict), nonce, fee_token, fee))
    listed = _array("(address,uint256)[]", tokens), _array("bytes[]", token_data)
    return Hash32(keccak(_abi(_LEAF, metadata, fixed, keccak(data), *listed)))


def ccip_1_6_id(
    source: int,
    destination: int,
    on_ramp: Address,
    sender: Address,
    seq: int,
    nonce: int,
    fee_token: Address,
    fee: int,
    receiver: bytes,
    data: bytes,
    tokens: Sequence[Token16],
    extra_args: bytes,
) -> Hash32:
    metadata = keccak(_abi(_TAG_1_6_SOURCE, source, destination, on_ramp))
    fixed = keccak(_abi(sender, seq, nonce, fee_token, fee))
    listed = _array("(address,bytes,bytes,uint256,bytes)[]", tokens)
    return Hash32(keccak(_abi(_LEAF, metadata, fixed, keccak(receiver), keccak(data), listed, keccak(extra_args))))


def ccip_1_6_leaf(
    source: int,
    destination: int,
    on_ramp: Address,
    message: Hash32,
    receiver: Address,
    seq: int,
    gas_limit: int,
    nonce: int,
    sender: Address,
    data: bytes,
    tokens: Sequence[Delivered16],
) -> Hash32:
    """What is committed, and the `messageHash` of the execution: another hash than the message id."""
    metadata = keccak(_abi(_TAG_1_6_LEAF, source, destination, keccak(_abi(on_ramp))))
    fixed = keccak(_abi(message, receiver, seq, gas_limit, nonce))
    listed = _array("(bytes,address,uint32,bytes,uint256)[]", tokens)
    return Hash32(keccak(_abi(_LEAF, metadata, fixed, keccak(_abi(sender)), keccak(data), listed)))


def merkle_node(one: Hash32, other: Hash32) -> Hash32:
    return Hash32(keccak(_NODE + min(one, other) + max(one, other)))


def ccip_2_0_id(encoded: bytes) -> Hash32:
    return Hash32(keccak(encoded))
