"""Rules: a value of a deployment file means one thing to the ABI or is refused by name; an answer is as expected or
the field that is not is named."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.artifacts import AbiEntry, AbiField, Artifact, load_artifact
from fusion_daemon.deployment.values import (
    Unreadable,
    call_data,
    creation_code,
    differences,
    function_of,
)
from fusion_daemon.domain.identifiers import Address, hex_of

DESK = Address(b"\xde" * 20)
NAMES = {"desk": DESK}
CONFIG = AbiField("tuple", "config", False, (AbiField("address", "feed"), AbiField("uint32", "heartbeat")))


def takes(kind: str) -> AbiEntry:
    return AbiEntry("function", "f", (AbiField(kind, "x"),))


def word(kind: str, value: object) -> bytes:
    """The value as it goes onto the chain."""
    return call_data(takes(kind), [value], NAMES)[4:]


@pytest.mark.parametrize(
    ("kind", "written", "means"),
    [
        ("uint256", 2**256 - 1, 2**256 - 1),
        ("uint256", str(2**256 - 1), 2**256 - 1),
        ("int64", "-5", -5),
        ("address", "@desk", hex_of(DESK)),
        ("address", "0x" + "AB" * 20, "0x" + "ab" * 20),
        ("bytes32", "role:RISK_ROLE", keccak(text="RISK_ROLE")),
        ("bytes32", "role:DEFAULT_ADMIN_ROLE", bytes(32)),
        ("bytes32", "text:axelar", b"axelar".ljust(32, b"\0")),
        ("bytes32", "0x" + "ab" * 32, b"\xab" * 32),
        ("bytes", "0x0102", b"\1\2"),
        ("bool", True, True),
        ("string", "0x", "0x"),
        ("address[]", ["@desk"], [hex_of(DESK)]),
        ("uint8[2]", [1, 2], [1, 2]),
    ],
)
def test_what_is_written_and_what_it_means(kind: str, written: object, means: object) -> None:
    assert word(kind, written) == encode([kind], [means])


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("uint8", 256),
        ("uint256", -1),
        ("uint256", True),
        ("uint256", 1.0),
        ("uint256", "0x10"),
        ("uint256", ""),
        ("address", "@nobody"),
        ("address", "0x12"),
        ("address", 5),
        ("bytes32", "0x1234"),
        ("bytes32", "ab" * 32),
        ("bytes32", "text:" + "x" * 33),
        ("bytes", "role:RISK_ROLE"),
        ("bool", 1),
        ("string", 1),
        ("address[]", "@desk"),
        ("uint8[2]", [1]),
    ],
)
def test_what_is_not_of_the_type_is_refused(kind: str, written: object) -> None:
    with pytest.raises(Unreadable):
        word(kind, written)


def test_a_struct_is_written_by_names_or_in_order_and_needs_every_field() -> None:
    function = AbiEntry("function", "f", (CONFIG,))
    named = call_data(function, [{"heartbeat": 60, "feed": "@desk"}], NAMES)
    assert named == call_data(function, [["@desk", 60]], NAMES)
    assert named[:4] == keccak(text="f((address,uint32))")[:4]
    for broken in ({"feed": "@desk"}, {"feed": "@desk", "heartbeat": 1, "more": 2}, ["@desk"], 5):
        with pytest.raises(Unreadable, match="config needs feed, heartbeat"):
            call_data(function, [broken], NAMES)


def test_arguments_are_as_many_as_the_function_takes() -> None:
    with pytest.raises(Unreadable, match="2 arguments instead of 1"):
        call_data(takes("bool"), [True, True], NAMES)
    with pytest.raises(Unreadable, match="1 arguments instead of 0"):
        creation_code(load_artifact("TestPyth"), [1], NAMES)


def test_creation_code_is_the_bytecode_and_its_arguments() -> None:
    vault = load_artifact("CrossChainVault")
    assert creation_code(vault, ["@desk"], NAMES) == vault.bytecode + encode(["address"], [hex_of(DESK)])


def test_an_overloaded_function_is_told_by_its_arguments_or_not_at_all() -> None:
    one, two = takes("bool"), AbiEntry("function", "f", ())
    artifact = Artifact("A", (one, two, takes("address")), b"")
    assert function_of(artifact, "f", 0) is two
    with pytest.raises(Unreadable, match="A has 2 functions f with 1 arguments"):
        function_of(artifact, "f", 1)


@given(
    have=st.integers(0, 2**32 - 1), want=st.integers(0, 2**32 - 1), holder=st.sampled_from([DESK, Address(bytes(20))])
)
def test_an_answer_is_as_expected_or_its_field_is_named(have: int, want: int, holder: Address) -> None:
    answer = encode(["(address,uint32)"], [(hex_of(holder), have)])
    found = differences([CONFIG], {"feed": "@desk", "heartbeat": want}, answer, NAMES)
    expected = []
    if holder != DESK:
        expected.append(f"feed is {hex_of(holder)} and should be {hex_of(DESK)}")
    if have != want:
        expected.append(f"heartbeat is {have} and should be {want}")
    assert found == expected


def test_several_outputs_are_expected_as_an_array() -> None:
    outputs = [AbiField("address", "a"), AbiField("bytes4", "b")]
    answer = encode(["address", "bytes4"], [hex_of(DESK), b"\1\2\3\4"])
    assert differences(outputs, ["@desk", "0x01020304"], answer, NAMES) == []
    assert differences(outputs, ["@desk", "0x01020305"], answer, NAMES) == ["is 0x01020304 and should be 0x01020305"]
    for wrong in ("@desk", ["@desk"]):
        with pytest.raises(Unreadable, match="2 values are answered"):
            differences(outputs, wrong, answer, NAMES)


def test_an_answer_of_another_form_is_no_answer() -> None:
    for answer in (b"", b"\1" * 32, bytes(31)):
        with pytest.raises(Unreadable, match="has another form"):
            differences([AbiField("bool", "x")], True, answer, NAMES)
