"""Ids and hashes are those of the bridges' contracts: each formula beside its Solidity, encoded by another hand."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.crosschain import Envelope, id_of, read_envelope, write_envelope
from fusion_daemon.crosschain.ids import (
    amplifier_command,
    axelar_message,
    ccip_1_5_id,
    ccip_1_6_id,
    ccip_1_6_leaf,
    ccip_2_0_id,
    classic_commands,
    merkle_node,
)
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32

RAMP, SENDER, RECEIVER, FEE_TOKEN = (Address(bytes([octet]) * 20) for octet in (1, 2, 3, 4))
ZERO = bytes(32)
tokens_15 = st.lists(st.tuples(st.just(FEE_TOKEN), st.integers(0, 2**256 - 1)), max_size=2)
tokens_16 = st.lists(
    st.tuples(
        st.just(RAMP), st.binary(max_size=40), st.binary(max_size=9), st.integers(0, 2**90), st.binary(max_size=9)
    ),
    max_size=2,
)
delivered = st.lists(
    st.tuples(
        st.binary(max_size=40), st.just(RAMP), st.integers(0, 2**32 - 1), st.binary(max_size=9), st.integers(0, 9)
    ),
    max_size=2,
)


@given(tokens_15, st.booleans(), st.binary(max_size=70))
def test_1_5_message_id(tokens: list[tuple[Address, int]], strict: bool, data: bytes) -> None:
    metadata = encode(["bytes32", "uint64", "uint64", "address"], [keccak(text="EVM2EVMMessageHashV2"), 5, 6, RAMP])
    fixed = encode(
        ["address", "address", "uint64", "uint256", "bool", "uint64", "address", "uint256"],
        [SENDER, RECEIVER, 7, 200_000, strict, 8, FEE_TOKEN, 9],
    )
    extra = [b"token data"] * len(tokens)
    leaf = encode(
        ["bytes32"] * 6,
        [
            ZERO,
            keccak(metadata),
            keccak(fixed),
            keccak(data),
            keccak(encode(["(address,uint256)[]"], [tokens])),
            keccak(encode(["bytes[]"], [extra])),
        ],
    )
    ours = ccip_1_5_id(5, 6, RAMP, SENDER, RECEIVER, 7, 200_000, strict, 8, FEE_TOKEN, 9, data, tokens, extra)
    assert ours == keccak(leaf)


@given(tokens_16, st.binary(max_size=70))
def test_1_6_message_id(tokens: list[tuple[Address, bytes, bytes, int, bytes]], data: bytes) -> None:
    metadata = encode(["bytes32", "uint64", "uint64", "address"], [keccak(text="EVM2AnyMessageHashV1"), 5, 6, RAMP])
    fixed = encode(["address", "uint64", "uint64", "address", "uint256"], [SENDER, 7, 8, FEE_TOKEN, 9])
    receiver = encode(["address"], [RECEIVER])
    leaf = encode(
        ["bytes32"] * 7,
        [
            ZERO,
            keccak(metadata),
            keccak(fixed),
            keccak(receiver),
            keccak(data),
            keccak(encode(["(address,bytes,bytes,uint256,bytes)[]"], [tokens])),
            keccak(b"extra"),
        ],
    )
    assert ccip_1_6_id(5, 6, RAMP, SENDER, 7, 8, FEE_TOKEN, 9, receiver, data, tokens, b"extra") == keccak(leaf)


@given(delivered, st.binary(max_size=70))
def test_1_6_leaf(tokens: list[tuple[bytes, Address, int, bytes, int]], data: bytes) -> None:
    message, ramp = keccak(b"message"), encode(["address"], [RAMP])
    metadata = encode(
        ["bytes32", "uint64", "uint64", "bytes32"], [keccak(text="Any2EVMMessageHashV1"), 5, 6, keccak(ramp)]
    )
    fixed = encode(["bytes32", "address", "uint64", "uint256", "uint64"], [message, RECEIVER, 7, 200_000, 8])
    leaf = encode(
        ["bytes32"] * 6,
        [
            ZERO,
            keccak(metadata),
            keccak(fixed),
            keccak(encode(["address"], [SENDER])),
            keccak(data),
            keccak(encode(["(bytes,address,uint32,bytes,uint256)[]"], [tokens])),
        ],
    )
    ours = ccip_1_6_leaf(5, 6, RAMP, Hash32(message), RECEIVER, 7, 200_000, 8, SENDER, data, tokens)
    assert ours == keccak(leaf)
    assert ours != message


def test_a_merkle_node_does_not_know_left_from_right() -> None:
    low, high = Hash32(bytes(31) + b"\x01"), Hash32(b"\xff" * 32)
    expected = keccak(encode(["bytes32", "bytes32", "bytes32"], [(1).to_bytes(32, "big"), low, high]))
    assert merkle_node(low, high) == merkle_node(high, low) == expected
    assert ccip_2_0_id(b"packed") == keccak(b"packed")


def test_axelars_commands() -> None:
    tx = bytes(range(32))
    message = axelar_message(tx, 258)
    assert message == "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f-258"
    assert amplifier_command("avalanche", message) == keccak(text=f"avalanche_{message}")
    assert classic_commands(tx, 258, ChainId(0xA4B1)) == (
        keccak(tx + bytes.fromhex("0201000000000000") + bytes.fromhex("a4b1")),
        keccak(message.encode() + bytes.fromhex("a4b1")),
    )


octets = st.binary(min_size=20, max_size=20).map(Address)
envelopes = st.builds(
    Envelope,
    st.integers(0, 2**63 - 1).map(ChainId),
    octets,
    st.integers(0, 2**63 - 1).map(ChainId),
    octets,
    st.integers(0, 2**64 - 1),
    st.integers(0, 255),
    octets,
    octets,
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
)
_TYPES = [
    *("uint16", "uint64", "address", "uint64", "address", "uint64"),
    *("uint8", "address", "address", "uint256", "uint64", "bytes32"),
]


@given(envelopes)
def test_an_envelope_is_abi_encode_and_comes_back(envelope: Envelope) -> None:
    fields = [getattr(envelope, field) for field in Envelope.__struct_fields__]
    payload = write_envelope(envelope)
    assert payload == encode(_TYPES, [1, *fields])
    assert read_envelope(payload) == envelope
    assert id_of(payload) == keccak(payload)


@given(envelopes, st.integers(0, 11))
def test_a_word_beyond_its_type_another_size_or_version_is_no_envelope(envelope: Envelope, word: int) -> None:
    payload = write_envelope(envelope)
    assert read_envelope(payload[:-1]) is None
    assert read_envelope(payload + b"\0") is None
    assert read_envelope((2).to_bytes(32, "big") + payload[32:]) is None
    full = payload[: word * 32] + b"\xff" * 32 + payload[word * 32 + 32 :]
    assert (read_envelope(full) is None) == (_TYPES[word] not in ("uint256", "bytes32"))
