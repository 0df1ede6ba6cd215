"""Rule: the transaction that is proposed for a message that failed on its destination applies it, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fusion_daemon.crosschain import (
    AxelarContracts,
    CcipContracts,
    Flag,
    LaneTerms,
    LogReader,
    MessageTracker,
    Network,
    Networks,
    Place,
    RawLog,
    Rules,
    Standing,
    State,
    Terms,
)
from fusion_daemon.crosschain.ccip_manual import Manual
from fusion_daemon.crosschain.recovery import NotRecoverable, RecoveryKind, recovery_of
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.bridge import DevBridge, Faults
from fusion_daemon.demo.deploy import DESK, Opening, deploy, deposit
from fusion_daemon.demo.links import AXELAR, Link, join
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32, hex_of
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.domain.price import USD_SCALE

HOME, AWAY = ChainId(31_337), ChainId(31_338)
ALICE = Address(b"\xaa" * 20)
CREDIT = 1_000 * USD_SCALE
RECEIVING = 2
OPTIONS = ("--gas-limit", "1000000000", "--slots-in-an-epoch", "1")
LEAST_GAS = 10**18
"""Wei: above what the dev bridge asks for, so that every call pays too little."""
SLOW = LaneTerms(10**6, 10**6, 10**6, 10**6, 10**6, 10**6, 10**6, LEAST_GAS)


class Scene:
    """A lock at home whose credit is on its way abroad."""

    def __init__(self, nodes: tuple[Node, Node], amplifier: bool) -> None:
        self.nodes = dict(zip((HOME, AWAY), nodes, strict=True))
        home, away = (deploy(node, chain, 2_000 * USD_SCALE) for chain, node in self.nodes.items())
        self.home, self.away = join((home, away), amplifier=amplifier)
        deposit(home, [Opening(ALICE, 10 * 10**18, ALICE, 0, 0)])
        self.faults = Faults()
        self.bridge = DevBridge((self.home.bridge, self.away.bridge), self.faults)
        self.networks = Networks([network(self.home, HOME), network(self.away, AWAY)])

    def lock(self, bridge: bytes) -> None:
        head = self.nodes[HOME].call("eth_getBlockByNumber", "latest", False)
        assert isinstance(head, dict)
        self.home.lock(ALICE, 10**18, CREDIT, AWAY, bridge, int(head["timestamp"], 16) + 86_400)
        self.carry()

    def carry(self) -> None:
        for _ in range(3):
            for node in self.nodes.values():
                node.call("anvil_mine", "0x8")
            self.bridge.step()

    def standing(self) -> tuple[Standing, MessageTracker]:
        """By all that both chains show now."""
        tracker = MessageTracker(Rules(self.networks, Terms(SLOW, orphan_grace=10**6)))
        reader = LogReader(self.networks)
        for each in self.networks:
            for block, logs in blocks(self.nodes[each.chain], each).items():
                reading = reader.read(logs)
                assert not reading.unreadable
                tracker.apply(each.chain, block, reading.evidence)
            tracker.finality(each.chain, 10**6)
        tracker.settle(0)
        [standing] = tracker.standings()
        return standing, tracker

    def recover(self) -> RecoveryKind:
        standing, tracker = self.standing()
        found = recovery_of(standing, tracker.evidence_of(standing.id), self.networks, DESK, Manual((), 0, 0))
        self.nodes[found.chain].send(Sent(DESK, found.to, found.data, LEAST_GAS if found.refundable else 0))
        return found.kind

    def credit(self) -> object:
        vault = self.away.deployment.vault
        return self.nodes[AWAY].view(vault, "creditLineOf(address)", ["uint256"], ALICE)[0]


def network(link: Link, chain: ChainId) -> Network:
    bridge = link.bridge
    return Network(
        chain,
        link.router,
        AxelarContracts(bridge.name, link.gateway, bridge.gas_service, link.axelar),
        CcipContracts(
            bridge.selector,
            (bridge.on_ramps["1.6"],),
            (bridge.off_ramps["1.6"],),
            link.ccip,
        ),
    )


def blocks(node: Node, network: Network) -> dict[BlockRef, list[RawLog]]:
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": [hex_of(each) for each in network.emitters]}
    entries = node.call("eth_getLogs", query)
    assert isinstance(entries, list)
    found: dict[BlockRef, list[RawLog]] = {}
    for entry in entries:
        receipt = node.call("eth_getTransactionReceipt", entry["transactionHash"])
        assert isinstance(receipt, dict)
        number, index = int(entry["blockNumber"], 16), int(entry["logIndex"], 16)
        first = int(receipt["logs"][0]["logIndex"], 16)
        block = BlockRef(number, octets(entry["blockHash"]), 0)
        place = Place(network.chain, block.hash, number, 0, octets(entry["transactionHash"]), index, index - first)
        topics = tuple(bytes(octets(each)) for each in entry["topics"])
        log = RawLog(place, Address(octets(entry["address"])), topics, octets(entry["data"]))
        found.setdefault(block, []).append(log)
    return found


def octets(text: str) -> Hash32:
    return Hash32(bytes.fromhex(text[2:]))


@pytest.fixture(params=[False, True], ids=["classic", "amplifier"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with ExitStack() as stack:
        one, two = (Node(stack.enter_context(anvil(chain, options=OPTIONS)).url) for chain in (HOME, AWAY))
        yield Scene((one, two), request.param)
        one.close()
        two.close()


def test_what_a_paused_router_stored_is_applied_by_the_retry(scene: Scene) -> None:
    pause = Sent(DESK, scene.away.router, call_data("pause(bytes32,uint8)", AXELAR, RECEIVING))
    scene.nodes[AWAY].send(pause)
    scene.lock(AXELAR)
    assert (scene.standing()[0].state, scene.credit()) == (State.APP_FAILED, 0)
    scene.nodes[AWAY].send(Sent(DESK, scene.away.router, call_data("unpause(bytes32,uint8)", AXELAR, RECEIVING)))
    assert scene.recover() is RecoveryKind.RETRY
    assert (scene.standing()[0].progress, scene.credit()) == (State.EXECUTED_FINAL, CREDIT)


def test_an_approval_whose_execution_ran_out_of_gas_is_taken(scene: Scene) -> None:
    scene.faults.starve = 1.0
    scene.lock(AXELAR)
    assert (scene.standing()[0].state, scene.credit()) == (State.APPROVED, 0)
    assert scene.recover() is RecoveryKind.EXECUTE
    assert (scene.standing()[0].state, scene.credit()) == (State.EXECUTED_FINAL, CREDIT)
    with pytest.raises(NotRecoverable):
        scene.recover()
    scene.carry()
    assert (scene.standing()[0].state, scene.credit()) == (State.EXECUTED_FINAL, CREDIT)


def test_a_call_that_paid_too_little_is_topped_up(scene: Scene) -> None:
    scene.faults.drop = 1.0
    scene.lock(AXELAR)
    before = scene.standing()[0]
    assert (before.state, before.flags) == (State.SOURCE_FINAL, (Flag.GAS_LOW,))
    assert scene.recover() is RecoveryKind.GAS
    assert scene.standing()[0].flags == ()
