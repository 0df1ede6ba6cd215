"""JSON-RPC on the wire: typed straight from bytes, converted once, never seen by anybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TypeVar

import msgspec

from fusion_daemon.chain.blocks import Header, Log
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of

_EMPTY_TRIE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""Receipts root of a block without receipts, hence without logs."""

_LARGEST_NUMBER = 2**63 - 1
_LARGEST_INDEX = 2**31 - 1
"""Of a log or transaction in its block, as the store's column holds it."""

LONGEST_RETRY_AFTER = 300.0
"""Seconds: a provider that asks for more is asked again by then, since a chain must not stand still on its word."""

Param = str | bool | int | dict[str, "Param"] | list["Param"]
Call = tuple[str, list[Param]]
"""Method and parameters."""


class WireError(msgspec.Struct, frozen=True):
    code: int = 0
    message: str = ""
    data: msgspec.Raw = msgspec.Raw()
    """Of a call that reverts: what it returned, on most nodes."""


class WireHeader(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str
    logs_bloom: str | None = None
    receipts_root: str | None = None


class WireLog(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    transaction_index: str
    log_index: str
    removed: bool = False


class WireReceipt(msgspec.Struct, frozen=True, gc=False):
    logs: list[WireLog]


class WireTransactions(msgspec.Struct, frozen=True, gc=False):
    """Of a block: their hashes."""

    transactions: list[str]


class HeaderAnswer(msgspec.Struct, frozen=True):
    id: int | None = None
    result: WireHeader | None = None
    error: WireError | None = None


class HeadAnswer(msgspec.Struct, frozen=True):
    """To a batch that asks for headers and for the chain's id."""

    id: int | None = None
    result: WireHeader | str | None = None
    error: WireError | None = None


class LogsAnswer(msgspec.Struct, frozen=True):
    id: int | None = None
    result: list[WireLog] | None = None
    error: WireError | None = None


class SpanAnswer(msgspec.Struct, frozen=True):
    """To a batch of headers and logs."""

    id: int | None = None
    result: WireHeader | list[WireLog] | None = None
    error: WireError | None = None


class ReceiptsAnswer(msgspec.Struct, frozen=True):
    id: int | None = None
    result: list[WireReceipt] | WireReceipt | None = None
    """Of a block, or of one transaction."""
    error: WireError | None = None


class TransactionsAnswer(msgspec.Struct, frozen=True):
    id: int | None = None
    result: WireTransactions | None = None
    error: WireError | None = None


class TextAnswer(msgspec.Struct, frozen=True):
    id: int | None = None
    result: str | None = None
    error: WireError | None = None


class WireCreation(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """Of a receipt: what a transaction came to, and the contract that it created itself."""

    status: str
    block_number: str
    contract_address: str | None = None


class CreationAnswer(msgspec.Struct, frozen=True):
    id: int | None = None
    result: WireCreation | None = None
    error: WireError | None = None


class RawAnswer(msgspec.Struct, frozen=True):
    """To a batch whose calls answer in different forms."""

    id: int | None = None
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: WireError | None = None


A = TypeVar(
    "A",
    HeaderAnswer,
    HeadAnswer,
    LogsAnswer,
    SpanAnswer,
    ReceiptsAnswer,
    TransactionsAnswer,
    TextAnswer,
    CreationAnswer,
    RawAnswer,
)

# A whole batch may be refused with a single error object.
HEADERS: msgspec.json.Decoder[list[HeaderAnswer] | HeaderAnswer] = msgspec.json.Decoder(
    list[HeaderAnswer] | HeaderAnswer
)
HEADS: msgspec.json.Decoder[list[HeadAnswer] | HeadAnswer] = msgspec.json.Decoder(list[HeadAnswer] | HeadAnswer)
LOGS: msgspec.json.Decoder[list[LogsAnswer] | LogsAnswer] = msgspec.json.Decoder(list[LogsAnswer] | LogsAnswer)
SPANS: msgspec.json.Decoder[list[SpanAnswer] | SpanAnswer] = msgspec.json.Decoder(list[SpanAnswer] | SpanAnswer)
RECEIPTS: msgspec.json.Decoder[list[ReceiptsAnswer] | ReceiptsAnswer] = msgspec.json.Decoder(
    list[ReceiptsAnswer] | ReceiptsAnswer
)
TRANSACTIONS: msgspec.json.Decoder[list[TransactionsAnswer] | TransactionsAnswer] = msgspec.json.Decoder(
    list[TransactionsAnswer] | TransactionsAnswer
)
CREATIONS: msgspec.json.Decoder[list[CreationAnswer] | CreationAnswer] = msgspec.json.Decoder(
    list[CreationAnswer] | CreationAnswer
)
RAWS: msgspec.json.Decoder[list[RawAnswer] | RawAnswer] = msgspec.json.Decoder(list[RawAnswer] | RawAnswer)
TEXTS: msgspec.json.Decoder[list[TextAnswer] | TextAnswer] = msgspec.json.Decoder(list[TextAnswer] | TextAnswer)

_ENCODE = msgspec.json.Encoder().encode


def header_calls(numbers: Iterable[int]) -> list[Call]:
    return [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]


def logs_call(contracts: Iterable[Address], first: int, last: int) -> Call:
    query: Param = {"address": [hex_of(each) for each in contracts], "fromBlock": hex(first), "toBlock": hex(last)}
    return "eth_getLogs", [query]


def encode_batch(calls: Sequence[Call]) -> bytes:
    """Ids are the places in the batch: answers may come in any order."""
    return _ENCODE(
        [
            {"jsonrpc": "2.0", "id": place, "method": method, "params": params}
            for place, (method, params) in enumerate(calls)
        ]
    )


def in_order(answers: Sequence[A], count: int) -> list[A]:
    """One answer per call, in the order of the calls. Raises ValueError when some are missing or doubled."""
    places: dict[int, A] = {answer.id: answer for answer in answers if answer.id is not None}
    if len(answers) != count or set(places) != set(range(count)):
        raise ValueError(f"{len(answers)} answers to a batch of {count}")
    return [places[place] for place in range(count)]


def number_of(text: str) -> int:
    """A hex quantity that fits a bigint of the store. Raises ValueError."""
    if not text.startswith("0x"):
        raise ValueError(f"not a quantity: {text[:80]!r}")
    number = int(text, 16)
    if not 0 <= number <= _LARGEST_NUMBER:
        raise ValueError(f"a quantity out of range: {text[:80]!r}")
    return number


def retry_after_of(text: str | None, now: float) -> float | None:
    """Seconds to wait, from delta-seconds or an HTTP date (RFC 9110, 10.2.3), at most LONGEST_RETRY_AFTER; None when
    absent or unreadable. `now` in unix seconds."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None  # not a date either, or none of this world: our own backoff decides
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)


def header_of(wire: WireHeader) -> Header:
    """Raises ValueError on anything that is not a header."""
    return Header(
        number_of(wire.number),
        Hash32(_exactly(wire.hash, 32)),
        Hash32(_exactly(wire.parent_hash, 32)),
        number_of(wire.timestamp),
        _bloom_of(wire),
    )


def _bloom_of(wire: WireHeader) -> int | None:
    if wire.receipts_root == _EMPTY_TRIE:
        return 0
    # Zeros beside receipts: some nodes do not fill the filter in.
    return int(wire.logs_bloom, 16) or None if wire.logs_bloom else None


def log_reader() -> Callable[[WireLog], Log]:
    """A converter for the logs of one answer, in which block, transaction, address and topic repeat.

    It raises ValueError on anything that is not a log, and on one that the node marks as removed.
    """
    known: dict[str, bytes] = {}
    numbers: dict[str, int] = {}

    def octets(text: str, length: int) -> bytes:
        found = known.get(text)
        if found is None:
            known[text] = found = _exactly(text, length)
        return found

    def number(text: str) -> int:
        found = numbers.get(text)
        if found is None:
            numbers[text] = found = number_of(text)
        return found

    def read(wire: WireLog) -> Log:
        if wire.removed or len(wire.topics) > 4:
            raise ValueError("a log that is removed or has too many topics")
        log_index, transaction_index = number(wire.log_index), number(wire.transaction_index)
        if log_index > _LARGEST_INDEX or transaction_index > _LARGEST_INDEX:
            raise ValueError("a log with an index out of range")
        return Log(
            number(wire.block_number),
            Hash32(octets(wire.block_hash, 32)),
            log_index,
            Hash32(octets(wire.transaction_hash, 32)),
            transaction_index,
            Address(octets(wire.address, 20)),
            tuple([octets(topic, 32) for topic in wire.topics]),
            _octets(wire.data),
        )

    return read


def _exactly(text: str, length: int) -> bytes:
    value = _octets(text)
    if len(value) != length:
        raise ValueError(f"{len(value)} bytes instead of {length}")
    return value


def _octets(text: str) -> bytes:
    if text[:2] != "0x":
        raise ValueError(f"not hex: {text[:80]!r}")
    return bytes.fromhex(text[2:])
