"""What a faulty provider does to the calls of a batch: pure functions from calls and answers to answers.

An honest node stands behind it; a fault is what a provider's own software, limits and backends add to that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from tests.faults.provider_errors import CATALOGUE, ProviderError, Refused

Json = dict[str, object]
Ask = Callable[[str, list[object]], object]
"""The honest node: a method and its parameters; the result."""

_NO_METHOD = -32601


@dataclass(slots=True)
class RpcFaults:
    """All off. Counts are used up by what they hit; shares are drawn from the proxy's seed."""

    latency: float = 0.0
    """Seconds before every answer."""
    per_second: int | None = None
    """HTTP requests; those beyond are answered 429 …"""
    retry_after: str | None = None
    """… with this Retry-After."""
    rule: str | None = None
    """Of the catalogue: what is said to ranges that are refused …"""
    variant: int = 0
    """… in this one of the rule's texts."""
    most_blocks: int | None = None
    """Of a range of logs."""
    most_logs: int | None = None
    """Of an answer …"""
    dense_by_hash: bool = False
    """… also when a single block is asked for by its hash."""
    refusals: int = 0
    """So many questions for logs by range are refused whatever they ask for."""
    truncated: int | None = None
    """An answer by range is cut after so many logs, without a word …"""
    truncated_by_hash: bool = False
    """… and so is that of a single block which is asked for by its hash."""
    lag: int = 0
    """A backend lacks the last so many blocks and answers [] to logs beyond its head …"""
    lag_share: float = 1.0
    """… and is asked for this share of the HTTP requests."""
    null_share: float = 0.0
    """Of the questions for a block by number that are answered null."""
    cuts: int = 0
    """So many answers end in the midst of their bodies …"""
    cut_share: float = 0.0
    """Of the HTTP answers that end in the midst of the body."""
    hangs: int = 0
    """So many HTTP requests are read and never answered."""
    hanging_blocks: int | None = None
    """Ranges of more blocks are never answered."""
    no_block_receipts: bool = False
    no_receipts: bool = False
    """Of single transactions."""


class Refusal(Exception):
    """Instead of an answer."""

    def __init__(self, code: int, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def texts_of(rule: str) -> list[ProviderError]:
    return [error for error in CATALOGUE if error.rule == rule]


def hangs(faults: RpcFaults, calls: Sequence[Json]) -> bool:
    """Is one of them a range too long to be ever answered?"""
    ranges = [asked for call in calls if (asked := range_of(call)) is not None]
    most = faults.hanging_blocks
    return most is not None and any(last - first + 1 > most for first, last in ranges)


def range_of(call: Json) -> tuple[int, int] | None:
    """Blocks whose logs are asked for by range, inclusive."""
    query = cast("list[object]", call["params"])[0] if call["method"] == "eth_getLogs" else None
    if not isinstance(query, dict) or "fromBlock" not in query:
        return None
    return int(query["fromBlock"], 16), int(query["toBlock"], 16)


def answer(faults: RpcFaults, chance: random.Random, lag: int, ask: Ask, call: Json) -> object:
    """What the faulty provider answers to one call. Raises Refusal."""
    method, params = cast("str", call["method"]), cast("list[object]", call["params"])
    if (method == "eth_getBlockReceipts" and faults.no_block_receipts) or (
        method == "eth_getTransactionReceipt" and faults.no_receipts
    ):
        raise Refusal(_NO_METHOD, f"the method {method} does not exist")
    if method == "eth_getLogs":
        return _logs(faults, lag, ask, call)
    if method != "eth_getBlockByNumber":
        return ask(method, params)
    if chance.random() < faults.null_share:
        return None
    if lag:
        params = [_seen(ask, lag, cast("str", params[0])), *params[1:]]
    return None if params[0] is None else ask(method, params)


def _seen(ask: Ask, lag: int, tag: str) -> str | None:
    """The block that a lagging backend means by a tag or number; None when it does not have it."""
    head = _head(ask, lag)
    if tag == "latest":
        return hex(head)
    return tag if not tag.startswith("0x") or int(tag, 16) <= head else None


def _head(ask: Ask, lag: int) -> int:
    return max(0, int(cast("str", ask("eth_blockNumber", [])), 16) - lag)


def _logs(faults: RpcFaults, lag: int, ask: Ask, call: Json) -> object:
    asked = range_of(call)
    query = cast("Json", cast("list[object]", call["params"])[0])
    if asked is None:
        return _logs_by_hash(faults, lag, ask, query)
    first, last = asked
    if faults.refusals > 0:
        faults.refusals -= 1
        raise _refused(faults, first, last, last)
    if faults.most_blocks is not None and last - first + 1 > faults.most_blocks:
        raise _refused(faults, first, last, first + faults.most_blocks - 1)
    if lag:
        last = min(last, _head(ask, lag))
        if last < first:
            return []
    logs = cast("list[Json]", ask("eth_getLogs", [query | {"toBlock": hex(last)}]))
    if faults.most_logs is not None and len(logs) > faults.most_logs:
        beyond = int(cast("str", logs[faults.most_logs]["blockNumber"]), 16)
        raise _refused(faults, first, last, max(first, beyond - 1))
    return logs[: faults.truncated]


def _logs_by_hash(faults: RpcFaults, lag: int, ask: Ask, query: Json) -> object:
    block = cast("Json | None", ask("eth_getBlockByHash", [query["blockHash"], False]))
    number = None if block is None else int(cast("str", block["number"]), 16)
    if number is None or (lag and number > _head(ask, lag)):
        raise Refusal(-32000, "unknown block")
    logs = cast("list[Json]", ask("eth_getLogs", [query]))
    if faults.dense_by_hash and faults.most_logs is not None and len(logs) > faults.most_logs:
        raise _refused(faults, number, number, number)
    return logs[: faults.truncated] if faults.truncated_by_hash else logs


def _refused(faults: RpcFaults, first: int, last: int, good: int) -> Refusal:
    assert faults.rule is not None
    error = texts_of(faults.rule)[faults.variant]
    most = faults.most_blocks or good - first + 1
    return Refusal(error.code, error.message(Refused(first, last, good, most)), error.status)
