"""What comes over the wire is parsed once, or refused; what can be shown of a URL holds no credential."""

from __future__ import annotations

from email.utils import formatdate

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.rpc_errors import endpoint_name, wrong_chain
from fusion_daemon.chain.rpc_wire import (
    HEADERS,
    LONGEST_RETRY_AFTER,
    HeaderAnswer,
    TextAnswer,
    WireError,
    WireHeader,
    WireLog,
    encode_batch,
    header_of,
    in_order,
    log_reader,
    number_of,
    retry_after_of,
)
from tests.faults.fake_node import FakeNode
from tests.unit.chain.vault_logs import ALICE, WETH, deposited

NOW = 1_700_000_000.0


def wire_log(**changes: object) -> WireLog:
    [log] = FakeNode().mine(deposited(ALICE, WETH, 5)).wire_logs()
    return msgspec.convert(log | changes, WireLog)


def test_a_log_keeps_every_octet() -> None:
    emitted = deposited(ALICE, WETH, 5)
    log = log_reader()(wire_log())
    assert (log.address, log.topics, log.data) == (emitted.address, emitted.topics, emitted.data)
    assert (log.block_number, log.log_index, log.transaction_index) == (1, 0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"removed": True},
        {"address": "0x01"},
        {"data": "5b"},
        {"data": "0xz0"},
        {"topics": ["0x" + "00" * 32] * 5},
        {"topics": ["0x00"]},
        {"logIndex": "7"},
        {"logIndex": hex(2**31)},
        {"transactionIndex": hex(2**31)},
        {"blockNumber": "-0x1"},
        {"logIndex": "0x80000000"},
        {"transactionIndex": "0x80000000"},
        {"blockHash": "0x" + "00" * 31},
    ],
)
def test_what_is_not_a_log_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="."):
        log_reader()(wire_log(**changes))


def test_quantities_fit_the_store() -> None:
    assert number_of("0x7fffffffffffffff") == 2**63 - 1
    for text in ("0x8000000000000000", "12", "0x", "0xg", ""):
        with pytest.raises(ValueError, match="."):
            number_of(text)


def test_a_header_keeps_its_place() -> None:
    block = FakeNode().mine()
    header = header_of(msgspec.convert(block.header(True), WireHeader))
    assert (header.number, header.hash, header.parent_hash) == (1, block.hash, block.parent)
    assert header.timestamp == block.timestamp


def test_a_batch_may_be_answered_in_any_order_or_refused_as_a_whole() -> None:
    answers = [TextAnswer(1, "b"), TextAnswer(0, "a")]
    assert [answer.result for answer in in_order(answers, 2)] == ["a", "b"]
    for wrong in ([TextAnswer(0, "a")], [TextAnswer(0, "a"), TextAnswer(0, "b")], [TextAnswer(None, "a")] * 2):
        with pytest.raises(ValueError, match="batch of 2"):
            in_order(wrong, 2)
    refused = HEADERS.decode(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"slow down"}}')
    assert refused == HeaderAnswer(error=WireError(-32005, "slow down"))


def test_requests_are_numbered_by_their_place() -> None:
    calls = msgspec.json.decode(encode_batch([("a", []), ("b", ["latest", False])]))
    assert [(call["id"], call["method"]) for call in calls] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    "url",
    [
        "https://user:planted@node.example:8545/v3/planted?key=planted",
        "https://node.example:8545/planted",
    ],
)
def test_a_url_is_shown_without_credentials(url: str) -> None:
    assert endpoint_name(url) == "https://node.example:8545"
    failure = wrong_chain(url, 1, 5)
    assert "planted" not in str(failure)
    assert (failure.expected, failure.found) == (1, 5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 7 ", 7),
        ("3600", LONGEST_RETRY_AFTER),
        ("9" * 400, LONGEST_RETRY_AFTER),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (formatdate(NOW + 10**9, usegmt=True), LONGEST_RETRY_AFTER),
        ("²", None),
        ("-5", None),
        ("soon", None),
        ("", None),
        (f"Fri, 31 Dec {'9' * 20} 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_bounded(text: str | None, seconds: float | None) -> None:
    assert retry_after_of(text, NOW) == seconds


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,30} [A-Z][a-z]{2} \d{1,30} \d\d:\d\d:\d\d .{0,30}"))
def test_a_strange_retry_after_is_never_fatal(text: str) -> None:
    wait = retry_after_of(text, NOW)
    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER
