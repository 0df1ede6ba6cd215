"""Which payment belongs to which of Axelar's calls."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.demo.bridge.axelar_calls import CONTRACT_CALL, GAS_ADDED, GAS_PAID, axelar_calls, own_cost
from fusion_daemon.demo.bridge.faults import Key
from fusion_daemon.demo.bridge.logs import BridgeLog
from fusion_daemon.domain.identifiers import Hash32, hex_of

SENDER, TARGET, PAYLOAD = b"\0" * 12 + b"\x5e" * 20, b"\xaa" * 20, b"payload"
TX, OTHER = Hash32(b"\1" * 32), Hash32(b"\2" * 32)
BEFORE = 10
"""Logs in the block before this transaction's."""


def call(position: int, tx: Hash32 = TX, chain: str = "b", target: str = hex_of(TARGET)) -> BridgeLog:
    data = encode(["string", "string", "bytes"], [chain, target, PAYLOAD])
    return log(tx, position, (CONTRACT_CALL, SENDER, keccak(PAYLOAD)), data)


def paid(position: int, amount: int, tx: Hash32 = TX, sender: bytes = SENDER, chain: str = "b") -> BridgeLog:
    types = ["string", "string", "uint256", "address"]
    data = encode(types, [chain, hex_of(TARGET).upper().replace("X", "x"), amount, TARGET])
    return log(tx, position, (GAS_PAID, sender, keccak(PAYLOAD)), data)


def added(index: int, amount: int, tx: Hash32 = TX) -> BridgeLog:
    data = encode(["uint256", "address"], [amount, TARGET])
    return log(OTHER, 0, (GAS_ADDED, tx, index.to_bytes(32, "big")), data)


def log(tx: Hash32, position: int, topics: tuple[bytes, ...], data: bytes) -> BridgeLog:
    return BridgeLog(Key(tx, position), b"\xbb" * 20, topics, data, BEFORE + position)


def amounts(*logs: BridgeLog) -> list[int]:
    return [each.paid for each in axelar_calls(logs)]


def test_equal_calls_take_their_payments_in_log_order() -> None:
    assert amounts(paid(0, 7), call(1), paid(2, 8), call(3), call(4)) == [7, 8, 0]


def test_a_payment_after_its_call_counts_and_casing_does_not_matter() -> None:
    assert amounts(call(0), paid(1, 7)) == [7]


def test_payments_of_another_transaction_sender_or_chain_do_not_count() -> None:
    others = (paid(0, 7, tx=OTHER), paid(0, 7, sender=b"\0" * 32), paid(0, 7, chain="c"))
    assert amounts(*others, call(1)) == [0]


def test_a_top_up_names_the_place_in_the_receipt_or_in_the_block() -> None:
    assert amounts(call(1), added(1, 3), added(BEFORE + 1, 4), added(2, 100), added(1, 100, tx=OTHER)) == [7]


def test_a_call_to_no_address_is_not_carried() -> None:
    assert amounts(call(0, target="somewhere")) == []


def test_a_message_is_named_by_its_place_in_the_receipt() -> None:
    (found,) = axelar_calls([call(3)])
    assert found.message_id == "0x" + "01" * 32 + "-3"
    assert found.amplifier_command("a") == keccak(text=f"a_{found.message_id}")
    assert found.classic_command(31_337) == keccak(TX + bytes([3, *bytes(7)]) + bytes([0x7A, 0x69]))


def test_the_cost_of_calldata_is_eip_7623s() -> None:
    assert own_cost(b"") == 21_000
    assert own_cost(b"\0\1") == 21_000 + 10 + 40
