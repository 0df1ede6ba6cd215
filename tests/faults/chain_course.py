"""A random course of two chains, their endpoints and their listeners, as its seed says.

Each chain is one node behind two endpoints: the node itself, and a provider that may lie, hang, lag or refuse.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass, replace

import trio

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from tests.faults.rpc_faults import RpcFaults
from tests.faults.rpc_proxy import RpcProxy, proxied
from tests.integration.chain.listening import SETTINGS, Life, Listening

SENDER = Address(b"\x51" * 20)
FINAL = 64
"""Blocks behind the head that anvil calls final."""
BASE = 90
"""Blocks at the beginning of a course."""
PATIENCE = 30.0
AUDIT_PATIENCE = 120.0
"""An endpoint that failed while it was a witness is left alone for a minute, and both may have."""
_LOOK_SECONDS = 0.1
LIVES = 4
STEPS = 4
"""Of a life."""


@dataclass
class Side:
    """One chain."""

    chain: ChainId
    node: Node
    proxy: RpcProxy
    emitters: tuple[Address, Address]
    """The second one is configured late."""
    snapshot: object
    final: int
    """The highest block that was ever final: no reorg reaches it."""
    urls: tuple[str, ...]
    requests: int = 0

    def reset(self) -> None:
        """A course begins with BASE blocks, above one that no reorg reaches: the snapshot would be lost with it."""
        assert self.node.call("evm_revert", self.snapshot) is True
        self.snapshot = self.node.call("evm_snapshot")
        self.proxy.faults = RpcFaults()
        self.final = self.height()
        self.mine([place % 3 for place in range(BASE)])

    def height(self) -> int:
        return int(str(self.node.call("eth_blockNumber")), 16)

    def tip(self) -> bytes:
        block = self.node.call("eth_getBlockByNumber", "latest", False)
        assert isinstance(block, dict)
        return bytes.fromhex(block["hash"][2:])

    def mine(self, deposits: Sequence[int]) -> None:
        """A block for each."""
        for count in deposits:
            if count:
                self.node.call("eth_sendTransaction", self._request(count))
            self.node.call("evm_mine")
        self.final = max(self.final, self.height() - FINAL)

    def reorg(self, depth: int, deposits: Sequence[int]) -> None:
        """The last `depth` blocks are replaced by as many."""
        self.node.call("anvil_reorg", depth, [[self._request(n), place] for place, n in enumerate(deposits) if n])

    def rollback(self, depth: int) -> None:
        self.node.call("anvil_rollback", depth)

    def deepest(self) -> int:
        return self.height() - self.final

    def _request(self, deposits: int) -> dict[str, str]:
        """Unlike any before it, so that no block with one comes back by chance."""
        self.requests += 1
        data = hex_of(call_data("emitDeposits(uint256)", deposits) + self.requests.to_bytes(8, "big"))
        to = self.emitters[self.requests % 2]
        return {"from": hex_of(SENDER), "to": hex_of(to), "data": data, "gas": hex(2_000_000)}


@contextmanager
def open_side(chain: ChainId) -> Iterator[Side]:
    with anvil(chain) as running, closing(Node(running.url)) as node, proxied(running.url) as proxy:
        node.call("anvil_setBalance", hex_of(SENDER), hex(10**24))
        node.call("anvil_autoImpersonateAccount", True)
        code = load_artifact("EventEmitter").bytecode
        emitters = node.deploy(SENDER, code), node.deploy(SENDER, code)
        node.call("evm_setAutomine", False)
        yield Side(chain, node, proxy, emitters, node.call("evm_snapshot"), 0, (running.url, proxy.url))


class Course:
    def __init__(self, seed: int, listening: Listening, sides: Sequence[Side]) -> None:
        self.said: list[str] = []
        """What was done, for whoever has to find out why it failed."""
        self._random = random.Random(seed)
        self._listening = listening
        self._sides = sides
        self._configured = 1
        for side in sides:
            side.proxy.chance.seed(seed)

    async def run(self) -> None:
        """Ends with nobody listening, after both were at their nodes' heads, had read all history of the contract that
        came late, and had audited all blocks that hold anything: at the end, those are final."""
        late = self._random.randrange(1, LIVES + 1)
        for life in range(LIVES):
            self._configured = 1 if life < late else 2
            alive = self._random.choice(((0,), (1,), (0, 1), (0, 1), (0, 1)))
            self._say(f"alive {alive}")
            async with AsyncExitStack() as stack:
                lives = {number: await self._begin(stack, self._sides[number]) for number in alive}
                for _ in range(self._random.randint(1, STEPS)):
                    await self._deed()
                    if self._random.random() < 0.5:
                        await self._quiet(lives)
            await self._deed()  # while they are down
        self._configured = 2
        for side in self._sides:
            await trio.to_thread.run_sync(side.mine, [0] * (FINAL + 1))
        async with AsyncExitStack() as stack:
            await self._quiet({number: await self._begin(stack, side) for number, side in enumerate(self._sides)})
            for side in self._sides:
                await self._whole(side)

    async def _begin(self, stack: AsyncExitStack, side: Side) -> Life:
        settings: ChainSettings = replace(
            SETTINGS,
            chain=side.chain,
            contracts=side.emitters[: self._configured],
            request_timeout=0.5,
            poll=replace(SETTINGS.poll, stillness=0.5),
            longest_span=self._random.choice((7, 30, 2_000)),
            workers=self._random.choice((1, 2, 4, 8)),
        )
        urls = self._random.sample(side.urls, 2)
        return await stack.enter_async_context(self._listening.live(*urls, settings=settings))

    async def _quiet(self, lives: Mapping[int, Life]) -> None:
        """Until those alive are at their nodes' heads."""
        with trio.fail_after(PATIENCE):
            for number, life in lives.items():
                side = self._sides[number]
                tip = await trio.to_thread.run_sync(side.tip)
                while await self._stored_tip(side) != tip:
                    with trio.move_on_after(_LOOK_SECONDS):
                        await life.topic.moved.wait()

    async def _whole(self, side: Side) -> None:
        """Until nothing is missing of either contract, and all that holds anything is audited."""
        height = side.height()
        sql = (
            f"SELECT bool_and((first, last) = (0, {height}) AND coalesce(audited >= {height - FINAL}, false)) AS whole"
            " FROM chain_coverage LEFT JOIN chain_audits USING (chain_id, filter_version)"
            f" WHERE chain_id = {side.chain}"
        )
        with trio.fail_after(AUDIT_PATIENCE):
            while True:
                [row] = await self._listening.rows(sql)
                if row.boolean("whole"):
                    return
                await trio.sleep(_LOOK_SECONDS)

    async def _stored_tip(self, side: Side) -> bytes | None:
        rows = await self._listening.rows(f"SELECT tip_hash FROM chain_state WHERE chain_id = {side.chain}")
        return rows[0].optional_octets("tip_hash") if rows else None

    async def _deed(self) -> None:
        side = self._random.choice(self._sides)
        deeds: tuple[tuple[int, Callable[[Side], None]], ...] = (
            (4, self._mine),
            (3, self._reorg),
            (2, self._shorten),
            (3, self._fault),
        )
        [deed] = self._random.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])
        await trio.to_thread.run_sync(deed, side)

    def _mine(self, side: Side) -> None:
        deposits = self._deposits(self._random.choice((1, 1, 3, 10, FINAL + 3)))
        self._say(f"mine {len(deposits)} on {side.chain}")
        side.mine(deposits)

    def _reorg(self, side: Side) -> None:
        depth = self._depth(side)
        if depth:
            self._say(f"reorg of {depth} on {side.chain} at {side.height()}")
            side.reorg(depth, self._deposits(depth))

    def _shorten(self, side: Side) -> None:
        """To a lower head, and perhaps on from there, to another block of every height."""
        depth = self._depth(side)
        if depth:
            deposits = self._deposits(self._random.randrange(1, depth + 1))
            self._say(f"{depth} blocks on {side.chain} at {side.height()} become {len(deposits)}")
            side.rollback(depth)
            side.mine([count + 1 for count in deposits])

    def _fault(self, side: Side) -> None:
        found = self._random.choice(
            (
                RpcFaults(),
                RpcFaults(hangs=2),
                RpcFaults(lag=self._random.choice((1, 5, 30)), lag_share=self._random.choice((0.5, 1.0))),
                RpcFaults(cut_share=0.3),
                RpcFaults(null_share=0.05),
                RpcFaults(truncated=self._random.choice((0, 1, 20)), truncated_by_hash=self._random.random() < 0.3),
                RpcFaults(per_second=5, retry_after=self._random.choice((None, "0"))),
                RpcFaults(rule="infura_results", most_logs=10),
                RpcFaults(rule="infura_results", most_logs=3, dense_by_hash=True),
            )
        )
        self._say(f"fault on {side.chain}: {found}")
        side.proxy.faults = found

    def _depth(self, side: Side) -> int:
        deepest = side.deepest()
        return min(deepest, self._random.choice((1, 1, 2, 5, deepest)))

    def _deposits(self, blocks: int) -> list[int]:
        return [self._random.choice((0, 0, 1, 2, 5)) for _ in range(blocks)]

    def _say(self, text: str) -> None:
        self.said.append(text)
