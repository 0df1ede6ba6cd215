"""Structs as rows' octets: msgpack, which ends at 64 bits, with integers of any width.

Whoever writes to a public contract chooses his integers up to 256 bits, and must not choose whether they can be kept.
A wide one is written as decimal text, which a decoder with `strict=False` reads as the integer that its field is.
"""

from __future__ import annotations

import msgspec

_ENCODER = msgspec.msgpack.Encoder()


def pack(value: msgspec.Struct) -> bytes:
    """Plain msgpack where all integers fit."""
    try:
        return _ENCODER.encode(value)
    except OverflowError:
        return _ENCODER.encode(_narrowed(msgspec.to_builtins(value, builtin_types=(bytes,))))


def _narrowed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _narrowed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_narrowed(each) for each in value]
    return str(value) if isinstance(value, int) and value >> 63 not in (0, -1) else value
