"""Event decoders, compiled once per event from its ABI.

An event whose data holds only static words is decoded by hand: split the data into 32-byte words and convert
each. Everything else (strings, arrays, tuples) goes through `eth_abi`. An indexed argument of dynamic type is
only a hash on the chain, and stays one.

INVARIANT: a decoder is strict. A word outside its type's range, missing or surplus data raise `Undecodable`;
no argument is ever made up.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import AbiEntry, AbiField
from fusion_daemon.domain.identifiers import Hash32, hex_of

Value = int | bool | str | bytes | tuple["Value", ...]
"""A decoded argument. Addresses are 20 bytes, an indexed dynamic argument the 32 bytes of its hash."""

Signature = tuple[bytes, int]
"""Topic 0 and the number of topics: `Transfer` of ERC-20 and ERC-721 share the first and differ in the
second.
"""

_WORD = 32
_SCALAR = re.compile(r"^(u?int|bytes)(\d+)$")


class Undecodable(ValueError):
    """A log does not have the layout that its event's ABI declares."""


@dataclass(frozen=True, slots=True)
class EventDecoder:
    name: str
    topic: Hash32
    """keccak256 of the signature."""
    fields: tuple[str, ...]
    """Argument names in declaration order; `arg0`, `arg1` … where the ABI has none."""
    indexed: int
    decode: Callable[[Sequence[bytes], bytes], tuple[Value, ...]]
    """(topics, data) to arguments in declaration order; raises Undecodable."""
    json: Callable[[tuple[Value, ...]], str]
    """Arguments as a JSON object: integers as decimal strings (they exceed 2^53), octets as 0x hex."""


def event_decoders(abi: Iterable[AbiEntry]) -> Mapping[Signature, EventDecoder]:
    """One decoder per event of an ABI. Anonymous events have no signature topic and are left out."""
    decoders = [_compile(entry) for entry in abi if entry.type == "event" and not entry.anonymous]
    return {(decoder.topic, decoder.indexed + 1): decoder for decoder in decoders}


def _compile(entry: AbiEntry) -> EventDecoder:
    types = [canonical_type(field) for field in entry.inputs]
    topic = Hash32(keccak(text=f"{entry.name}({','.join(types)})"))
    fields = tuple(field.name or f"arg{index}" for index, field in enumerate(entry.inputs))
    data_types = [kind for kind, field in zip(types, entry.inputs, strict=True) if not field.indexed]
    converters = [
        _converter(kind) or (_keep if field.indexed else None) for kind, field in zip(types, entry.inputs, strict=True)
    ]
    indexed = len(types) - len(data_types)
    order = _order(entry.inputs, indexed)
    static = [converter for converter in converters if converter is not None]
    if len(static) == len(converters):
        decoder = _static(static, order, len(data_types))
    else:
        decoder = _general(converters, order, data_types, indexed)
    return EventDecoder(entry.name, topic, fields, indexed, decoder, _renderer(fields, types))


def _renderer(fields: Sequence[str], types: Sequence[str]) -> Callable[[tuple[Value, ...]], str]:
    """The JSON of an event. Rendering costs as much as decoding, so the events of addresses, integers and
    octets, which are nearly all, fill in a template."""

    def general(values: tuple[Value, ...]) -> str:
        return orjson.dumps(dict(zip(fields, map(_plain, values), strict=True))).decode()

    def simple(values: tuple[Value, ...]) -> str:
        return template % tuple([value.hex() if type(value) is bytes else value for value in values])

    forms = [_form(kind) for kind in types]
    pairs = (f'"{field}":"{form}"' for field, form in zip(fields, forms, strict=True))
    template = f"{{{','.join(pairs)}}}"
    return general if None in forms else simple


def _form(kind: str) -> str | None:
    if re.fullmatch(r"u?int\d+", kind):
        return "%d"
    return "0x%s" if kind == "address" or re.fullmatch(r"bytes\d+", kind) else None


def _order(fields: Sequence[AbiField], indexed: int) -> list[int]:
    """For each argument in declaration order, where it stands in (indexed topics, then data)."""
    topics, data = iter(range(indexed)), iter(range(indexed, len(fields)))
    return [next(topics) if field.indexed else next(data) for field in fields]


def _static(
    converters: Sequence[Callable[[bytes], Value]], order: Sequence[int], words: int
) -> Callable[[Sequence[bytes], bytes], tuple[Value, ...]]:
    unpack = struct.Struct(f"{_WORD}s" * words).unpack
    plan = list(zip(converters, order, strict=True))

    def run(topics: Sequence[bytes], data: bytes) -> tuple[Value, ...]:
        if len(data) != words * _WORD:
            raise Undecodable(f"{len(data)} bytes of data instead of {words * _WORD}")
        octets = (*topics[1:], *unpack(data))
        return tuple([convert(octets[place]) for convert, place in plan])

    return run


def _general(
    converters: Sequence[Callable[[bytes], Value] | None],
    order: Sequence[int],
    data_types: Sequence[str],
    indexed: int,
) -> Callable[[Sequence[bytes], bytes], tuple[Value, ...]]:
    def run(topics: Sequence[bytes], data: bytes) -> tuple[Value, ...]:
        try:
            decoded = decode(data_types, data)
        except (DecodingError, UnicodeDecodeError, OverflowError) as error:
            raise Undecodable(str(error)) from error
        values: list[Value] = []
        for convert, place, kind in zip(converters, order, kinds, strict=True):
            if place < indexed:
                values.append((convert or _keep)(topics[1 + place]))
            else:
                values.append(_parsed(kind, decoded[place - indexed]))
        return tuple(values)

    kinds = ["" if place < indexed else data_types[place - indexed] for place in order]
    return run


def _parsed(kind: str, value: object) -> Value:
    """eth_abi's answer in our terms: it gives addresses as text, sequences as tuples."""
    if isinstance(value, tuple | list):
        return tuple(_parsed(kind, item) for item in value)
    if isinstance(value, str) and "address" in kind and re.fullmatch(r"0x[0-9a-f]{40}", value):
        return bytes.fromhex(value[2:])
    if isinstance(value, int | str | bytes):
        return value
    raise Undecodable(f"an argument of type {type(value).__name__}")


def canonical_type(field: AbiField) -> str:
    """As signatures name it: `(address,uint32)[]`."""
    if not field.type.startswith("tuple"):
        return field.type
    return f"({','.join(map(canonical_type, field.components))}){field.type.removeprefix('tuple')}"


def _converter(kind: str) -> Callable[[bytes], Value] | None:
    """How one 32-byte word of a static type becomes a value; None: the type is not a single word."""
    if kind == "address":
        return _address
    if kind == "bool":
        return _boolean
    if kind == "uint256":
        return int.from_bytes  # the byte order is big by default
    sized = _SCALAR.match(kind)
    if sized is None:
        return None
    width = int(sized[2])
    match sized[1]:
        case "uint":
            return _unsigned(width)
        case "int":
            return _signed(width)
        case _:
            return _fixed(width)


def _keep(word: bytes) -> Value:
    return word


def _address(word: bytes) -> Value:
    if word[:12] != bytes(12):
        raise Undecodable("an address of more than 20 bytes")
    return word[12:]


def _boolean(word: bytes) -> Value:
    value = int.from_bytes(word, "big")
    if value > 1:
        raise Undecodable("a boolean that is neither 0 nor 1")
    return value == 1


def _unsigned(bits: int) -> Callable[[bytes], Value]:
    limit = 1 << bits

    def convert(word: bytes) -> Value:
        value = int.from_bytes(word, "big")
        if value >= limit:
            raise Undecodable(f"an integer of more than {bits} bits")
        return value

    return convert


def _signed(bits: int) -> Callable[[bytes], Value]:
    limit = 1 << (bits - 1)

    def convert(word: bytes) -> Value:
        value = int.from_bytes(word, "big", signed=True)
        if not -limit <= value < limit:
            raise Undecodable(f"an integer of more than {bits} bits")
        return value

    return convert


def _fixed(width: int) -> Callable[[bytes], Value]:
    padding = bytes(_WORD - width)

    def convert(word: bytes) -> Value:
        if word[width:] != padding:
            raise Undecodable(f"more than {width} bytes")
        return word[:width]

    return convert


_Plain = str | bool | list["_Plain"]


def _plain(value: Value) -> _Plain:
    if isinstance(value, bytes):
        return hex_of(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # Postgres refuses NUL in text, and a contract may emit anything: such a string is kept as octets.
        return hex_of(value.encode()) if "\0" in value else value
    return [_plain(item) for item in value]
