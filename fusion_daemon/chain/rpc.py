"""The chain's JSON-RPC client. Everything here runs on the asyncio side; one method is one crossing.

Whatever is read for one step comes from the endpoint whose head opened it, never a block from one and its logs
from another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fusion_daemon.chain.blocks import Head, Header, Log, Span
from fusion_daemon.chain.endpoint_state import Event, Headed
from fusion_daemon.chain.rpc_answers import headers_of, logs_of, logs_of_receipts, said_of
from fusion_daemon.chain.rpc_endpoints import PROOF, Endpoint, Endpoints, EndpointStatistics, raise_error
from fusion_daemon.chain.rpc_errors import (
    EndpointFault,
    RangeRefused,
    RpcFailure,
    Unanswered,
    block_too_dense,
    block_unknown,
    endpoint_fault,
    quote_node,
    range_refused,
)
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.rpc_receipts import TRANSACTIONS_PER_BATCH, logs_by_receipts
from fusion_daemon.chain.rpc_wire import (
    HEADERS,
    HEADS,
    LOGS,
    RECEIPTS,
    SPANS,
    TEXTS,
    Call,
    LogsAnswer,
    Param,
    TextAnswer,
    WireError,
    WireHeader,
    header_calls,
    header_of,
    logs_call,
    number_of,
)
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import may_hold, unexplained
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of

_HEADERS_PER_BATCH = 100
_BLOCKS_PER_BATCH = 25
"""Of logs asked by block hash."""
_RECEIPTS_PER_BATCH = 5
"""Of blocks: those of a busy one are a megabyte."""

_NO_TAG = frozenset({-32602, -39001})
"""Invalid parameters; unknown block."""
_NO_TAG_WORDS = ("not found", "not supported", "unsupported", "unknown", "invalid")


Complaint = tuple[int, Event]
"""An endpoint, and what was seen of it."""


class ChainRpc:
    """One chain's endpoints behind four questions. Asyncio side; cancelling any of them closes its
    connection.

    Every method raises a subclass of RpcFailure and nothing else.
    """

    def __init__(self, settings: ChainSettings, endpoints: Endpoints) -> None:
        self._settings = settings
        self._endpoints = endpoints

    async def close(self) -> None:
        await self._endpoints.close()

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """Counters, one per endpoint; safe to read from any thread."""
        return self._endpoints.statistics()

    async def fetch_head(self, complaints: Sequence[Complaint] = ()) -> Head:
        """The head of the endpoint that is best by now. `complaints`: what was seen of endpoints since the last one."""
        for number, event in complaints:
            self._endpoints.report(self._endpoints.at(number), event)
        endpoint = self._endpoints.choose()
        calls: list[Call] = [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "safe", "finalized")]
        proof = [] if endpoint.proved else [PROOF]
        latest, safe, finalized, *proved = await self._endpoints.ask(endpoint, [*calls, *proof], HEADS)
        for answer in proved:
            self._endpoints.judge_proof(endpoint, answer.result, answer.error)
        raise_error(endpoint.url, latest.error)
        if latest.result is None:
            raise block_unknown(endpoint.url, "a latest block")
        if finalized.error is not None and not _is_unknown_tag(finalized.error):
            said = quote_node(endpoint.url, finalized.error.message)
            raise self._endpoints.fault(endpoint, f"did not say what is final: {said}")
        try:
            header = header_of(_wired(latest.result))
            tags = [None if tag.result is None else number_of(_wired(tag.result).number) for tag in (safe, finalized)]
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"answered with a malformed header ({error})") from error
        self._endpoints.report(endpoint, Headed(header.number))
        bounded = [None if tag is None else min(tag, header.number) for tag in tags]
        return Head(endpoint.number, header, bounded[0], bounded[1])

    async def fetch_headers(self, endpoint: int, first: int, last: int) -> tuple[Header, ...]:
        """Headers first..last (inclusive), all of them, as that endpoint has them."""
        return tuple(await self._all_headers(self._endpoints.at(endpoint), range(first, last + 1)))

    async def fetch_hash(self, endpoint: int, number: int) -> Hash32:
        """Of the block that this endpoint has at a height, also when another one is in use."""
        node = self._endpoints.at(endpoint)
        await self._endpoints.prove(node)
        [header] = await self._headers(node, [number])
        return header.hash

    async def fetch_told(self, endpoint: int, first: int, last: int, contracts: Sequence[Address]) -> Span:
        """What this endpoint, which need not be the one in use, says of blocks first..last when it is asked for their
        logs by range. With the last header only: it has them all."""
        node = self._endpoints.at(endpoint)
        await self._endpoints.prove(node)
        headers = await self._headers(node, [last])
        try:
            logs = await self._logs_by_range(node, first, last, contracts)
        except RangeRefused:
            if first < last:
                raise
            logs = await self._escape(node, headers[0], contracts)
        return Span(tuple(headers), tuple(logs))

    async def fetch_proved(
        self, endpoint: int, numbers: Sequence[int], contracts: Sequence[Address], thorough: bool
    ) -> Span:
        """These blocks of this endpoint, which need not be the one in use, with the logs that their receipts hold.
        Where a node left the bloom filter empty, which would take a request for every transaction, only if `thorough`;
        else their logs by hash."""
        node = self._endpoints.at(endpoint)
        await self._endpoints.prove(node)
        headers = await self._all_headers(node, numbers)
        logs: list[Log] = []
        asked = [header for header in headers if may_hold(header, contracts)]
        known = [header for header in asked if thorough or header.bloom is not None]
        for start in range(0, len(known), _RECEIPTS_PER_BATCH):
            part = known[start : start + _RECEIPTS_PER_BATCH]
            logs += await logs_by_receipts(self._endpoints, node, part, contracts)
        unknown = [header for header in asked if header not in known]
        logs += await self._logs_by_hash(node, unknown, contracts)
        return Span(tuple(headers), tuple(sorted(logs, key=lambda log: log.block_number)))

    async def fetch_span(
        self, endpoint: int, first: int, last: int, by_hash: bool, contracts: Sequence[Address]
    ) -> Span:
        """Blocks first..last (inclusive) with these contracts' logs, all from one endpoint; fewer, but at least the
        first, when it does not have them all: some backends lack a block now and then, and a long span would never be
        whole.

        `by_hash` asks every block's logs by its hash, as behoves blocks that are not final: a node that does
        not have such a block has to say so, and a block whose bloom filter is not explained by what came is
        settled by its receipts, since a node may have a young block before it can find its logs. Otherwise logs
        come by range, in one request with the headers where these fit into a batch, and every block whose bloom
        filter is not explained by them is asked again by hash. Else blocks that certainly hold nothing are not asked
        for.
        """
        node = self._endpoints.at(endpoint)
        await self._endpoints.prove(node)
        last = min(last, first + self._endpoints.headroom(node) - 1)
        if contracts and not by_hash and 0 < last - first < _HEADERS_PER_BATCH - 1:
            return await self._span_at_once(node, first, last, contracts)
        headers = await self._headers(node, range(first, last + 1))
        return await self._span(node, headers, by_hash, contracts)

    async def fetch_more(
        self, endpoint: int, headers: Sequence[Header], by_hash: bool, contracts: Sequence[Address]
    ) -> Span:
        """The logs of further contracts in blocks that were read from this endpoint, as `fetch_span` reads them."""
        return await self._span(self._endpoints.at(endpoint), headers, by_hash, contracts)

    async def _span(
        self, node: Endpoint, headers: Sequence[Header], by_hash: bool, contracts: Sequence[Address]
    ) -> Span:
        asked = [header for header in headers if may_hold(header, contracts)]
        if not asked:
            return Span(tuple(headers), ())
        if by_hash:
            return await self._span_by_hash(node, headers, asked, contracts)
        first, last = asked[0].number, asked[-1].number
        try:
            logs = await self._logs_by_range(node, first, last, contracts)
        except RangeRefused:
            if first < last:
                raise
            # One block is the smallest range; some providers still give it by its hash.
            return Span(tuple(headers), tuple(await self._logs_by_hash(node, asked, contracts)))
        return await self._span_of_range(node, headers, asked, contracts, logs)

    async def view(self, calls: Sequence[tuple[Address, bytes]]) -> list[bytes | RpcFailure]:
        """`eth_call` of (contract, calldata) pairs at the latest block, in one batch; answers in order. A
        call that was reverted or refused is an RpcFailure in its place."""
        endpoint = self._endpoints.choose()
        await self._endpoints.prove(endpoint)
        batch: list[Call] = [("eth_call", [{"to": hex_of(to), "data": hex_of(data)}, "latest"]) for to, data in calls]
        return [_viewed(endpoint.url, answer) for answer in await self._endpoints.ask(endpoint, batch, TEXTS)]

    async def fetch_receipt_logs(self, transactions: Sequence[Hash32]) -> list[tuple[Log, ...]]:
        """The logs of each transaction, of whatever contracts, in the order of its receipt; of one that the node has
        no receipt of, none."""
        endpoint = self._endpoints.choose()
        await self._endpoints.prove(endpoint)
        found: list[tuple[Log, ...]] = []
        for start in range(0, len(transactions), TRANSACTIONS_PER_BATCH):
            part = transactions[start : start + TRANSACTIONS_PER_BATCH]
            calls: list[Call] = [("eth_getTransactionReceipt", [hex_of(each)]) for each in part]
            answers = await self._endpoints.ask(endpoint, calls, RECEIPTS)
            found += [tuple(logs_of_receipts(self._endpoints, endpoint, [answer])) for answer in answers]
        return found

    async def _span_at_once(self, endpoint: Endpoint, first: int, last: int, contracts: Sequence[Address]) -> Span:
        calls = [*header_calls(range(first, last + 1)), logs_call(contracts, first, last)]
        *blocks, found = await self._endpoints.ask(endpoint, calls, SPANS)
        said = said_of(found)
        if found.error is not None and said is not None:  # mostly with all the rest of the batch
            raise range_refused(endpoint.url, first, last, found.error.message, said)
        headers = headers_of(self._endpoints, endpoint, blocks)
        if not headers:
            raise block_unknown(endpoint.url, f"block {first}")
        if len(headers) < len(blocks):  # the range was another one
            return await self._span(endpoint, headers, False, contracts)
        logs = logs_of(self._endpoints, endpoint, [found], first, last)
        asked = [header for header in headers if may_hold(header, contracts)]
        return await self._span_of_range(endpoint, headers, asked, contracts, logs)

    async def _span_of_range(
        self,
        endpoint: Endpoint,
        headers: Sequence[Header],
        asked: Sequence[Header],
        contracts: Sequence[Address],
        logs: list[Log],
    ) -> Span:
        """`asked`: those of the blocks that may hold some; `logs`: what came of them by range."""
        missing = unexplained(asked, logs, contracts)
        found = await self._logs_by_hash(endpoint, missing, contracts) if missing else []
        present = {(log.block_number, log.log_index) for log in logs}
        lost = [log for log in found if (log.block_number, log.log_index) not in present]
        if lost:  # the range answer was cut: nothing else in it is believed either
            logs = await self._logs_by_hash(endpoint, asked, contracts)
        return Span(tuple(headers), tuple(logs), len({log.block_number for log in lost}))

    async def _span_by_hash(
        self, endpoint: Endpoint, headers: Sequence[Header], asked: Sequence[Header], contracts: Sequence[Address]
    ) -> Span:
        logs = await self._logs_by_hash(endpoint, asked, contracts)
        # A filter that the node left empty announces nothing.
        doubtful = [header for header in unexplained(asked, logs, contracts) if header.bloom]
        found: list[Log] = []
        for start in range(0, len(doubtful), _RECEIPTS_PER_BATCH):
            part = doubtful[start : start + _RECEIPTS_PER_BATCH]
            found += await logs_by_receipts(self._endpoints, endpoint, part, contracts)
        present = {(log.block_number, log.log_index) for log in logs}
        lost = [log for log in found if (log.block_number, log.log_index) not in present]
        logs = sorted([*logs, *lost], key=lambda log: (log.block_number, log.log_index)) if lost else logs
        return Span(tuple(headers), tuple(logs), len({log.block_number for log in lost}))

    async def _headers(self, endpoint: Endpoint, numbers: Sequence[int]) -> list[Header]:
        """In order, up to the first one that the node does not have. Raises BlockUnknown when it has none."""
        found: list[Header] = []
        for start in range(0, len(numbers), _HEADERS_PER_BATCH):
            part = numbers[start : start + _HEADERS_PER_BATCH]
            answers = await self._endpoints.ask(endpoint, header_calls(part), HEADERS)
            came = headers_of(self._endpoints, endpoint, answers)
            found += came
            if len(came) < len(part):
                break
        if not found:
            raise block_unknown(endpoint.url, f"block {numbers[0]}")
        return found

    async def _all_headers(self, endpoint: Endpoint, numbers: Sequence[int]) -> list[Header]:
        headers = await self._headers(endpoint, numbers)
        if len(headers) < len(numbers):
            raise block_unknown(endpoint.url, f"block {numbers[len(headers)]}")
        return headers

    async def _logs_by_range(
        self, endpoint: Endpoint, first: int, last: int, contracts: Sequence[Address]
    ) -> list[Log]:
        answers = await self._endpoints.ask(endpoint, [logs_call(contracts, first, last)], LOGS)
        return logs_of(self._endpoints, endpoint, answers, first, last)

    async def _logs_by_hash(
        self, endpoint: Endpoint, headers: Sequence[Header], contracts: Sequence[Address]
    ) -> list[Log]:
        emitters: list[Param] = [hex_of(each) for each in contracts]
        logs: list[Log] = []
        for start in range(0, len(headers), _BLOCKS_PER_BATCH):
            part = headers[start : start + _BLOCKS_PER_BATCH]
            calls: list[Call] = [
                ("eth_getLogs", [{"address": emitters, "blockHash": hex_of(header.hash)}]) for header in part
            ]
            answers = await self._endpoints.ask(endpoint, calls, LOGS)
            if any(said_of(answer) is not None for answer in answers):
                logs += await self._logs_of_dense(endpoint, part, answers, contracts)
            else:
                logs += logs_of(self._endpoints, endpoint, answers, part[0].number, part[-1].number)
        return logs

    async def _logs_of_dense(
        self,
        endpoint: Endpoint,
        headers: Sequence[Header],
        answers: Sequence[LogsAnswer],
        contracts: Sequence[Address],
    ) -> list[Log]:
        """Of a batch in which some blocks were refused. No range is smaller than a block: each is asked for alone, then
        for its receipts. A batch that was refused as a whole is a range too large."""
        if len(headers) > 1 and all(said_of(answer) is not None for answer in answers):
            return logs_of(self._endpoints, endpoint, answers, headers[0].number, headers[-1].number)
        logs: list[Log] = []
        for header, answer in zip(headers, answers, strict=True):
            if said_of(answer) is None:
                logs += logs_of(self._endpoints, endpoint, [answer], header.number, header.number)
            elif len(headers) > 1:
                logs += await self._logs_by_hash(endpoint, [header], contracts)
            else:
                logs += await self._escape(endpoint, header, contracts)
        return logs

    async def _escape(self, endpoint: Endpoint, header: Header, contracts: Sequence[Address]) -> list[Log]:
        """The logs of a block that the endpoint refuses to give as logs."""
        endpoint.statistics.escapes += 1
        try:
            return await logs_by_receipts(self._endpoints, endpoint, [header], contracts)
        except Unanswered:
            raise
        except EndpointFault as fault:
            raise block_too_dense(endpoint.url, header.number, fault.happened) from fault


async def open_rpc(settings: ChainSettings, opened: OpenEndpoints = own_endpoints) -> ChainRpc:
    """Asyncio side. Opens no connection yet; `close()` ends those that were opened."""
    return ChainRpc(settings, opened(settings))


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


def _wired(told: WireHeader | str) -> WireHeader:
    if isinstance(told, str):
        raise ValueError(f"not a header: {told[:80]!r}")  # noqa: TRY004 - the node's doing
    return told


def _is_unknown_tag(error: WireError) -> bool:
    # An unknown tag is such an error on some nodes and null on others; any other error is a fault of the node.
    return error.code in _NO_TAG or any(word in error.message.lower() for word in _NO_TAG_WORDS)
