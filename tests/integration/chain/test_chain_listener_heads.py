"""New heads announced over a WebSocket are a hint: the chain is followed sooner with them, and as well without."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from fusion_daemon.aio import Aio
from fusion_daemon.chain.settings import ChainSettings, PollSettings
from fusion_daemon.demo.anvil import Anvil
from fusion_daemon.demo.node import Node
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import SETTINGS, Listening

SELDOM = PollSettings(shortest=0.05, longest=600.0)
"""Who polls so seldom follows by hints alone: the test's patience is twenty seconds."""


def hinted(*urls: str, poll: PollSettings = SELDOM) -> ChainSettings:
    return replace(SETTINGS, ws_urls=urls, poll=poll)


async def test_a_new_head_is_looked_at_at_once(listening: Listening, chain_node: Anvil) -> None:
    """anvil announces on the port on which it answers."""
    with closing(Node(chain_node.url)) as node:
        url = chain_node.url.replace("http://", "ws://")
        async with listening.live(chain_node.url, settings=hinted(url)) as life:
            await life.until_tip(head_of(node))
            for _ in range(3):
                node.call("evm_mine")
                await life.until_tip(head_of(node))
            assert life.listener.statistics().announced.heads >= 3
            assert life.listener.statistics().announced.losses == 0


def head_of(node: Node) -> bytes:
    block = node.call("eth_getBlockByNumber", "latest", False)
    assert isinstance(block, dict)
    return bytes.fromhex(str(block["hash"])[2:])


@dataclass
class Socket:
    """A node's WebSocket that says, in answer to a subscription, whatever the test gives it; `None` ends it."""

    says: tuple[str | None, ...]
    url: str = ""
    asked: threading.Event = field(default_factory=threading.Event)

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _message in socket:
            self.asked.set()
            for text in self.says:
                if text is None:
                    await socket.close()
                    break
                await socket.send_str(text)
        return socket


@asynccontextmanager
async def serving(aio: Aio, socket: Socket) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/planted-key", socket.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        socket.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/planted-key"

    await aio.call(start, timeout=5)
    try:
        yield
    finally:
        await aio.call(runner.cleanup, timeout=5)


@pytest.mark.parametrize(
    "says",
    [
        (),
        ("hello",),
        ("[1, 2, 3]", "{}"),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no such method"}}',),
        (None,),
        ('{"method":"eth_subscription","params":{"result":{"number":"0xffffffff"}}}',) * 2_000,
    ],
    ids=["silence", "no JSON", "nonsense", "refusal", "an end", "a flood"],
)
async def test_polling_goes_on_whatever_a_socket_says(
    listening: Listening, node: FakeNode, says: tuple[str | None, ...]
) -> None:
    socket = Socket(says)
    async with serving(listening.aio, socket):
        settings = hinted(socket.url, poll=SETTINGS.poll)
        async with listening.live(node.url, settings=settings) as life:
            for _ in range(3):
                await life.until_tip(node.mine().hash)
            assert life.listener.statistics().faults == 0
        assert socket.asked.is_set()


async def test_a_flood_of_hints_is_not_a_flood_of_requests(listening: Listening, node: FakeNode) -> None:
    """Two thousand at once: one look, for the rest come within the shortest interval."""
    socket = Socket(('{"method":"eth_subscription"}',) * 2_000)
    async with serving(listening.aio, socket):
        settings = hinted(socket.url, poll=PollSettings(shortest=30.0, longest=600.0))
        async with listening.live(node.url, settings=settings) as life:
            await life.until_tip(node.mine().hash)
            while life.listener.statistics().announced.heads < 2_000:
                await life.context.rest(0.01)
            assert life.listener.statistics().endpoints[0].requests < 12


async def test_nobody_listens_where_there_is_no_socket(listening: Listening, node: FakeNode) -> None:
    async with listening.live(node.url, settings=hinted("ws://127.0.0.1:1", poll=SETTINGS.poll)) as life:
        await life.until_tip(node.mine().hash)
        while not life.listener.statistics().announced.losses:
            await life.context.rest(0.01)
        await life.until_tip(node.mine().hash)
        await life.until_health("OK")
