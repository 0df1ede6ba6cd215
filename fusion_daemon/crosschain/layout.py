"""Event layouts, compiled from their Solidity declarations.

INVARIANT: a layout is strict. An offset or length that leaves the data, a word outside its type's range and text
that is not UTF-8 raise `Unreadable`; nothing is ever made up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from eth_utils.crypto import keccak

from fusion_daemon.domain.identifiers import Hash32

Value = int | bool | str | bytes | tuple["Value", ...]
"""Addresses are 20 bytes, arrays and structs are tuples."""

Read = Callable[[bytes, int], Value]
"""(data, where the value's own encoding begins)."""

_WORD = 32
_SIZED = re.compile(r"(uint|bytes)(\d+)")


class Unreadable(ValueError):
    """A log that does not have the layout of its event."""


class Codec:
    """How a type is laid out: `size` octets in place, or behind an offset."""

    __slots__ = ("dynamic", "read", "size")

    def __init__(self, size: int, dynamic: bool, read: Read) -> None:
        self.size = size
        self.dynamic = dynamic
        self.read = read


class Layout:
    """`Event(type indexed, type, …)`: the topic, and the arguments in declaration order."""

    def __init__(self, declaration: str) -> None:
        name, _, rest = declaration.partition("(")
        arguments = _split(rest[:-1])
        kinds = [argument.removesuffix(" indexed") for argument in arguments]
        indexed = [argument.endswith(" indexed") for argument in arguments]
        self.name = name
        self.topic = Hash32(keccak(text=f"{name}({','.join(kinds)})"))
        self.topics = 1 + sum(indexed)
        codecs = [_codec(kind) for kind in kinds]
        self._indexed = [codec.read for codec, there in zip(codecs, indexed, strict=True) if there]
        self._data = _struct([codec for codec, there in zip(codecs, indexed, strict=True) if not there])
        places, topic, word = [], 0, sum(indexed)
        for there in indexed:
            places.append(topic if there else word)
            topic, word = topic + there, word + (not there)
        self._places = places

    def values(self, topics: Sequence[bytes], data: bytes) -> tuple[Value, ...]:
        """Raises Unreadable."""
        if len(topics) != self.topics:
            raise Unreadable(f"{self.name} with {len(topics)} topics instead of {self.topics}")
        inside = self._data.read(data, 0)
        assert isinstance(inside, tuple)
        found = (*[read(word, 0) for read, word in zip(self._indexed, topics[1:], strict=True)], *inside)
        return tuple([found[place] for place in self._places])


def _split(text: str) -> list[str]:
    """At the commas outside brackets."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]] if text else []


def _codec(kind: str) -> Codec:
    if kind.endswith("[]"):
        return Codec(_WORD, True, _array(_codec(kind[:-2])))
    if kind.startswith("("):
        return _struct([_codec(each) for each in _split(kind[1:-1])])
    match kind:
        case "bytes":
            return Codec(_WORD, True, _octets)
        case "string":
            return Codec(_WORD, True, _text)
        case "address":
            return Codec(_WORD, False, _address)
        case "bool":
            return Codec(_WORD, False, _boolean)
        case "bytes32":
            return Codec(_WORD, False, _word)
    sized = _SIZED.fullmatch(kind)
    assert sized is not None, f"no layout for {kind}"
    width = int(sized[2])
    return Codec(_WORD, False, _unsigned(width) if sized[1] == "uint" else _fixed(width))


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + _WORD]
    if len(word) != _WORD:
        raise Unreadable(f"{len(data)} bytes of data end before word {at // _WORD}")
    return word


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(_word(data, at), "big")


def _address(data: bytes, at: int) -> bytes:
    word = _word(data, at)
    if word[:12] != bytes(12):
        raise Unreadable("an address of more than 20 bytes")
    return word[12:]


def _boolean(data: bytes, at: int) -> bool:
    value = _number(data, at)
    if value > 1:
        raise Unreadable("a boolean that is neither 0 nor 1")
    return value == 1


def _unsigned(bits: int) -> Read:
    def read(data: bytes, at: int) -> int:
        value = _number(data, at)
        if value >> bits:
            raise Unreadable(f"an integer of more than {bits} bits")
        return value

    return _number if bits == 256 else read


def _fixed(width: int) -> Read:
    def read(data: bytes, at: int) -> bytes:
        word = _word(data, at)
        if any(word[width:]):
            raise Unreadable(f"more than {width} bytes")
        return word[:width]

    return read


def _octets(data: bytes, at: int) -> bytes:
    start = at + _WORD
    end = start + _number(data, at)
    if end > len(data):
        raise Unreadable("octets that leave the data")
    return data[start:end]


def _text(data: bytes, at: int) -> str:
    try:
        return _octets(data, at).decode()
    except UnicodeDecodeError as error:
        raise Unreadable("text that is not UTF-8") from error


def _struct(parts: Sequence[Codec]) -> Codec:
    plan, offset = [], 0
    for part in parts:
        plan.append((offset, part.dynamic, part.read))
        offset += part.size
    dynamic = any(part.dynamic for part in parts)

    def read(data: bytes, at: int) -> Value:
        return tuple(
            [part(data, at + (_number(data, at + place) if behind else place)) for place, behind, part in plan]
        )

    return Codec(_WORD if dynamic else offset, dynamic, read)


def _array(item: Codec) -> Read:
    size, dynamic, one = item.size, item.dynamic, item.read

    def read(data: bytes, at: int) -> Value:
        length, start = _number(data, at), at + _WORD
        if length * size > len(data) - start:
            raise Unreadable("an array that leaves the data")
        places = range(start, start + length * size, size)
        return tuple([one(data, start + _number(data, place) if dynamic else place) for place in places])

    return read
