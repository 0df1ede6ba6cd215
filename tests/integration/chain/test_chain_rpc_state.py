"""Rule: the logs of years are read whole, whatever range a provider answers, or it is said that they were not."""

from __future__ import annotations

import asyncio

import pytest

from fusion_daemon.chain.blocks import Log
from fusion_daemon.chain.rpc_errors import EndpointFault, RpcFailure, WrongChain
from fusion_daemon.chain.rpc_state import open_state
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from tests.faults.fake_node import FakeLog, FakeNode

CONTRACT, OTHER = Address(b"\1" * 20), Address(b"\2" * 20)
TOPIC = Hash32(b"\7" * 32)


def mine(node: FakeNode) -> list[bytes]:
    """``0 <- 1 <- … <- 100``, the k-th with k % 4 logs of the contract; their data in order."""
    told = []
    for block in range(1, 101):
        data = [bytes([block, at]) for at in range(block % 4)]
        node.mine(FakeLog(OTHER, (TOPIC,), b""), *(FakeLog(CONTRACT, (TOPIC,), each) for each in data))
        told += data
    return told


def read(node: FakeNode, chain: int = 31_337, span: int = 64) -> list[Log]:
    async def ask() -> list[Log]:
        rpc = await open_state(ChainSettings(ChainId(chain), "fake", (node.url,), (), longest_span=span))
        try:
            return await rpc.logs(CONTRACT, [TOPIC], 0, 100)
        finally:
            await rpc.close()

    return asyncio.run(ask())


@pytest.mark.parametrize("span", [1, 33, 2_000])
def test_ranges_of_any_length_give_the_same_logs(node: FakeNode, span: int) -> None:
    told = mine(node)
    assert [log.data for log in read(node, span=span)] == told


@pytest.mark.parametrize(
    ("longest", "densest", "refusal"),
    [
        (7, None, (-32602, "You can make eth_getLogs requests with up to a 7 block range.")),
        (1, None, (-32000, "block range is too wide")),
        (None, 5, (-32005, "query returned more than 5 results")),
    ],
)
def test_a_range_that_is_refused_is_asked_for_in_smaller_ones(
    node: FakeNode, longest: int | None, densest: int | None, refusal: tuple[int, str]
) -> None:
    told = mine(node)
    node.faults.longest_range, node.faults.densest_range, node.faults.refusal = longest, densest, refusal
    assert [log.data for log in read(node)] == told


def test_a_cap_that_is_named_is_heeded_from_then_on(node: FakeNode) -> None:
    """101 blocks at seven a range are fifteen, and one was refused."""
    told = mine(node)
    node.faults.longest_range = 7
    node.faults.refusal = (-32602, "You can make eth_getLogs requests with up to a 7 block range.")
    assert [log.data for log in read(node)] == told
    assert len([each for each in node.requests if "eth_getLogs" in each]) == 16


def test_one_block_that_is_refused_is_a_failure_and_not_an_empty_answer(node: FakeNode) -> None:
    mine(node)
    node.faults.densest_range = 1
    with pytest.raises(RpcFailure, match="query returned more"):
        read(node)


def test_a_malformed_log_and_another_chain_are_failures(node: FakeNode) -> None:
    mine(node)
    node.faults.wild_index = True
    with pytest.raises(EndpointFault, match="malformed log"):
        read(node)
    with pytest.raises(WrongChain):
        read(node, chain=1)
