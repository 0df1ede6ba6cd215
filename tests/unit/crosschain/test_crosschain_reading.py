"""A log becomes evidence by its emitter and topic; strangers are left out, what cannot be read is kept and counted."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.crosschain import Evidence, LogReader, RawLog, application, axelar, ccip, ids
from fusion_daemon.crosschain.axelar import ReceiptIndexMissing
from fusion_daemon.crosschain.ccip_packed import read_packed
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    AxelarGasAdded,
    AxelarGasPaid,
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipSkipped,
    CcipState,
    CcipVersion,
    Place,
    Received,
    Recovered,
    Refused,
    Resent,
    Retried,
    Sent,
    Stored,
)
from fusion_daemon.crosschain.layout import Layout, Unreadable
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from tests.unit.crosschain.world import (
    AXELAR,
    NAMES,
    NETWORKS,
    SELECTORS,
    STRANGER,
    A,
    B,
    C,
    Message,
    adapter,
    address,
    at,
    ccip_adapter,
    digest,
)

READER = LogReader(NETWORKS)
M = Message()
HERE, THERE = at(A, 10, 4), at(B, 20, 1)
GATEWAY, GAS, ON_RAMP, OFF_RAMP, STORE, ROUTER = 1, 2, 4, 5, 6, 8


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def log(
    place: Place, contract: int, layout: Layout, topics: Sequence[bytes | int], types: Sequence[str], *values: object
) -> RawLog:
    emitter = address(place.chain, contract)
    return RawLog(place, emitter, (layout.topic, *map(word, topics)), encode(types, values))


def read(*logs: RawLog) -> tuple[Evidence, ...]:
    reading = READER.read(logs)
    assert not reading.unreadable
    return reading.evidence


# Our router

BODY = (1, M.payload)
ROUTER_LOGS = [
    (
        log(HERE, ROUTER, application.MESSAGE_SENT, (M.id, AXELAR, M.envelope.source_app), ("uint64", "bytes"), *BODY),
        Sent(HERE, M.id, AXELAR, M.envelope.source_app, *BODY),
    ),
    (
        log(HERE, ROUTER, application.MESSAGE_RESENT, (M.id, AXELAR, STRANGER), ("uint64",), 2),
        Resent(HERE, M.id, AXELAR, STRANGER, 2),
    ),
    (
        log(HERE, ROUTER, application.MESSAGE_RECEIVED, (M.id, AXELAR, STRANGER), ("uint64", "bytes"), *BODY),
        Received(HERE, M.id, AXELAR, STRANGER, *BODY),
    ),
    (
        log(
            HERE, ROUTER, application.MESSAGE_FAILED, (M.id, AXELAR, STRANGER), ("uint64", "bytes", "bytes"),
            *BODY, b"no",
        ),
        Stored(HERE, M.id, AXELAR, STRANGER, *BODY, b"no"),
    ),
    (
        log(
            HERE, ROUTER, application.MESSAGE_REFUSED, (M.id, AXELAR), ("uint64", "uint64", "bytes", "bytes"),
            1, A, M.payload, b"no",
        ),
        Refused(HERE, M.id, AXELAR, 1, A, M.payload, b"no"),
    ),
    (
        log(HERE, ROUTER, application.MESSAGE_RETRIED, (M.id, STRANGER), ("uint64", "bytes"), 1, b"no"),
        Retried(HERE, M.id, STRANGER, 1, b"no"),
    ),
    (
        log(HERE, ROUTER, application.MESSAGE_RECOVERED, (M.id, STRANGER), ("uint64",), 1),
        Recovered(HERE, M.id, STRANGER, 1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "evidence"), ROUTER_LOGS, ids=[type(each).__name__ for _, each in ROUTER_LOGS])
def test_the_events_of_our_router(raw: RawLog, evidence: Evidence) -> None:
    assert read(raw) == (evidence,)


# Axelar

TO = (NAMES[B], hex_of(adapter(B)))


def call(place: Place, sender: Address, to: tuple[str, str] = TO, payload: bytes = M.payload) -> RawLog:
    topics = (sender, keccak(payload))
    return log(place, GATEWAY, axelar.CONTRACT_CALL, topics, ("string", "string", "bytes"), *to, payload)


def test_a_call_of_our_adapter_with_and_without_token() -> None:
    plain = AxelarCalled(HERE, M.id, adapter(A), *TO, M.payload, "", 0)
    assert read(call(HERE, adapter(A))) == (plain,)
    types = ("string", "string", "bytes", "string", "uint256")
    with_token = log(
        HERE, GATEWAY, axelar.CONTRACT_CALL_WITH_TOKEN, (adapter(A), M.id), types, *TO, M.payload, "USDC", 5
    )
    assert read(with_token) == (AxelarCalled(HERE, M.id, adapter(A), *TO, M.payload, "USDC", 5),)


def test_strangers_calls_are_left_out_unless_they_speak_to_us_or_as_us() -> None:
    elsewhere = ("gamma", hex_of(STRANGER))
    assert read(call(HERE, STRANGER, elsewhere, b"hello")) == ()
    assert len(read(call(HERE, STRANGER, ("beta", hex_of(adapter(B)).upper().replace("X", "x")), b"hello"))) == 1
    assert len(read(call(HERE, STRANGER, elsewhere))) == 1, "one of our envelopes: an alarm"


def test_a_call_needs_its_position_in_the_receipt() -> None:
    nowhere = Place(A, HERE.block_hash, 10, 0, HERE.tx_hash, 4, None)
    with pytest.raises(ReceiptIndexMissing):
        READER.read([call(nowhere, adapter(A))])
    assert READER.read([call(nowhere, STRANGER, ("gamma", "0x"), b"hello")]).evidence == ()
    gateway = address(A, GATEWAY)
    assert READER.wants_receipt(A, gateway, axelar.CONTRACT_CALL.topic)
    assert not READER.wants_receipt(A, gateway, axelar.MESSAGE_EXECUTED.topic)
    assert not READER.wants_receipt(A, STRANGER, axelar.CONTRACT_CALL.topic)


def test_payments_of_our_adapter_alone_and_what_is_added_by_anybody() -> None:
    native = (*TO, 7, hex_of(STRANGER))
    types = ("string", "string", "uint256", "address")
    ours = log(HERE, GAS, axelar.NATIVE_GAS_PAID, (adapter(A), M.id), types, *native)
    assert read(ours) == (AxelarGasPaid(HERE, M.id, adapter(A), *TO, "", 0, None, 7),)
    assert read(log(HERE, GAS, axelar.NATIVE_GAS_PAID, (STRANGER, M.id), types, *native)) == ()
    in_token = log(
        HERE, GAS, axelar.GAS_PAID, (adapter(A), M.id), ("string", "string", "address", "uint256", "address"),
        *TO, hex_of(STRANGER), 7, hex_of(STRANGER),
    )  # fmt: skip
    assert read(in_token) == (AxelarGasPaid(HERE, M.id, adapter(A), *TO, "", 0, STRANGER, 7),)
    with_token = log(
        HERE, GAS, axelar.NATIVE_GAS_PAID_WITH_TOKEN, (adapter(A), M.id),
        ("string", "string", "string", "uint256", "uint256", "address"), *TO, "USDC", 5, 7, hex_of(STRANGER),
    )  # fmt: skip
    assert read(with_token) == (AxelarGasPaid(HERE, M.id, adapter(A), *TO, "USDC", 5, None, 7),)
    added = log(HERE, GAS, axelar.NATIVE_GAS_ADDED, (M.id, 3), ("uint256", "address"), 9, hex_of(STRANGER))
    assert read(added) == (AxelarGasAdded(HERE, M.id, 3, None, 9),)
    token = ("address", "uint256", "address")
    added = log(HERE, GAS, axelar.GAS_ADDED, (M.id, 3), token, hex_of(STRANGER), 9, hex_of(STRANGER))
    assert read(added) == (AxelarGasAdded(HERE, M.id, 3, STRANGER, 9),)


def classic(command: bytes, contract: Address, index: int = 3) -> RawLog:
    types = ("string", "string", "bytes32", "uint256")
    values = (NAMES[A], hex_of(adapter(A)), HERE.tx_hash, index)
    return log(THERE, GATEWAY, axelar.CONTRACT_CALL_APPROVED, (command, contract, M.id), types, *values)


def test_both_generations_of_approval_give_one_key() -> None:
    message = f"0x{HERE.tx_hash.hex()}-3"
    for command in ids.classic_commands(HERE.tx_hash, 3, B):
        expected = AxelarApproved(THERE, M.id, command, NAMES[A], message, hex_of(adapter(A)), adapter(B), True)
        assert read(classic(command, adapter(B))) == (expected,)
    command = ids.amplifier_command(NAMES[A], message)
    amplifier = log(
        THERE, GATEWAY, axelar.MESSAGE_APPROVED, (command, adapter(B), M.id), ("string", "string", "string"),
        NAMES[A], message, hex_of(adapter(A)),
    )  # fmt: skip
    expected = AxelarApproved(THERE, M.id, command, NAMES[A], message, hex_of(adapter(A)), adapter(B), True)
    assert read(amplifier) == (expected,)
    mint = log(
        THERE, GATEWAY, axelar.CONTRACT_CALL_APPROVED_WITH_MINT, (digest("x"), adapter(B), M.id),
        ("string", "string", "string", "uint256", "bytes32", "uint256"),
        NAMES[A], hex_of(adapter(A)), "USDC", 5, HERE.tx_hash, 3,
    )  # fmt: skip
    (minted,) = read(mint)
    assert isinstance(minted, AxelarApproved)
    assert (minted.source_message, minted.sound) == (message, False)


def test_a_command_of_another_message_is_unsound_and_a_strangers_approval_left_out() -> None:
    (wrong,) = read(classic(digest("other"), adapter(B)))
    assert isinstance(wrong, AxelarApproved)
    assert not wrong.sound
    assert read(classic(digest("other"), STRANGER)) == ()
    (huge,) = read(classic(digest("other"), adapter(B), 2**200))
    assert isinstance(huge, AxelarApproved)
    assert not huge.sound


def test_the_applications_execution_counts_and_the_approvals_own_command_does_not() -> None:
    for layout in (axelar.CONTRACT_CALL_EXECUTED, axelar.MESSAGE_EXECUTED):
        assert read(log(THERE, GATEWAY, layout, (M.id,), ())) == (AxelarExecuted(THERE, M.id),)
    assert read(log(THERE, GATEWAY, Layout("Executed(bytes32 indexed)"), (M.id,), ())) == ()


# CCIP

TOKEN_15 = (Address(b"\x01" * 20), 9)
RECEIVER = word(ccip_adapter(B))


def sent_1_5(chain: ChainId = A, tokens: Sequence[tuple[Address, int]] = (), named: bytes | None = None) -> RawLog:
    sender, receiver = ccip_adapter(chain), ccip_adapter(B)
    message = named or ids.ccip_1_5_id(
        SELECTORS[chain], SELECTORS[B], address(chain, ON_RAMP), sender, receiver, 7, 200_000, False, 1,
        STRANGER, 3, M.payload, tokens, [b"t"] * len(tokens),
    )  # fmt: skip
    fields = (
        SELECTORS[chain], hex_of(sender), hex_of(receiver), 7, 200_000, False, 1, hex_of(STRANGER), 3, M.payload,
        [(hex_of(token), amount) for token, amount in tokens], [b"t"] * len(tokens), message,
    )  # fmt: skip
    return log(at(chain, 10, 4), ON_RAMP, ccip.SEND_REQUESTED, (), (ccip.MESSAGE_1_5,), fields)


def sent_1_6(named: bytes | None = None) -> RawLog:
    sender = ccip_adapter(A)
    message = named or ids.ccip_1_6_id(
        SELECTORS[A], SELECTORS[B], address(A, ON_RAMP), sender, 7, 1, STRANGER, 3, RECEIVER, M.payload, (), b"extra"
    )
    no_tokens: list[object] = []
    fields = (
        (message, SELECTORS[A], SELECTORS[B], 7, 1), hex_of(sender), M.payload, RECEIVER, b"extra", hex_of(STRANGER),
        3, 4, no_tokens,
    )  # fmt: skip
    return log(HERE, ON_RAMP, ccip.MESSAGE_SENT_1_6, (SELECTORS[B], 7), (ccip.MESSAGE_1_6,), fields)


def packed(payload: bytes = M.payload) -> bytes:
    def short(octets: bytes) -> bytes:
        return bytes([len(octets)]) + octets

    def long(octets: bytes) -> bytes:
        return len(octets).to_bytes(2, "big") + octets

    head = b"\x01" + b"".join(each.to_bytes(8, "big") for each in (SELECTORS[A], SELECTORS[B], 7))
    head += (300_000).to_bytes(4, "big") + (200_000).to_bytes(4, "big") + bytes(4) + bytes(32)
    ends = short(word(STRANGER)) + short(STRANGER) + short(word(ccip_adapter(A))) + short(ccip_adapter(B))
    return head + ends + long(b"") + long(b"") + long(payload)


def sent_2_0(encoded: bytes, named: bytes | None = None) -> RawLog:
    types = ("address", "uint256", "bytes", "(address,uint32,uint32,uint256,bytes)[]", "bytes[]")
    topics = (SELECTORS[B], ccip_adapter(A), named or keccak(encoded))
    return log(HERE, ON_RAMP, ccip.MESSAGE_SENT_2_0, topics, types, hex_of(STRANGER), 3, encoded, [], [])


def one_sent(raw: RawLog) -> CcipSent:
    (sent,) = read(raw)
    assert isinstance(sent, CcipSent)
    return sent


def test_a_message_of_each_version_is_named_by_its_payload_and_checked_by_its_id() -> None:
    six, two = one_sent(sent_1_6()), one_sent(sent_2_0(packed()))
    assert (six.version, six.id, six.sound, six.seq) == (CcipVersion.V1_6, M.id, True, 7)
    assert six.lane == (CcipVersion.V1_6, SELECTORS[A], SELECTORS[B], address(A, ON_RAMP))
    assert (six.sender, six.receiver) == (ccip_adapter(A), ccip_adapter(B))
    assert (two.version, two.id, two.sound, two.lane) == (CcipVersion.V2_0, M.id, True, None)
    assert (two.sender, two.receiver) == (ccip_adapter(A), ccip_adapter(B))
    assert not one_sent(sent_1_6(named=digest("x"))).sound
    assert not one_sent(sent_2_0(packed(), digest("x"))).sound


def test_a_1_5_lane_is_as_configured_or_the_only_other_chain() -> None:
    lost = one_sent(sent_1_5())
    assert (lost.lane, lost.version) == (None, CcipVersion.V1_5), "three chains, and nobody said where it leads"
    two = LogReader(type(NETWORKS)([NETWORKS[A], NETWORKS[B]]))
    for tokens in ((), (TOKEN_15,)):
        (sent,) = two.read([sent_1_5(tokens=tokens)]).evidence
        assert isinstance(sent, CcipSent)
        assert (sent.lane, sent.sound) == ((CcipVersion.V1_5, SELECTORS[A], SELECTORS[B], b""), True)
    (wrong,) = two.read([sent_1_5(named=digest("x"))]).evidence
    assert isinstance(wrong, CcipSent)
    assert not wrong.sound
    prices: tuple[list[object], list[object]] = ([], [])
    report = "(((address,uint224)[],(uint64,uint224)[]),(uint64,uint64),bytes32)"
    commit = log(THERE, STORE, ccip.REPORT_ACCEPTED, (), (report,), (prices, (3, 9), digest("root")))
    (committed,) = two.read([commit]).evidence
    assert committed == CcipCommitted(
        THERE, 0, (CcipVersion.V1_5, SELECTORS[A], SELECTORS[B], b""), 3, 9, digest("root")
    )
    only_prices = log(THERE, STORE, ccip.REPORT_ACCEPTED, (), (report,), (prices, (0, 0), bytes(32)))
    assert two.read([only_prices]).evidence == ()


def test_a_1_6_report_gives_one_commit_a_root_each_with_its_own_key() -> None:
    ramp = word(address(A, ON_RAMP))
    roots = [(SELECTORS[A], ramp, 1, 5, digest("a")), (999, ramp, 1, 5, digest("stranger"))]
    raw = log(
        THERE, OFF_RAMP, ccip.COMMIT_REPORT_ACCEPTED, (), (ccip.ROOTS, ccip.ROOTS, ccip.PRICES),
        roots, [(SELECTORS[C], ramp, 2, 2, digest("b"))], ([], []),
    )  # fmt: skip
    first, second = read(raw)
    assert isinstance(first, CcipCommitted)
    assert first.lane == one_sent(sent_1_6()).lane
    assert (first.first, first.last, first.root) == (1, 5, digest("a"))
    assert first.key != second.key
    assert read(log(THERE, OFF_RAMP, ccip.ROOT_REMOVED, (), ("bytes32",), digest("a"))) == (
        CcipRootRemoved(THERE, digest("a")),
    )


def test_executions_of_each_version_and_second_deliveries() -> None:
    five = log(THERE, OFF_RAMP, ccip.EXECUTION_1_5, (7, M.id), ("uint8", "bytes"), 3, b"why")
    assert read(five) == (CcipExecuted(THERE, CcipVersion.V1_5, M.id, CcipState.FAILURE, b"why"),)
    types = ("bytes32", "uint8", "bytes", "uint256")
    six = log(THERE, OFF_RAMP, ccip.EXECUTION_1_6, (SELECTORS[A], 7, M.id), types, digest("leaf"), 2, b"", 9)
    assert read(six) == (CcipExecuted(THERE, CcipVersion.V1_6, M.id, CcipState.SUCCESS, b""),)
    two = log(THERE, OFF_RAMP, ccip.EXECUTION_2_0, (SELECTORS[A], 7, M.id), ("uint8", "bytes"), 1, b"")
    assert read(two) == (CcipExecuted(THERE, CcipVersion.V2_0, M.id, CcipState.IN_PROGRESS, b""),)
    assert read(log(THERE, OFF_RAMP, ccip.EXECUTION_2_0, (999, 7, M.id), ("uint8", "bytes"), 1, b"")) == ()
    skipped = CcipSkipped(THERE, (CcipVersion.V1_6, SELECTORS[A], SELECTORS[B], b""), 7)
    for layout in (ccip.SKIPPED_1_6, ccip.ATTEMPTED_1_6):
        assert read(log(THERE, OFF_RAMP, layout, (), ("uint64", "uint64"), SELECTORS[A], 7)) == (skipped,)
    assert read(log(THERE, OFF_RAMP, ccip.SKIPPED_1_5, (7,), ())) == (CcipSkipped(THERE, None, 7),)
    assert read(log(THERE, OFF_RAMP, ccip.ATTEMPTED_1_5, (), ("uint64",), 7)) == (CcipSkipped(THERE, None, 7),)


@pytest.mark.parametrize("cut", [0, 40, 70, -1])
def test_a_packed_message_that_is_cut_short_is_unreadable(cut: int) -> None:
    with pytest.raises(Unreadable):
        read_packed(packed()[:cut])
    with pytest.raises(Unreadable):
        read_packed(packed() + b"x")
    with pytest.raises(Unreadable, match="version"):
        read_packed(b"\x02" + packed()[1:])


# What is not ours, and what cannot be read


def test_an_emitter_outside_the_table_is_nobodys_business() -> None:
    raw, _ = ROUTER_LOGS[0]
    assert read(RawLog(raw.place, STRANGER, raw.topics, raw.data)) == ()
    assert read(RawLog(raw.place, address(B, ROUTER), raw.topics, raw.data)) == (), "another chain's router"
    assert read(RawLog(raw.place, raw.emitter, (digest("topic"),), raw.data)) == ()
    assert read(RawLog(raw.place, raw.emitter, (), raw.data)) == ()
    assert read(RawLog(raw.place, address(A, GATEWAY), raw.topics, raw.data)) == (), "an event has its contracts"


UNREADABLE = {
    "cut": RawLog(HERE, address(A, ROUTER), ROUTER_LOGS[0][0].topics, ROUTER_LOGS[0][0].data[:40]),
    "topics": RawLog(HERE, address(A, ROUTER), ROUTER_LOGS[0][0].topics[:2], ROUTER_LOGS[0][0].data),
    "id": log(HERE, ROUTER, application.MESSAGE_SENT, (digest("x"), AXELAR, STRANGER), ("uint64", "bytes"), *BODY),
    "hash": log(
        HERE, GATEWAY, axelar.CONTRACT_CALL, (adapter(A), digest("x")), ("string", "string", "bytes"), *TO, M.payload
    ),
    "state": log(THERE, OFF_RAMP, ccip.EXECUTION_1_5, (7, M.id), ("uint8", "bytes"), 4, b""),
    "packed": sent_2_0(b"\x01"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_kept_and_does_not_hide_its_neighbours(name: str) -> None:
    good, expected = ROUTER_LOGS[0]
    reading = READER.read([UNREADABLE[name], good])
    assert reading.evidence == (expected,)
    (unreadable,) = reading.unreadable
    assert unreadable.log == UNREADABLE[name]
    assert unreadable.why


def test_the_same_log_gives_the_same_evidence_whenever_it_is_read() -> None:
    raws = [raw for raw, _ in ROUTER_LOGS]
    assert read(*raws, *raws) == read(*raws) * 2
