"""The listener behind a faulty provider, in front of anvil: under every fault the stored rows are the node's own.

A stretch of history: ten blocks of three deposits, one of forty, ten of three again, all final, then 70 empty ones, of
which the last 64 become final with the next stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import pytest

from actors.listener_statistics import ListenerStatistics
from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.range_rules import Reason
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node, call_data
from fusion_daemon.domain.identifiers import Address, hex_of
from tests.faults.provider_errors import (
    CAPS,
    DENSE,
    INVERTED,
    NOT_ABOUT_THE_RANGE,
    SUGGESTIONS,
    UNNAMED_CAPS,
    ProviderError,
)
from tests.faults.rpc_faults import RpcFaults, texts_of
from tests.faults.rpc_proxy import RpcProxy, proxied
from tests.integration.chain.listening import SETTINGS, Life, Listening, fold

SENDER = Address(b"\x51" * 20)
SPARSE, DENSEST = 3, 40
"""Logs of a block."""
Row = tuple[int, int, str, tuple[str, ...], str]
STORED = """
SELECT block_number, log_index, '0x' || encode(block_hash, 'hex') AS block, '0x' || encode(data, 'hex') AS data,
    (SELECT string_agg('0x' || encode(topic, 'hex'), ' ' ORDER BY place)
     FROM unnest(topics) WITH ORDINALITY AS each(topic, place)) AS topics
FROM chain_logs ORDER BY 1, 2"""


@dataclass(frozen=True)
class History:
    node: Node
    url: str
    emitter: Address

    def stretch(self) -> None:
        """A further one of the kind that is drawn above."""
        for deposits in (*[SPARSE] * 10, DENSEST, *[SPARSE] * 10):
            self._emit(deposits)
        self.node.call("anvil_mine", hex(70))

    def _emit(self, deposits: int) -> None:
        data = hex_of(call_data("emitDeposits(uint256)", deposits))
        call = {"from": hex_of(SENDER), "to": hex_of(self.emitter), "data": data, "gas": hex(20_000_000)}
        self.node.call("eth_sendTransaction", call)
        self.node.call("evm_mine")

    def hashes(self) -> list[bytes]:
        count = int(str(self.node.call("eth_blockNumber")), 16) + 1
        blocks = self.node.batch([("eth_getBlockByNumber", [hex(number), False]) for number in range(count)])
        return [bytes.fromhex(str(block["hash"])[2:]) for block in blocks if isinstance(block, dict)]

    def tip(self) -> bytes:
        block = self.node.call("eth_getBlockByNumber", "latest", False)
        assert isinstance(block, dict)
        return bytes.fromhex(block["hash"][2:])

    def rows(self) -> list[Row]:
        query = {"address": hex_of(self.emitter), "fromBlock": "0x0", "toBlock": "latest"}
        logs = self.node.call("eth_getLogs", query)
        assert isinstance(logs, list)
        return [
            (int(log["blockNumber"], 16), int(log["logIndex"], 16), log["blockHash"], tuple(log["topics"]), log["data"])
            for log in logs
        ]


@contextmanager
def written() -> Iterator[History]:
    """A node with a first stretch."""
    with anvil(31_337) as running, closing(Node(running.url)) as node:
        node.call("anvil_setBalance", hex_of(SENDER), hex(10**24))
        node.call("anvil_autoImpersonateAccount", True)
        emitter = node.deploy(SENDER, load_artifact("EventEmitter").bytecode)
        made = History(node, running.url, emitter)
        node.call("evm_setAutomine", False)
        made.stretch()
        yield made


@pytest.fixture(scope="module")
def history() -> Iterator[History]:
    with written() as made:
        yield made


@pytest.fixture
def growing() -> Iterator[History]:
    """For a test that adds stretches, which those of others would have to read too."""
    with written() as made:
        yield made


@pytest.fixture
def proxy(history: History) -> Iterator[RpcProxy]:
    with proxied(history.url, seed=1) as served:
        yield served


def watching(history: History, request_timeout: float = 2.0) -> ChainSettings:
    return replace(SETTINGS, contracts=(history.emitter,), request_timeout=request_timeout)


async def check(listening: Listening, history: History) -> None:
    assert fold(await listening.entries()) == history.hashes()
    stored = await listening.rows(STORED)
    rows = [
        (
            row.integer("block_number"),
            row.integer("log_index"),
            row.text("block"),
            tuple(row.text("topics").split()),
            row.text("data"),
        )
        for row in stored
    ]
    assert rows == history.rows()


async def follow(
    listening: Listening, history: History, proxy: RpcProxy, settings: ChainSettings | None = None
) -> Life:
    """A life from nothing to the node's head, after which the rows are the node's."""
    async with listening.live(proxy.url, settings=settings or watching(history)) as life:
        await life.until_tip(history.tip())
    await check(listening, history)
    return life


async def listen_through(
    listening: Listening, growing: History, error: ProviderError, limits: RpcFaults
) -> ListenerStatistics:
    """A life that reads a further stretch of history from a provider that says this error; what it counted."""
    growing.stretch()
    with proxied(growing.url) as proxy:
        proxy.faults = replace(limits, rule=error.rule, variant=texts_of(error.rule).index(error))
        async with listening.live(proxy.url, settings=watching(growing)) as life:
            await life.until_tip(growing.tip())
    return life.listener.statistics()


async def test_caps_on_blocks(listening: Listening, growing: History) -> None:
    """An honest provider of seven blocks a range; one that names them refuses once and is then obeyed."""
    for error in (*CAPS, *UNNAMED_CAPS):
        told = await listen_through(listening, growing, error, RpcFaults(most_blocks=7))
        assert list(told.splits) == [(Reason.CAP, error.rule)], error
        refused = told.splits[Reason.CAP, error.rule]
        assert refused == 1 if error in CAPS else refused <= 8, error
        assert told.faults == 0, error
    await check(listening, growing)


async def test_limits_on_logs(listening: Listening, growing: History) -> None:
    """Ten logs an answer by range, and one block that holds forty: that one is asked for by its hash."""
    for error in (*SUGGESTIONS, *INVERTED, *DENSE):
        told = await listen_through(listening, growing, error, RpcFaults(most_logs=10))
        reason = Reason.DENSE if error in DENSE else Reason.SUGGESTED
        assert list(told.splits) == [(reason, error.rule)], error
        assert told.faults == 0, error
    await check(listening, growing)


async def test_what_is_not_about_the_range_is_asked_again(listening: Listening, growing: History) -> None:
    for error in NOT_ABOUT_THE_RANGE:
        told = await listen_through(listening, growing, error, RpcFaults(refusals=2))
        assert (told.splits, told.faults + told.rate_limits) == ({}, 2), error
    await check(listening, growing)


@pytest.mark.parametrize("no_block_receipts", [False, True])
async def test_a_block_that_is_refused_by_its_hash_too_is_read_from_its_receipts(
    listening: Listening, history: History, proxy: RpcProxy, no_block_receipts: bool
) -> None:
    proxy.faults = RpcFaults(
        rule="infura_results", most_logs=10, dense_by_hash=True, no_block_receipts=no_block_receipts
    )
    life = await follow(listening, history, proxy)
    [endpoint] = life.listener.statistics().endpoints
    assert (endpoint.escapes, life.listener.statistics().faults) == (1, 0)


async def test_a_block_that_no_way_gives_is_an_alarm_and_never_a_gap(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    proxy.faults = RpcFaults(
        rule="infura_results", most_logs=10, dense_by_hash=True, no_block_receipts=True, no_receipts=True
    )
    async with listening.live(proxy.url, settings=watching(history)) as life:
        reason = await life.until_health("UNHEALTHY")
        dense = history.rows()[SPARSE * 10][0]
        assert f"the single block {dense}" in reason
        assert life.listener.statistics().dense >= 1
        assert fold(await listening.entries()) == history.hashes()[:dense]
        proxy.faults = RpcFaults()
        await life.until_tip(history.tip())
        await life.until_health("OK")
    await check(listening, history)


@pytest.mark.parametrize("retry_after", [None, "0", "1"])
async def test_a_limit_on_requests(
    listening: Listening, history: History, proxy: RpcProxy, retry_after: str | None
) -> None:
    proxy.faults = RpcFaults(per_second=4, retry_after=retry_after)
    life = await follow(listening, history, proxy)
    assert life.listener.statistics().rate_limits > 0


async def test_answers_that_are_cut_short_without_a_word(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    proxy.faults = RpcFaults(truncated=25)
    life = await follow(listening, history, proxy)
    assert life.listener.statistics().repaired > 0


async def test_blocks_that_are_null_now_and_then(listening: Listening, history: History, proxy: RpcProxy) -> None:
    proxy.faults = RpcFaults(null_share=0.02)
    await follow(listening, history, proxy)
    assert proxy.counts["http"] > 0


async def test_bodies_that_end_too_soon(listening: Listening, history: History, proxy: RpcProxy) -> None:
    proxy.faults = RpcFaults(cuts=5)
    life = await follow(listening, history, proxy)
    assert proxy.counts["cut"] == 5
    assert life.listener.statistics().faults > 0


async def test_sockets_that_hang(listening: Listening, history: History, proxy: RpcProxy) -> None:
    proxy.faults = RpcFaults(hangs=2)
    life = await follow(listening, history, proxy, watching(history, request_timeout=0.2))
    assert life.listener.statistics().faults == 2


async def test_ranges_that_take_too_long_are_made_shorter(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    """A provider that never answers more than ten blocks, and never says so: asking for the same again would be for
    ever."""
    proxy.faults = RpcFaults(hanging_blocks=10)
    life = await follow(listening, history, proxy, watching(history, request_timeout=0.2))
    assert life.listener.statistics().splits[Reason.SILENCE, ""] >= 3


@pytest.mark.parametrize("share", [0.5, 1.0])
async def test_a_backend_that_lags(listening: Listening, history: History, proxy: RpcProxy, share: float) -> None:
    """It answers [] to logs beyond its own head; behind one address with a sound one, or alone and then caught up."""
    proxy.faults = RpcFaults(lag=80, lag_share=share)
    async with listening.live(proxy.url, settings=watching(history)) as life:
        if share == 1.0:
            await life.until_tip(history.hashes()[-81])
            proxy.faults = RpcFaults()
        await life.until_tip(history.tip())
    await check(listening, history)


async def test_an_answer_that_takes_its_time(listening: Listening, history: History, proxy: RpcProxy) -> None:
    proxy.faults = RpcFaults(latency=0.05)
    life = await follow(listening, history, proxy)
    assert life.listener.statistics().faults == 0
