"""Decoders agree with eth_abi on everything it encodes, and refuse what does not fit the declared layout."""

from __future__ import annotations

import json

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.abi import EventDecoder, Undecodable, event_decoders
from fusion_daemon.chain.artifacts import AbiEntry, AbiField

STATIC = {
    "address": st.binary(min_size=20, max_size=20),
    "bool": st.booleans(),
    "uint8": st.integers(0, 2**8 - 1),
    "uint256": st.integers(0, 2**256 - 1),
    "int24": st.integers(-(2**23), 2**23 - 1),
    "int256": st.integers(-(2**255), 2**255 - 1),
    "bytes4": st.binary(min_size=4, max_size=4),
    "bytes32": st.binary(min_size=32, max_size=32),
}
DYNAMIC = {
    "string": st.text(st.characters(codec="utf-8"), max_size=40),
    "bytes": st.binary(max_size=70),
    "uint256[]": st.lists(st.integers(0, 2**256 - 1), max_size=4).map(tuple),
    "uint16[2]": st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)),
}


def decoder_of(*fields: AbiField) -> EventDecoder:
    [decoder] = event_decoders([AbiEntry("event", "Drawn", fields)]).values()
    return decoder


@st.composite
def emitted(draw: st.DrawFn, kinds: dict[str, st.SearchStrategy[object]]) -> tuple[tuple[AbiField, ...], list[object]]:
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), max_size=7))
    indexed = draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen)))
    left = 3
    fields = []
    for place, (kind, wanted) in enumerate(zip(chosen, indexed, strict=True)):
        put = wanted and left > 0
        left -= put
        fields.append(AbiField(kind, f"f{place}", put))
    return tuple(fields), [draw(kinds[kind]) for kind in chosen]


def wire(fields: tuple[AbiField, ...], values: list[object]) -> tuple[list[bytes], bytes]:
    """As the EVM emits it: an indexed dynamic argument is the hash of something."""
    pairs = list(zip(fields, values, strict=True))
    topics = [
        encode([field.type], [value]) if field.type in STATIC else keccak(repr(value).encode())
        for field, value in pairs
        if field.indexed
    ]
    data = encode([f.type for f, _ in pairs if not f.indexed], [v for f, v in pairs if not f.indexed])
    return [bytes(32), *topics], data


@given(emitted(STATIC))
def test_static_layouts(drawn: tuple[tuple[AbiField, ...], list[object]]) -> None:
    fields, values = drawn
    decoder = decoder_of(*fields)
    topics, data = wire(fields, values)
    decoded = decoder.decode(topics, data)
    assert list(decoded) == values
    rendered = json.loads(decoder.json(decoded))
    for field, value in zip(fields, values, strict=True):
        expected = "0x" + value.hex() if isinstance(value, bytes) else value
        assert rendered[field.name] == (expected if isinstance(expected, bool | str) else str(expected))


@given(emitted(STATIC | DYNAMIC))
def test_mixed_layouts(drawn: tuple[tuple[AbiField, ...], list[object]]) -> None:
    fields, values = drawn
    decoder = decoder_of(*fields)
    topics, data = wire(fields, values)
    hashes = iter(topics[1:])
    decoded = decoder.decode(topics, data)
    for field, value, found in zip(fields, values, decoded, strict=True):
        on_chain = next(hashes) if field.indexed else None
        assert found == (on_chain if field.indexed and field.type in DYNAMIC else value)
    assert "\0" not in decoder.json(decoded)
    json.loads(decoder.json(decoded))


@given(emitted(STATIC), st.binary(min_size=1, max_size=40))
def test_surplus_and_missing_data_are_refused(drawn: tuple[tuple[AbiField, ...], list[object]], surplus: bytes) -> None:
    fields, values = drawn
    topics, data = wire(fields, values)
    with pytest.raises(Undecodable):
        decoder_of(*fields).decode(topics, data + surplus)
    if data:
        with pytest.raises(Undecodable):
            decoder_of(*fields).decode(topics, data[:-1])


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("address", b"\1" + bytes(31)),
        ("bool", bytes(31) + b"\2"),
        ("uint8", bytes(30) + b"\1\0"),
        ("int8", bytes(31) + b"\x80"),
        ("bytes4", bytes(31) + b"\1"),
    ],
)
def test_a_word_outside_its_type_is_refused(kind: str, word: bytes) -> None:
    with pytest.raises(Undecodable):
        decoder_of(AbiField(kind, "x")).decode([bytes(32)], word)


def test_dynamic_data_cut_short_is_undecodable() -> None:
    data = encode(["string"], ["some text"])
    with pytest.raises(Undecodable):
        decoder_of(AbiField("string", "x")).decode([bytes(32)], data[:-32])


def test_signature_of_tuples_and_same_topic_with_other_indexing() -> None:
    """ERC-20 and ERC-721 share `Transfer`'s topic and differ in the number of topics."""
    parts = (AbiField("address", "a"), AbiField("uint256[]", "b"))
    [nested] = event_decoders([AbiEntry("event", "E", (AbiField("tuple[2]", "t", components=parts),))]).values()
    assert nested.topic == keccak(text="E((address,uint256[])[2])")
    transfer = [
        AbiEntry("event", "Transfer", (AbiField("address", indexed=True), AbiField("uint256", indexed=indexed)))
        for indexed in (True, False)
    ]
    assert {count for _, count in event_decoders(transfer)} == {2, 3}


def test_anonymous_events_and_functions_are_left_out() -> None:
    assert not event_decoders([AbiEntry("event", "E", anonymous=True), AbiEntry("function", "f")])
