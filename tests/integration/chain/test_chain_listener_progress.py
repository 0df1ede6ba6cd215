"""Rule: a listener that hangs is started again, alone; the other chains go on."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import trio

from actors.chain_listener import ChainListener
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.liveness import revive_stalled
from fusion_daemon.runtime import ChildSpec, Supervisor, SupervisorSpec, SystemClock
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import CHAIN, PATIENCE, SETTINGS, Listening, Recorder
from tests.unit.chain.vault_logs import ALICE, WETH, deposited

HANGING, SOUND = CHAIN, ChainId(CHAIN + 1)
BEAT_LIMIT = 3.0
"""Seconds; less than a request may take, so that a request without an answer is a listener that hangs."""


async def test_only_the_chain_that_hangs_starts_again(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    second_node.chain_id = SOUND
    topics = {chain: Recorder() for chain in (HANGING, SOUND)}

    def child(chain: ChainId, url: str) -> ChildSpec:
        # Of block 1 on nothing is final, so that nobody but the listener asks.
        settings = replace(SETTINGS, chain=chain, rpc_urls=(url,), request_timeout=600.0, start_block=1)
        table = load_event_table()
        return ChildSpec(
            str(chain),
            lambda: ChainListener(settings, listening.aio, listening.store, topics[chain], table),
            beat_limit=BEAT_LIMIT,
        )

    async def until(chain: ChainId, block: bytes) -> None:
        while not topics[chain].published or topics[chain].published[-1].block.hash != block:
            await topics[chain].moved.wait()

    spec = SupervisorSpec((child(HANGING, node.url), child(SOUND, second_node.url)))
    tree = Supervisor("root", spec, clock=SystemClock(), random=Random(1))
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(tree.run)
            nursery.start_soon(revive_stalled, tree, lambda: listening.store.statistics().trouble)
            await until(HANGING, node.mine(deposited(ALICE, WETH, 5)).hash)
            node.faults.hangs = 1
            tips = node.mine(deposited(ALICE, WETH, 5)).hash, second_node.mine(deposited(ALICE, WETH, 5)).hash
            await until(SOUND, tips[1])
            await until(HANGING, tips[0])
            assert tree.find(str(HANGING)).restarts == 1
            assert tree.find(str(HANGING)).last_error.startswith("ActorStuck")
            assert tree.find(str(SOUND)).restarts == 0
            await tree.stop()
            nursery.cancel_scope.cancel()
