"""From an endpoint's answers to headers and logs. What is malformed is that endpoint's fault."""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.chain.blocks import Header, Log
from fusion_daemon.chain.range_rules import Said, classify
from fusion_daemon.chain.rpc_endpoints import Endpoint, Endpoints, raise_error
from fusion_daemon.chain.rpc_errors import block_unknown, range_refused
from fusion_daemon.chain.rpc_wire import (
    HeaderAnswer,
    LogsAnswer,
    ReceiptsAnswer,
    SpanAnswer,
    WireHeader,
    WireLog,
    WireReceipt,
    header_of,
    log_reader,
)


def headers_of(endpoints: Endpoints, endpoint: Endpoint, answers: Sequence[HeaderAnswer | SpanAnswer]) -> list[Header]:
    """Up to the first one that the node does not have."""
    found: list[Header] = []
    for answer in answers:
        raise_error(endpoint.url, answer.error)
        if answer.result is None:
            break
        try:
            found.append(_header(answer.result))
        except ValueError as error:
            raise endpoints.fault(endpoint, f"answered with a malformed header ({error})") from error
    return found


def logs_of(
    endpoints: Endpoints, endpoint: Endpoint, answers: Sequence[LogsAnswer | SpanAnswer], first: int, last: int
) -> list[Log]:
    """`first`, `last`: the blocks that were asked for. Raises RangeRefused when they were too many."""
    read = log_reader()
    logs: list[Log] = []
    for answer in answers:
        if answer.error is not None:
            said = said_of(answer)
            if said is not None:
                raise range_refused(endpoint.url, first, last, answer.error.message, said)
            raise_error(endpoint.url, answer.error)
        if answer.result is None:
            raise block_unknown(endpoint.url, f"the logs of blocks {first} to {last}")
        try:
            logs += map(read, _list(answer.result))
        except ValueError as error:
            raise endpoints.fault(endpoint, f"answered with a malformed log ({error})") from error
    return logs


def logs_of_receipts(endpoints: Endpoints, endpoint: Endpoint, answers: Sequence[ReceiptsAnswer]) -> list[Log]:
    """All of them; what the node does not have is left out, and its absence shows in the bloom filter."""
    read = log_reader()
    logs: list[Log] = []
    for answer in answers:
        raise_error(endpoint.url, answer.error)
        receipts = [answer.result] if isinstance(answer.result, WireReceipt) else answer.result or []
        try:
            logs += [read(log) for receipt in receipts for log in receipt.logs]
        except ValueError as error:
            raise endpoints.fault(endpoint, f"answered with a malformed receipt ({error})") from error
    return logs


def said_of(answer: LogsAnswer | SpanAnswer | ReceiptsAnswer) -> Said | None:
    """About the range, when it was refused for that."""
    return None if answer.error is None else classify(answer.error.code, answer.error.message)


def _header(result: WireHeader | list[WireLog]) -> Header:
    match result:
        case WireHeader():
            return header_of(result)
        case _:
            raise ValueError("a list")


def _list(result: WireHeader | list[WireLog]) -> list[WireLog]:
    match result:
        case WireHeader():
            raise ValueError("a block")
        case _:
            return result
