"""The listener behind a faulty provider, in front of anvil: under every fault the stored rows are the node's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from actors.listener_statistics import ListenerStatistics
from fusion_daemon.chain.range_rules import Reason
from fusion_daemon.chain.settings import ChainSettings
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
from tests.integration.chain.listening import Life, Listening, fold
from tests.integration.chain.provider_history import SPARSE, History, check, watching, written


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
