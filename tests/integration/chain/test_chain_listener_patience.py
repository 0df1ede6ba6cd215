"""Rule: what is waited for so as to keep an endpoint's pace is nobody's lateness; and a head that is stuck is seen to
be, whatever else goes on beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from fusion_daemon.aio import Aio, AioTimeout
from fusion_daemon.chain import rpc_patience
from fusion_daemon.chain.rpc_errors import Unanswered
from fusion_daemon.chain.rpc_patience import Patience, pause
from fusion_daemon.chain.settings import RateBounds
from tests.faults.fake_node import FakeNode, Json
from tests.integration.chain.listening import PATIENCE, Listening, fold
from tests.unit.chain.vault_logs import ALICE, STRANGER, VAULT, WETH, deposited


async def test_a_crossing_is_not_late_for_the_pace_alone(listening: Listening, node: FakeNode) -> None:
    """A block of 60 transactions whose receipts have to be read one by one, at 25 calls a second: between two batches
    of them the pace makes us wait two seconds, and a crossing may wait for nodes 0.8 s."""
    tip = node.mine(*[deposited(ALICE, WETH, amount) for amount in range(1, 61)])
    node.faults.unindexed, node.faults.no_block_receipts = 1, True
    settings = replace(listening.settings(request_timeout=0.2), rate=RateBounds(10.0, 25.0))
    async with listening.live(node.url, settings=settings) as life:
        await life.until_tip(tip.hash)
        counted = life.listener.statistics()
        assert (counted.faults, counted.splits, counted.repaired) == (0, {}, 1)
    assert fold(await listening.entries()) == [block.hash for block in node.canonical()]


async def test_who_waits_for_a_crossing_hears_that_it_waits_for_the_pace(
    aio: Aio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when he is too busy to listen."""
    monkeypatch.setattr(rpc_patience, "PAUSE_SECONDS", 0.01)
    heard: list[int] = []

    async def hear() -> None:
        heard.append(1)
        if len(heard) == 2:
            raise AioTimeout("hear", 0.0)

    async def paced() -> str:
        await pause(0.1)
        return "answer"

    assert await aio.call(Patience(0.05, hear).ask, paced, timeout=PATIENCE) == "answer"
    assert len(heard) >= 5
    assert await aio.call(paced, timeout=PATIENCE) == "answer", "nobody has to listen"


async def test_what_a_node_takes_is_not_forgiven(aio: Aio) -> None:
    async def silent() -> None:
        await pause(0.01)
        await asyncio.Event().wait()

    with pytest.raises(Unanswered) as caught:
        await aio.call(Patience(0.05).ask, silent, timeout=PATIENCE)
    assert "did not answer within 0.05 s" in caught.value.happened


async def test_a_stuck_head_is_not_hidden_by_late_history(listening: Listening, node: FakeNode) -> None:
    """The late history is asked for again and again, while the question for the head has no answer: no beat."""
    for amount in range(1, 30):
        node.mine(deposited(ALICE, WETH, amount), deposited(ALICE, WETH, amount, STRANGER))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
    node.faults.foreign_logs = True
    hang, hung, released = threading.Event(), threading.Event(), threading.Event()

    def hold(calls: Sequence[Json]) -> None:
        if hang.is_set() and "latest" in str(calls):
            hung.set()
            assert released.wait(PATIENCE)

    node.before_answer = hold
    settings = replace(listening.settings(request_timeout=600.0), contracts=(VAULT, STRANGER))
    async with listening.live(node.url, settings=settings) as life:
        assert "contradicted itself" in await life.until_health("DEGRADED")
        hang.set()
        while not hung.is_set():
            await life.until_request(node, 1)
        beats = life.context.beats
        await life.until_request(node, 500)  # dozens of them make one crossing
        assert life.context.beats == beats
        released.set()
        node.before_answer = None


async def test_an_endpoint_that_fails_in_late_history_is_left(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    """The first gives heads, and of old blocks what contradicts itself: the other one gives the history."""
    for amount in range(1, 30):
        node.mine(deposited(ALICE, WETH, amount), deposited(ALICE, WETH, amount, STRANGER))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
    node.faults.foreign_logs = True
    second_node.blocks, second_node.head = node.blocks, node.head
    settings = replace(listening.settings(), contracts=(VAULT, STRANGER))
    async with listening.live(node.url, second_node.url, settings=settings) as life:
        await life.until_whole()
        assert life.listener.statistics().endpoints[1].in_use
    assert fold(await listening.entries()) == [block.hash for block in node.canonical()]
