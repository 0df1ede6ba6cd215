"""A block's logs from its receipts: what settles it where the node's logs are refused or in doubt. Asyncio side."""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.chain.blocks import Header, Log
from fusion_daemon.chain.rpc_answers import logs_of_receipts, said_of
from fusion_daemon.chain.rpc_endpoints import Endpoint, Endpoints, raise_error
from fusion_daemon.chain.rpc_errors import block_unknown
from fusion_daemon.chain.rpc_wire import (
    RECEIPTS,
    TRANSACTIONS,
    Call,
    ReceiptsAnswer,
)
from fusion_daemon.chain.validate import complete
from fusion_daemon.domain.identifiers import Address, hex_of

TRANSACTIONS_PER_BATCH = 50


async def logs_by_receipts(
    endpoints: Endpoints, endpoint: Endpoint, headers: Sequence[Header], contracts: Sequence[Address]
) -> list[Log]:
    """These contracts' logs of these blocks. Raises BlockUnknown while the node lacks some receipt."""
    calls: list[Call] = [("eth_getBlockReceipts", [hex_of(header.hash)]) for header in headers]
    found: list[Log] = []
    for header, answer in zip(headers, await endpoints.ask(endpoint, calls, RECEIPTS), strict=True):
        # Mostly a node without that method; or nothing would show whether its answer is whole.
        if answer.error is not None or header.bloom is None:
            answers = await _receipts_one_by_one(endpoints, endpoint, header)
        else:
            answers = [answer]
        logs = logs_of_receipts(endpoints, endpoint, answers)
        absent = any(answer.result is None for answer in answers)
        foreign = any(log.block_hash != header.hash for log in logs)
        if absent or foreign or (header.bloom is not None and not complete(header, logs)):
            raise block_unknown(endpoint.url, f"all receipts of block {header.number}")
        found += [log for log in logs if log.address in contracts]
    return found


async def _receipts_one_by_one(endpoints: Endpoints, endpoint: Endpoint, header: Header) -> list[ReceiptsAnswer]:
    block: Call = ("eth_getBlockByHash", [hex_of(header.hash), False])
    [answer] = await endpoints.ask(endpoint, [block], TRANSACTIONS)
    raise_error(endpoint.url, answer.error)
    if answer.result is None:
        raise block_unknown(endpoint.url, f"block {header.number}")
    hashes = answer.result.transactions
    receipts: list[ReceiptsAnswer] = []
    most = TRANSACTIONS_PER_BATCH
    while len(receipts) < len(hashes):
        part = hashes[len(receipts) : len(receipts) + most]
        calls: list[Call] = [("eth_getTransactionReceipt", [transaction]) for transaction in part]
        answers = await endpoints.ask(endpoint, calls, RECEIPTS)
        if len(part) > 1 and any(said_of(answer) is not None for answer in answers):
            most = len(part) // 2  # together they are too large
        else:
            receipts += answers
    return receipts
