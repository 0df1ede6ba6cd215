"""Two local chains with everything on them that carries remote credit, put back to their beginning for every test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from eth_utils.crypto import keccak

from fusion_daemon.crosschain import Networks
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.bridge import Generation
from fusion_daemon.demo.deploy import DESK, Opening, deploy, deposit
from fusion_daemon.demo.links import AXELAR, CCIP, Link, join
from fusion_daemon.demo.node import Node, NodeRefused, Sent, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.price import USD_SCALE
from tests.integration.crosschain.seen import networks_of

ONE, TWO = ChainId(31_337), ChainId(31_338)
OWNER = Address(keccak(text="owner of remote credit")[12:])
CREDIT: int = 100 * USD_SCALE
FINAL = 64
"""Blocks behind the head that anvil calls final, unless it is told otherwise."""
WAYS = ("axelar", "1.5", "1.6", "2.0")
_FEE = 10**17
_TERM = 30 * 86_400
_PAUSE_INBOUND = 2


class Pair:
    """Synchronous: the nodes are asked over one connection each."""

    def __init__(self, links: tuple[Link, Link]) -> None:
        self.links = links
        self.nodes = [link.deployment.node for link in links]
        self._snapshots = [node.call("evm_snapshot") for node in self.nodes]
        self.first_blocks = [self.height(side) for side in (0, 1)]
        self.deadline = int(str(self._block(0, "latest")["timestamp"]), 16) + _TERM

    def reset(self) -> None:
        """Both chains as they were when everything was deployed. A snapshot serves once."""
        for side, node in enumerate(self.nodes):
            assert node.call("evm_revert", self._snapshots[side]) is True
            self._snapshots[side] = node.call("evm_snapshot")

    def networks(self) -> Networks:
        return networks_of(*self.links)

    # Acting

    def lock(self, side: int, way: str, credit: int = CREDIT) -> Hash32:
        """Credit on the other chain by way of a bridge; the lock's reference."""
        self._choose(side, way)
        return self.links[side].lock(OWNER, 10**18, credit, self.chain(1 - side), _bridge(way), self.deadline)

    def lock_transaction(self, side: int, way: str, credit: int = CREDIT) -> Sent:
        self._choose(side, way)
        link = self.links[side]
        call = call_data(
            "lock(address,uint256,uint256,uint64,bytes32,uint64)",
            *(link.deployment.weth, 10**18, credit, self.chain(1 - side), _bridge(way), self.deadline),
        )
        return Sent(OWNER, link.credit, call, _FEE)

    def release(self, side: int, reference: Hash32, way: str, credit: int = CREDIT) -> None:
        self._choose(side, way)
        self.links[side].release(OWNER, reference, credit, _bridge(way))

    def pause(self, side: int, way: str, paused: bool) -> None:
        """What arrives over this bridge is stored as long as it is paused."""
        what = "pause(bytes32,uint8)" if paused else "unpause(bytes32,uint8)"
        call = call_data(what, _bridge(way), _PAUSE_INBOUND)
        self.nodes[side].send(Sent(DESK, self.links[side].router, call))

    def retry(self, side: int, payload: bytes) -> bool:
        """False: the router did not have it stored, or its bridge is paused."""
        with suppress(NodeRefused):
            self.nodes[side].send(Sent(OWNER, self.links[side].router, call_data("retry(bytes)", payload)))
            return True
        return False

    def resend(self, side: int, payload: bytes, way: str) -> None:
        """The router of its source hands a message to a bridge once more."""
        self._choose(side, way)
        call = call_data("resend(bytes,bytes32,address)", payload, _bridge(way), OWNER)
        self.nodes[side].send(Sent(OWNER, self.links[side].router, call, _FEE))

    def mine(self, side: int, count: int = 1) -> None:
        self.nodes[side].call("anvil_mine", hex(count))

    def reorg(self, side: int, depth: int, *transactions: object) -> None:
        """The last `depth` blocks are replaced by others, empty but for (transaction request, place in the branch)."""
        self.nodes[side].call("anvil_reorg", depth, list(transactions))

    # Looking

    def transactions(self, side: int, depth: int) -> list[tuple[dict[str, str], int]]:
        """Of the last `depth` blocks, as they can be sent again, each with the place of its block among these."""
        first = self.height(side) - depth + 1
        calls = [("eth_getBlockByNumber", [hex(first + place), True]) for place in range(depth)]
        names = {"from": "from", "to": "to", "input": "data", "value": "value", "gas": "gas"}
        return [
            ({name: each[old] for old, name in names.items()}, place)
            for place, block in enumerate(self.nodes[side].batch(calls))
            if isinstance(block, dict)
            for each in block["transactions"]
        ]

    def chain(self, side: int) -> ChainId:
        return (ONE, TWO)[side]

    def height(self, side: int) -> int:
        return int(str(self.nodes[side].call("eth_blockNumber")), 16)

    def tip(self, side: int) -> bytes:
        return bytes.fromhex(str(self._block(side, "latest")["hash"])[2:])

    def hashes(self, side: int) -> set[bytes]:
        """Of all blocks of the chain as it is now."""
        count = self.height(side) + 1
        blocks = self.nodes[side].batch([("eth_getBlockByNumber", [hex(number), False]) for number in range(count)])
        return {bytes.fromhex(str(block["hash"])[2:]) for block in blocks if isinstance(block, dict)}

    def finalized(self, side: int) -> int:
        return int(str(self._block(side, "finalized")["number"]), 16)

    def _block(self, side: int, tag: str) -> dict[str, object]:
        block = self.nodes[side].call("eth_getBlockByNumber", tag, False)
        assert isinstance(block, dict)
        return block

    def _choose(self, side: int, way: str) -> None:
        generations: tuple[Generation, ...] = ("1.5", "1.6", "2.0")
        for generation in generations:
            if generation == way:
                self.links[side].bridge.use(generation, self.links[1 - side].bridge.selector)


@contextmanager
def open_pair(*, amplifier: bool = False, options: tuple[str, ...] = ()) -> Iterator[Pair]:
    # A base fee that never moves: then the same transactions make the same blocks, and a branch can come back.
    options = ("--gas-limit", "1000000000", "--base-fee", "0", *options)
    with anvil(ONE, options=options) as one, anvil(TWO, options=options) as two:
        nodes = (Node(one.url), Node(two.url))
        deployments = (deploy(nodes[0], ONE, 2_000 * USD_SCALE), deploy(nodes[1], TWO, 2_000 * USD_SCALE))
        links = join(deployments, amplifier=amplifier)
        for deployment in deployments:
            deposit(deployment, [Opening(OWNER, 1_000 * 10**18, OWNER, 0, 0)])
        for node in nodes:  # the same transactions make the same blocks, so that a branch can come back
            node.call("anvil_setBlockTimestampInterval", 1)
        yield Pair(links)
        for node in nodes:
            node.close()


def _bridge(way: str) -> bytes:
    return AXELAR if way == "axelar" else CCIP
