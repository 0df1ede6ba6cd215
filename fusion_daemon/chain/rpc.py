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
from fusion_daemon.chain.range_rules import Said, classify
from fusion_daemon.chain.rpc_endpoints import Endpoint, Endpoints, EndpointStatistics, raise_error
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
from fusion_daemon.chain.rpc_wire import (
    HEADERS,
    LOGS,
    RECEIPTS,
    TEXTS,
    TRANSACTIONS,
    Call,
    LogsAnswer,
    Param,
    ReceiptsAnswer,
    TextAnswer,
    WireError,
    WireReceipt,
    header_of,
    log_reader,
    number_of,
)
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import complete, may_hold, unexplained
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of

_HEADERS_PER_BATCH = 100
_BLOCKS_PER_BATCH = 25
"""Of logs asked by block hash."""
_RECEIPTS_PER_BATCH = 5
"""Of blocks: those of a busy one are a megabyte."""
_TRANSACTIONS_PER_BATCH = 50


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
        await self._endpoints.prove(endpoint)
        calls: list[Call] = [("eth_getBlockByNumber", [tag, False]) for tag in ("latest", "safe", "finalized")]
        latest, safe, finalized = await self._endpoints.ask(endpoint, calls, HEADERS)
        raise_error(endpoint.url, latest.error)
        if latest.result is None:
            raise block_unknown(endpoint.url, "a latest block")
        if finalized.error is not None and not _is_unknown_tag(finalized.error):
            said = quote_node(endpoint.url, finalized.error.message)
            raise self._endpoints.fault(endpoint, f"did not say what is final: {said}")
        try:
            header = header_of(latest.result)
            tags = [None if tag.result is None else number_of(tag.result.number) for tag in (safe, finalized)]
        except ValueError as error:
            raise self._endpoints.fault(endpoint, f"answered with a malformed header ({error})") from error
        self._endpoints.report(endpoint, Headed(header.number))
        bounded = [None if tag is None else min(tag, header.number) for tag in tags]
        return Head(endpoint.number, header, bounded[0], bounded[1])

    async def fetch_headers(self, endpoint: int, first: int, last: int) -> tuple[Header, ...]:
        """Headers first..last (inclusive), all of them, as that endpoint has them."""
        headers = await self._headers(self._endpoints.at(endpoint), first, last)
        if len(headers) <= last - first:
            raise block_unknown(self._endpoints.at(endpoint).url, f"block {first + len(headers)}")
        return tuple(headers)

    async def fetch_hash(self, endpoint: int, number: int) -> Hash32:
        """Of the block that this endpoint has at a height, also when another one is in use."""
        node = self._endpoints.at(endpoint)
        await self._endpoints.prove(node)
        [header] = await self._headers(node, number, number)
        return header.hash

    async def fetch_span(
        self, endpoint: int, first: int, last: int, by_hash: bool, contracts: Sequence[Address]
    ) -> Span:
        """Blocks first..last (inclusive) with these contracts' logs, all from one endpoint; fewer, but at least the
        first, when it does not have them all: some backends lack a block now and then, and a long span would never be
        whole.

        `by_hash` asks every block's logs by its hash, as behoves blocks that are not final: a node that does
        not have such a block has to say so, and a block whose bloom filter is not explained by what came is
        settled by its receipts, since a node may have a young block before it can find its logs. Otherwise logs
        come by range, and every block whose bloom filter is not explained by them is asked again by hash. Blocks
        that certainly hold nothing are not asked for.
        """
        node = self._endpoints.at(endpoint)
        await self._endpoints.prove(node)
        headers = await self._headers(node, first, min(last, first + self._endpoints.headroom(node) - 1))
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
        return await self._span_by_range(node, headers, asked, contracts)

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
        for start in range(0, len(transactions), _TRANSACTIONS_PER_BATCH):
            part = transactions[start : start + _TRANSACTIONS_PER_BATCH]
            calls: list[Call] = [("eth_getTransactionReceipt", [hex_of(each)]) for each in part]
            answers = await self._endpoints.ask(endpoint, calls, RECEIPTS)
            found += [tuple(self._logs_of_receipts(endpoint, [answer])) for answer in answers]
        return found

    async def _span_by_range(
        self, endpoint: Endpoint, headers: Sequence[Header], asked: Sequence[Header], contracts: Sequence[Address]
    ) -> Span:
        try:
            logs = await self._logs_by_range(endpoint, asked[0].number, asked[-1].number, contracts)
        except RangeRefused as refused:
            if refused.first < refused.last:
                raise
            # One block is the smallest range; some providers still give it by its hash.
            return Span(tuple(headers), tuple(await self._logs_by_hash(endpoint, asked, contracts)))
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
            found += await self._logs_by_receipts(endpoint, part, contracts)
        present = {(log.block_number, log.log_index) for log in logs}
        lost = [log for log in found if (log.block_number, log.log_index) not in present]
        logs = sorted([*logs, *lost], key=lambda log: (log.block_number, log.log_index)) if lost else logs
        return Span(tuple(headers), tuple(logs), len({log.block_number for log in lost}))

    async def _logs_by_receipts(
        self, endpoint: Endpoint, headers: Sequence[Header], contracts: Sequence[Address]
    ) -> list[Log]:
        """These contracts' logs of these blocks. Raises BlockUnknown while the node lacks some receipt."""
        calls: list[Call] = [("eth_getBlockReceipts", [hex_of(header.hash)]) for header in headers]
        found: list[Log] = []
        for header, answer in zip(headers, await self._endpoints.ask(endpoint, calls, RECEIPTS), strict=True):
            # Mostly a node without that method; or nothing would show whether its answer is whole.
            if answer.error is not None or header.bloom is None:
                answers = await self._receipts_one_by_one(endpoint, header)
            else:
                answers = [answer]
            logs = self._logs_of_receipts(endpoint, answers)
            absent = any(answer.result is None for answer in answers)
            foreign = any(log.block_hash != header.hash for log in logs)
            if absent or foreign or (header.bloom is not None and not complete(header, logs)):
                raise block_unknown(endpoint.url, f"all receipts of block {header.number}")
            found += [log for log in logs if log.address in contracts]
        return found

    async def _receipts_one_by_one(self, endpoint: Endpoint, header: Header) -> list[ReceiptsAnswer]:
        block: Call = ("eth_getBlockByHash", [hex_of(header.hash), False])
        [answer] = await self._endpoints.ask(endpoint, [block], TRANSACTIONS)
        raise_error(endpoint.url, answer.error)
        if answer.result is None:
            raise block_unknown(endpoint.url, f"block {header.number}")
        hashes = answer.result.transactions
        receipts: list[ReceiptsAnswer] = []
        most = _TRANSACTIONS_PER_BATCH
        while len(receipts) < len(hashes):
            part = hashes[len(receipts) : len(receipts) + most]
            calls: list[Call] = [("eth_getTransactionReceipt", [transaction]) for transaction in part]
            answers = await self._endpoints.ask(endpoint, calls, RECEIPTS)
            if len(part) > 1 and any(_said(answer) is not None for answer in answers):
                most = len(part) // 2  # together they are too large
            else:
                receipts += answers
        return receipts

    def _logs_of_receipts(self, endpoint: Endpoint, answers: Sequence[ReceiptsAnswer]) -> list[Log]:
        """All of them; what the node does not have is left out, and its absence shows in the bloom filter."""
        read = log_reader()
        logs: list[Log] = []
        for answer in answers:
            raise_error(endpoint.url, answer.error)
            receipts = [answer.result] if isinstance(answer.result, WireReceipt) else answer.result or []
            try:
                logs += [read(log) for receipt in receipts for log in receipt.logs]
            except ValueError as error:
                raise self._endpoints.fault(endpoint, f"answered with a malformed receipt ({error})") from error
        return logs

    async def _headers(self, endpoint: Endpoint, first: int, last: int) -> list[Header]:
        """In order, up to the first one that the node does not have. Raises BlockUnknown when it has none."""
        found: list[Header] = []
        for start in range(first, last + 1, _HEADERS_PER_BATCH):
            numbers = range(start, min(last + 1, start + _HEADERS_PER_BATCH))
            calls: list[Call] = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
            for answer in await self._endpoints.ask(endpoint, calls, HEADERS):
                raise_error(endpoint.url, answer.error)
                if answer.result is None:
                    if not found:
                        raise block_unknown(endpoint.url, f"block {first}")
                    return found
                try:
                    found.append(header_of(answer.result))
                except ValueError as error:
                    raise self._endpoints.fault(endpoint, f"answered with a malformed header ({error})") from error
        return found

    async def _logs_by_range(
        self, endpoint: Endpoint, first: int, last: int, contracts: Sequence[Address]
    ) -> list[Log]:
        query: Param = {"address": [hex_of(each) for each in contracts], "fromBlock": hex(first), "toBlock": hex(last)}
        answers = await self._endpoints.ask(endpoint, [("eth_getLogs", [query])], LOGS)
        return self._logs(endpoint, answers, first, last)

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
            if any(_said(answer) is not None for answer in answers):
                logs += await self._logs_of_dense(endpoint, part, answers, contracts)
            else:
                logs += self._logs(endpoint, answers, part[0].number, part[-1].number)
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
        if len(headers) > 1 and all(_said(answer) is not None for answer in answers):
            return self._logs(endpoint, answers, headers[0].number, headers[-1].number)
        logs: list[Log] = []
        for header, answer in zip(headers, answers, strict=True):
            if _said(answer) is None:
                logs += self._logs(endpoint, [answer], header.number, header.number)
            elif len(headers) > 1:
                logs += await self._logs_by_hash(endpoint, [header], contracts)
            else:
                logs += await self._escape(endpoint, header, contracts)
        return logs

    async def _escape(self, endpoint: Endpoint, header: Header, contracts: Sequence[Address]) -> list[Log]:
        """The logs of a block that the endpoint refuses to give as logs."""
        endpoint.statistics.escapes += 1
        try:
            return await self._logs_by_receipts(endpoint, [header], contracts)
        except Unanswered:
            raise
        except EndpointFault as fault:
            raise block_too_dense(endpoint.url, header.number, fault.happened) from fault

    def _logs(self, endpoint: Endpoint, answers: Sequence[LogsAnswer], first: int, last: int) -> list[Log]:
        read = log_reader()
        logs: list[Log] = []
        for answer in answers:
            if answer.error is not None:
                said = _said(answer)
                if said is not None:
                    raise range_refused(endpoint.url, first, last, answer.error.message, said)
                raise_error(endpoint.url, answer.error)
            if answer.result is None:
                raise block_unknown(endpoint.url, f"the logs of blocks {first} to {last}")
            try:
                logs += map(read, answer.result)
            except ValueError as error:
                raise self._endpoints.fault(endpoint, f"answered with a malformed log ({error})") from error
        return logs


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


def _said(answer: LogsAnswer | ReceiptsAnswer) -> Said | None:
    return None if answer.error is None else classify(answer.error.code, answer.error.message)


def _is_unknown_tag(error: WireError) -> bool:
    # An unknown tag is such an error on some nodes and null on others; any other error is a fault of the node.
    return error.code in _NO_TAG or any(word in error.message.lower() for word in _NO_TAG_WORDS)
