"""Why a call reverts, in words. Pure; what it is told comes from a node, and may be anything."""

from __future__ import annotations

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from fusion_daemon.domain.identifiers import hex_of

_ERROR = bytes.fromhex("08c379a0")
"""Error(string): `require` and `revert` with a text."""
_PANIC = bytes.fromhex("4e487b71")
"""Panic(uint256): the compiler's own checks."""
_PANICS = {
    0x01: "an assertion failed",
    0x11: "arithmetic overflow",
    0x12: "division by zero",
    0x21: "no such value of the enumeration",
    0x22: "storage is malformed",
    0x31: "nothing to pop",
    0x32: "index out of bounds",
    0x41: "out of memory",
    0x51: "no such function",
}
_LONGEST = 300


def reason_of(data: bytes, message: str) -> str:
    """`data`: what the call returned; `message`: what the node says, for want of better."""
    selector, body = data[:4], data[4:]
    try:
        if selector == _ERROR:
            return str(decode(["string"], body)[0])[:_LONGEST]
        if selector == _PANIC:
            code = int(decode(["uint256"], body)[0])
            return _PANICS.get(code, f"panic {code:#x}")
    except (DecodingError, UnicodeDecodeError):
        return hex_of(data)[:_LONGEST]
    return hex_of(data)[:_LONGEST] if data else message[:_LONGEST]
