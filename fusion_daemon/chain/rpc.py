"""The chain's JSON-RPC client. Everything here runs on the asyncio side; one method is one crossing.

Several endpoints are used one at a time: a fault moves on to the next, and whatever is read for one step
comes from the endpoint whose head opened it, never a block from one and its logs from another. No endpoint is
used before it has proved its chain id, and it proves it again after every fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from fusion_daemon.chain.blocks import Head, Header, Log, Span
from fusion_daemon.chain.ranges import classify
from fusion_daemon.chain.rpc_errors import (
    RangeRefused,
    RpcFailure,
    block_unknown,
    endpoint_fault,
    endpoint_name,
    quote_node,
    range_refused,
    rate_limited,
    wrong_chain,
)
from fusion_daemon.chain.rpc_wire import (
    HEADERS,
    LOGS,
    TEXTS,
    A,
    Call,
    LogsAnswer,
    Param,
    TextAnswer,
    WireError,
    encode_batch,
    header_of,
    in_order,
    log_reader,
    number_of,
)
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import may_hold, unexplained
from fusion_daemon.domain.identifiers import Address, hex_of

_HEADERS_PER_BATCH = 100
_BLOCKS_PER_BATCH = 25
"""Of logs asked by block hash."""

_TOO_MANY = frozenset({-32005, 429, 42903})
_TOO_MANY_WORDS = ("rate limit", "too many requests", "request limit", "compute units", "capacity exceeded")
_UNKNOWN_WORDS = ("unknown block", "header not found", "not available", "does not have the requested block")

_NO_TAG = frozenset({-32602, -39001})
"""Invalid parameters; unknown block."""
_NO_TAG_WORDS = ("not found", "not supported", "unsupported", "unknown", "invalid")


@dataclass(slots=True)
class EndpointStatistics:
    name: str
    requests: int = 0
    faults: int = 0
    limits: int = 0
    octets: int = 0
    """Received."""


@dataclass(slots=True)
class _Endpoint:
    url: str
    proved: bool
    """Its chain id was seen since the last fault."""
    statistics: EndpointStatistics


class ChainRpc:
    """One chain's endpoints behind four questions. Asyncio side; cancelling any of them closes its
    connection.

    Every method raises a subclass of RpcFailure and nothing else.
    """

    def __init__(self, settings: ChainSettings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._endpoints = [_Endpoint(url, False, EndpointStatistics(endpoint_name(url))) for url in settings.rpc_urls]
        self._current = 0
        self._filter: Param = [hex_of(contract) for contract in settings.contracts]

    async def close(self) -> None:
        await self._session.close()

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """Counters, one per endpoint; safe to read from any thread."""
        return tuple(endpoint.statistics for endpoint in self._endpoints)

    async def fetch_head(self, avoid: int | None = None) -> Head:
        """The current endpoint's head; with `avoid`, from the next endpoint if that one is still current."""
        if avoid == self._current:
            self._rotate()
        number = self._current
        endpoint = self._endpoints[number]
        await self._prove(endpoint)
        calls: list[Call] = [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "safe", "finalized")]
        latest, safe, finalized = await self._ask(endpoint, calls, HEADERS)
        _raise_error(endpoint.url, latest.error)
        if latest.result is None:
            raise block_unknown(endpoint.url, "a latest block")
        if finalized.error is not None and not _is_unknown_tag(finalized.error):
            said = quote_node(endpoint.url, finalized.error.message)
            raise self._fault(endpoint, f"did not say what is final: {said}")
        try:
            header = header_of(latest.result)
            tags = [None if tag.result is None else number_of(tag.result.number) for tag in (safe, finalized)]
        except ValueError as error:
            raise self._fault(endpoint, f"answered with a malformed header ({error})") from error
        bounded = [None if tag is None else min(tag, header.number) for tag in tags]
        return Head(number, header, bounded[0], bounded[1])

    async def fetch_headers(self, endpoint: int, first: int, last: int) -> tuple[Header, ...]:
        """Headers first..last (inclusive), all of them, as that endpoint has them."""
        return tuple(await self._headers(self._endpoints[endpoint], first, last))

    async def fetch_span(self, endpoint: int, first: int, last: int, by_hash: bool) -> Span:
        """Blocks first..last (inclusive) with the watched contracts' logs, all from one endpoint.

        `by_hash` asks every block's logs by its hash, as behoves blocks that are not final: a node that does
        not have such a block has to say so. Otherwise logs come by range, and every block whose bloom filter
        is not explained by them is asked again by hash. Blocks that certainly hold nothing are not asked for.
        """
        node = self._endpoints[endpoint]
        await self._prove(node)
        headers = await self._headers(node, first, last)
        asked = [header for header in headers if may_hold(header, self._settings.contracts)]
        if not asked:
            return Span(tuple(headers), ())
        if by_hash:
            return Span(tuple(headers), tuple(await self._logs_by_hash(node, asked)))
        return await self._span_by_range(node, headers, asked)

    async def view(self, calls: Sequence[tuple[Address, bytes]]) -> list[bytes | RpcFailure]:
        """`eth_call` of (contract, calldata) pairs at the latest block, in one batch; answers in order. A
        call that was reverted or refused is an RpcFailure in its place."""
        endpoint = self._endpoints[self._current]
        await self._prove(endpoint)
        batch: list[Call] = [("eth_call", [{"to": hex_of(to), "data": hex_of(data)}, "latest"]) for to, data in calls]
        return [_viewed(endpoint.url, answer) for answer in await self._ask(endpoint, batch, TEXTS)]

    async def _span_by_range(self, endpoint: _Endpoint, headers: Sequence[Header], asked: Sequence[Header]) -> Span:
        try:
            logs = await self._logs_by_range(endpoint, asked[0].number, asked[-1].number)
        except RangeRefused as refused:
            if refused.first < refused.last:
                raise
            # One block is the smallest range; some providers still give it by its hash.
            return Span(tuple(headers), tuple(await self._logs_by_hash(endpoint, asked)))
        missing = unexplained(asked, logs, self._settings.contracts)
        found = await self._logs_by_hash(endpoint, missing) if missing else []
        present = {(log.block_number, log.log_index) for log in logs}
        lost = [log for log in found if (log.block_number, log.log_index) not in present]
        if lost:  # the range answer was cut: nothing else in it is believed either
            logs = await self._logs_by_hash(endpoint, asked)
        return Span(tuple(headers), tuple(logs), len({log.block_number for log in lost}))

    async def _headers(self, endpoint: _Endpoint, first: int, last: int) -> list[Header]:
        """All of them, in order. Raises BlockUnknown when the node's chain ends before `last`."""
        found: list[Header] = []
        for start in range(first, last + 1, _HEADERS_PER_BATCH):
            numbers = range(start, min(last + 1, start + _HEADERS_PER_BATCH))
            calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
            for answer in await self._ask(endpoint, calls, HEADERS):
                _raise_error(endpoint.url, answer.error)
                if answer.result is None:
                    raise block_unknown(endpoint.url, f"block {first + len(found)}")
                try:
                    found.append(header_of(answer.result))
                except ValueError as error:
                    raise self._fault(endpoint, f"answered with a malformed header ({error})") from error
        return found

    async def _logs_by_range(self, endpoint: _Endpoint, first: int, last: int) -> list[Log]:
        query: Param = {"address": self._filter, "fromBlock": hex(first), "toBlock": hex(last)}
        answers = await self._ask(endpoint, [("eth_getLogs", [query])], LOGS)
        return self._logs(endpoint, answers, first, last)

    async def _logs_by_hash(self, endpoint: _Endpoint, headers: Sequence[Header]) -> list[Log]:
        logs: list[Log] = []
        for start in range(0, len(headers), _BLOCKS_PER_BATCH):
            part = headers[start : start + _BLOCKS_PER_BATCH]
            calls: list[Call] = [
                ("eth_getLogs", [{"address": self._filter, "blockHash": hex_of(header.hash)}]) for header in part
            ]
            answers = await self._ask(endpoint, calls, LOGS)
            logs += self._logs(endpoint, answers, part[0].number, part[-1].number)
        return logs

    def _logs(self, endpoint: _Endpoint, answers: Sequence[LogsAnswer], first: int, last: int) -> list[Log]:
        read = log_reader()
        logs: list[Log] = []
        for answer in answers:
            if answer.error is not None:
                refusal = classify(answer.error.code, answer.error.message)
                if refusal is not None:
                    raise range_refused(endpoint.url, first, last, answer.error.message, refusal)
                _raise_error(endpoint.url, answer.error)
            if answer.result is None:
                raise block_unknown(endpoint.url, f"the logs of blocks {first} to {last}")
            try:
                logs += map(read, answer.result)
            except ValueError as error:
                raise self._fault(endpoint, f"answered with a malformed log ({error})") from error
        return logs

    async def _prove(self, endpoint: _Endpoint) -> None:
        if endpoint.proved:
            return
        [answer] = await self._ask(endpoint, [("eth_chainId", [])], TEXTS)
        _raise_error(endpoint.url, answer.error)
        try:
            found = number_of(answer.result or "")
        except ValueError as error:
            raise self._fault(endpoint, f"has no chain id ({error})") from error
        if found != self._settings.chain:
            self._rotate()
            raise wrong_chain(endpoint.url, self._settings.chain, found)
        endpoint.proved = True

    async def _ask(
        self, endpoint: _Endpoint, calls: Sequence[Call], decoder: msgspec.json.Decoder[list[A] | A]
    ) -> list[A]:
        """One HTTP request with one batch; the answers in the order of the calls."""
        status, retry_after, body = await self._post(endpoint, encode_batch(calls))
        try:
            decoded = decoder.decode(body)
            answers = decoded if isinstance(decoded, list) else [decoded]
            if len(answers) == 1 and answers[0].error is not None:
                refused = answers[0].error  # of the only call, or of the whole batch
                if status == 429 or _is_limit(refused):
                    raise self._limited(endpoint, retry_after)
                return [answers[0]] * len(calls)
            ordered = in_order(answers, len(calls))
        except (ValueError, msgspec.DecodeError) as error:
            if status == 429:
                raise self._limited(endpoint, retry_after) from error
            what = f"answered with HTTP {status}" if status != 200 else f"did not answer JSON-RPC ({error})"
            raise self._fault(endpoint, what) from error
        if any(answer.error is not None and _is_limit(answer.error) for answer in ordered):
            raise self._limited(endpoint, retry_after)
        return ordered

    async def _post(self, endpoint: _Endpoint, body: bytes) -> tuple[int, float | None, bytes]:
        endpoint.statistics.requests += 1
        try:
            async with self._session.post(endpoint.url, data=body, allow_redirects=False) as response:
                answer = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The text of the error may hold the URL with its key: the type says enough.
            raise self._fault(endpoint, f"did not answer ({type(error).__name__})") from error
        endpoint.statistics.octets += len(answer)
        return response.status, _retry_after(response.headers.get("Retry-After")), answer

    def _fault(self, endpoint: _Endpoint, what: str) -> RpcFailure:
        endpoint.statistics.faults += 1
        endpoint.proved = False
        self._rotate()
        return endpoint_fault(endpoint.url, what)

    def _limited(self, endpoint: _Endpoint, retry_after: float | None) -> RpcFailure:
        endpoint.statistics.limits += 1
        self._rotate()
        return rate_limited(endpoint.url, retry_after)

    def _rotate(self) -> None:
        self._current = (self._current + 1) % len(self._endpoints)


async def open_rpc(settings: ChainSettings) -> ChainRpc:
    """Asyncio side. Opens no connection yet; `close()` ends those that were opened."""
    timeout = aiohttp.ClientTimeout(total=settings.request_timeout)
    headers = {"Content-Type": "application/json"}
    return ChainRpc(settings, aiohttp.ClientSession(timeout=timeout, headers=headers))


async def verify_endpoints(settings: ChainSettings) -> tuple[RpcFailure | None, ...]:
    """For `check`: per URL, None when it answers with the configured chain id, else what is wrong."""

    async def verify(url: str) -> RpcFailure | None:
        rpc = await open_rpc(replace(settings, rpc_urls=(url,)))
        try:
            await rpc.fetch_head()
        except RpcFailure as failure:
            return failure
        finally:
            await rpc.close()
        return None

    return tuple(await asyncio.gather(*map(verify, settings.rpc_urls)))


def _viewed(url: str, answer: TextAnswer) -> bytes | RpcFailure:
    if answer.error is not None:
        return endpoint_fault(url, f"refused a call: {quote_node(url, answer.error.message)}")
    try:
        return bytes.fromhex((answer.result or "").removeprefix("0x"))
    except ValueError:
        return endpoint_fault(url, "answered a call with something that is not hexadecimal")


def _raise_error(url: str, error: WireError | None) -> None:
    if error is None:
        return
    if any(word in error.message.lower() for word in _UNKNOWN_WORDS):
        raise block_unknown(url, f"what was asked for ({quote_node(url, error.message)})")
    raise endpoint_fault(url, f"answered with error {error.code}: {quote_node(url, error.message)}")


def _is_unknown_tag(error: WireError) -> bool:
    # An unknown tag is such an error on some nodes and null on others; any other error is a fault of the node.
    return error.code in _NO_TAG or any(word in error.message.lower() for word in _NO_TAG_WORDS)


def _is_limit(error: WireError) -> bool:
    # -32005 is also Infura's code for a range with too many results, which its text says.
    if classify(error.code, error.message) is not None:
        return False
    return error.code in _TOO_MANY or any(word in error.message.lower() for word in _TOO_MANY_WORDS)


def _retry_after(value: str | None) -> float | None:
    """RFC 9110: seconds or an HTTP date; None when absent or unreadable."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None  # not a date either: our own backoff decides
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo is not None else None
