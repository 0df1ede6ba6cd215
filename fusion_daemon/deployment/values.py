"""Values in a deployment file, and on the chain. Pure.

An integer is a number, or decimal text; octets are `0x…`; an address may be `@name`; a struct is an object with its
fields' names, or an array. For `bytes32` there is `role:NAME` (its hash, as OpenZeppelin's roles are) and `text:name`
(padded with zeros, as Solidity pads a literal).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from fusion_daemon.chain.abi import canonical_type
from fusion_daemon.chain.artifacts import AbiEntry, AbiField, Artifact
from fusion_daemon.domain.identifiers import Address, hex_of, parse_address

Names = Mapping[str, Address]
"""What `@name` means."""

ADMIN_ROLE = "DEFAULT_ADMIN_ROLE"
_ARRAY = re.compile(r"^(.*)\[(\d*)\]$")


class Unreadable(ValueError):
    """A value does not have the type that the ABI asks for; the text says which."""


def address_of(text: object, names: Names) -> Address:
    """`0x…`, or `@name`. Raises Unreadable."""
    if not isinstance(text, str):
        raise Unreadable(f"{text!r} is no address")
    if text.startswith("@"):
        found = names.get(text[1:])
        if found is None:
            raise Unreadable(f"{text} is not a name of this file")
        return found
    try:
        return parse_address(text)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def role_id(name: str) -> bytes:
    return bytes(32) if name == ADMIN_ROLE else keccak(text=name)


def function_of(artifact: Artifact, name: str, arguments: int) -> AbiEntry:
    """Raises Unreadable when the ABI has no such function, or two with so many arguments."""
    found = [e for e in artifact.abi if e.type == "function" and e.name == name and len(e.inputs) == arguments]
    if len(found) != 1:
        raise Unreadable(f"{artifact.name} has {len(found)} functions {name} with {arguments} arguments")
    return found[0]


def creation_code(artifact: Artifact, arguments: Sequence[object], names: Names) -> bytes:
    """Bytecode and encoded arguments. Raises Unreadable."""
    constructor = next((each for each in artifact.abi if each.type == "constructor"), AbiEntry("constructor"))
    return artifact.bytecode + _encoded(constructor.inputs, arguments, names)


def call_data(function: AbiEntry, arguments: Sequence[object], names: Names) -> bytes:
    """Selector and encoded arguments. Raises Unreadable."""
    signature = f"{function.name}({','.join(map(canonical_type, function.inputs))})"
    return keccak(text=signature)[:4] + _encoded(function.inputs, arguments, names)


def differences(outputs: Sequence[AbiField], expected: object, answer: bytes, names: Names) -> list[str]:
    """What the answer should say and does not, field by field; empty: it is as expected. Several outputs are
    expected as an array. Raises Unreadable."""
    wanted = [expected] if len(outputs) == 1 else expected
    if not isinstance(wanted, list) or len(wanted) != len(outputs):
        raise Unreadable(f"{len(outputs)} values are answered, {expected!r} is expected")
    try:
        found = decode([canonical_type(each) for each in outputs], answer)
    except (DecodingError, OverflowError, UnicodeDecodeError) as error:
        raise Unreadable(f"the answer {hex_of(answer)[:66]} has another form") from error
    return [
        text
        for field, want, have in zip(outputs, wanted, found, strict=True)
        for text in _compare(field, _typed(field, want, names), have, "")
    ]


def _encoded(fields: Sequence[AbiField], values: Sequence[object], names: Names) -> bytes:
    if len(fields) != len(values):
        raise Unreadable(f"{len(values)} arguments instead of {len(fields)}")
    typed = [_typed(field, value, names) for field, value in zip(fields, values, strict=True)]
    try:
        return encode([canonical_type(field) for field in fields], typed)
    except EncodingError as error:
        raise Unreadable(str(error)) from error


def _typed(field: AbiField, value: object, names: Names) -> object:
    """The value as eth_abi takes and gives it; addresses are lower-case text."""
    array = _ARRAY.match(field.type)
    if array is not None:
        if not isinstance(value, list):
            raise Unreadable(f"{value!r} is no array")
        item = AbiField(array[1], field.name, field.indexed, field.components)
        return tuple(_typed(item, each, names) for each in value)
    if field.type == "tuple":
        return _struct(field, value, names)
    if field.type == "address":
        return hex_of(address_of(value, names))
    if field.type == "bool" and isinstance(value, bool):
        return value
    if field.type == "string" and isinstance(value, str):
        return value
    if field.type.startswith(("uint", "int")):
        return _integer(field, value)
    if field.type.startswith("bytes"):
        return _octets(field, value)
    raise Unreadable(f"{value!r} is no {field.type}")


def _struct(field: AbiField, value: object, names: Names) -> tuple[object, ...]:
    parts = {each.name: each for each in field.components}
    if isinstance(value, list) and len(value) == len(field.components):
        value = dict(zip(parts, value, strict=True))
    if not isinstance(value, dict) or value.keys() != parts.keys():
        raise Unreadable(f"{field.name or 'a struct'} needs {', '.join(parts)}; the file has {value!r}")
    return tuple(_typed(part, value[name], names) for name, part in parts.items())


def _integer(field: AbiField, value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable(f"{value!r} is no {field.type}")
    return value


def _octets(field: AbiField, value: object) -> bytes:
    if not isinstance(value, str):
        raise Unreadable(f"{value!r} is no {field.type}")
    kind, _, rest = value.partition(":")
    if kind == "role" and field.type == "bytes32":
        return role_id(rest)
    if kind == "text" and field.type == "bytes32" and len(rest.encode()) <= 32:
        return rest.encode().ljust(32, b"\0")
    try:
        octets = bytes.fromhex(value.removeprefix("0x"))
    except ValueError as error:
        raise Unreadable(f"{value!r} is no {field.type}") from error
    if not value.startswith("0x") or (field.type != "bytes" and len(octets) != int(field.type[5:])):
        raise Unreadable(f"{value!r} is no {field.type}")
    return octets


def _compare(field: AbiField, want: object, have: object, path: str) -> Iterator[str]:
    if field.type == "tuple" and isinstance(want, tuple) and isinstance(have, tuple):
        for part, left, right in zip(field.components, want, have, strict=True):
            yield from _compare(part, left, right, f"{path}{part.name} ")
    elif want != have:
        yield f"{path}is {_shown(have)} and should be {_shown(want)}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return hex_of(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)
