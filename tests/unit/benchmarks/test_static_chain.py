"""Rule: the static chain's answers agree with each other, so that nobody who checks them finds a contradiction.

block   0   1   2   3*  4   5   6*  7   8   9*        * three logs each
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from benchmarks.ingestion.static_chain import EMITTER, Refused, StaticChain, answer
from fusion_daemon.chain.blocks import Span
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.rpc_wire import WireHeader, WireLog, header_of, log_reader
from fusion_daemon.chain.validate import check_span, complete, unexplained

HEAD = 9
CHAIN = StaticChain(31_337, every=3, events=3, head=lambda: HEAD)


def ask(method: str, *params: object, chain: StaticChain = CHAIN) -> Any:
    return json.loads(json.dumps(answer(chain, method, params)))


def span(first: int, last: int, chain: StaticChain = CHAIN) -> Span:
    query = {"address": "0x" + EMITTER.hex(), "fromBlock": hex(first), "toBlock": hex(last)}
    read = log_reader()
    headers = [ask("eth_getBlockByNumber", hex(number), False, chain=chain) for number in range(first, last + 1)]
    logs = [read(msgspec.convert(log, WireLog)) for log in ask("eth_getLogs", query, chain=chain)]
    return Span(tuple(header_of(msgspec.convert(header, WireHeader)) for header in headers), tuple(logs))


def test_the_listener_finds_no_contradiction_in_it() -> None:
    found = span(0, HEAD)
    check_span(found, 0, None)
    assert not unexplained(found.headers, found.logs, [EMITTER])
    by_block = {
        header.number: [log for log in found.logs if log.block_number == header.number] for header in found.headers
    }
    assert [number for number, logs in by_block.items() if logs] == [3, 6, 9]
    assert all(complete(header, by_block[header.number]) for header in found.headers)


def test_every_event_is_decoded_and_adds_up() -> None:
    """More events than accounts: 1,500 of each block, so that some deposit again and again."""
    chain = StaticChain(31_337, every=3, events=1_500, head=lambda: HEAD)
    table = load_event_table()
    balances: Counter[str] = Counter()
    for seq, log in enumerate(span(0, HEAD, chain).logs, 1):
        event = table.event(log.address, log.log_index, log.topics, log.data)
        assert event.name == "CollateralDeposited"
        assert len(event.changes) == 1
        told = json.loads(event.args or "")
        balances[told["account"]] += int(told["amount"])
        assert (int(told["seq"]), int(told["balance"])) == (seq, balances[told["account"]])
    assert len(balances) == 1_000


@pytest.mark.parametrize("number", range(HEAD + 1))
def test_a_block_is_the_same_by_number_by_hash_and_by_its_receipts(number: int) -> None:
    block = ask("eth_getBlockByNumber", hex(number), True)
    assert ask("eth_getBlockByHash", block["hash"], True) == block
    logs = ask("eth_getLogs", {"blockHash": block["hash"]})
    receipts = ask("eth_getBlockReceipts", block["hash"])
    assert [log for receipt in receipts for log in receipt["logs"]] == logs
    assert [each["hash"] for each in block["transactions"]] == [each["transactionHash"] for each in receipts]
    for receipt in receipts:
        assert ask("eth_getTransactionReceipt", receipt["transactionHash"]) == receipt
        assert ask("eth_getTransactionByHash", receipt["transactionHash"])["blockHash"] == block["hash"]


def test_it_says_nothing_about_blocks_that_it_does_not_have() -> None:
    later = StaticChain(31_337, every=3, events=3, head=lambda: HEAD + 3)
    assert ask("eth_getBlockByNumber", hex(HEAD + 1), False) is None
    assert ask("eth_getBlockByHash", later.hash(HEAD + 1), False) is None
    assert ask("eth_getTransactionReceipt", later.transaction_hash(HEAD + 3)) is None
    for query in ({"fromBlock": "0x0", "toBlock": hex(HEAD + 1)}, {"blockHash": later.hash(HEAD + 1)}):
        with pytest.raises(Refused):
            ask("eth_getLogs", query)


def test_other_contracts_and_topics_have_no_logs() -> None:
    whole = {"fromBlock": "0x0", "toBlock": "latest"}
    topic = ask("eth_getLogs", whole)[0]["topics"][0]
    assert len(ask("eth_getLogs", {**whole, "topics": [[topic, "0x" + "00" * 32]]})) == 9
    assert ask("eth_getLogs", {**whole, "topics": ["0x" + "00" * 32]}) == []
    assert ask("eth_getLogs", {**whole, "address": ["0x" + "00" * 20]}) == []
