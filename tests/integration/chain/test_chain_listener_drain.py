"""Rule: a listener that is asked to drain gives up what it reads, ends the commit under way, and returns."""

from __future__ import annotations

import threading

import pytest
import trio

from fusion_daemon.store import Commit, Store
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import PATIENCE, Listening, fold


async def test_at_rest_it_returns_at_once(listening: Listening, node: FakeNode) -> None:
    tip = node.mine()
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        life.context.drain("SIGTERM")
        await life.until_return()


async def test_without_a_start_block_it_returns_at_once(listening: Listening, node: FakeNode) -> None:
    async with listening.live(node.url, settings=listening.settings(start_block=None)) as life:
        await life.until_health("DEGRADED")
        life.context.drain("SIGTERM")
        await life.until_return()


async def test_a_node_that_hangs_does_not_hold_it_up(listening: Listening, node: FakeNode) -> None:
    node.mine()
    asked = threading.Event()

    def hang(_: object) -> None:
        asked.set()
        node.hang()

    node.before_answer = hang
    settings = listening.settings(request_timeout=PATIENCE)
    async with listening.live(node.url, settings=settings) as life:
        assert await trio.to_thread.run_sync(asked.wait, PATIENCE)
        begun = trio.current_time()
        life.context.drain("SIGTERM")
        await life.until_return()
        assert trio.current_time() - begun < PATIENCE / 2
    assert not await listening.entries()


async def test_the_commit_under_way_is_made_and_published(
    listening: Listening, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = node.mine()
    begun, let_go = trio.Event(), trio.Event()
    commit = Store.commit

    async def slow(store: Store, asked: Commit) -> None:
        begun.set()
        await let_go.wait()
        await commit(store, asked)

    monkeypatch.setattr(Store, "commit", slow)
    async with listening.live(node.url) as life:
        with trio.fail_after(PATIENCE):
            await begun.wait()
        life.context.drain("SIGTERM")
        let_go.set()
        await life.until_return()
        assert [entry.block.hash for entry in life.topic.published][-1] == tip.hash
    assert fold(await listening.entries())[-1] == tip.hash
