"""Rule: the transaction that is proposed for a message that failed on its destination applies it, once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from fusion_daemon.crosschain import (
    Flag,
    LaneTerms,
    LogReader,
    MessageTracker,
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
from fusion_daemon.demo.links import AXELAR, join
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.domain.price import USD_SCALE
from tests.integration.crosschain.seen import head, logs_of, networks_of

HOME, AWAY = ChainId(31_337), ChainId(31_338)
ALICE = Address(b"\xaa" * 20)
CREDIT = 1_000 * USD_SCALE
RECEIVING = 2
OPTIONS = ("--gas-limit", "1000000000", "--slots-in-an-epoch", "1")
LEAST_GAS = 10**18
"""Wei: above what the dev bridge asks for, so that every call pays too little."""
SLOW = LaneTerms(10**6, 10**6, 10**6, 10**6, 10**6, 10**6, 10**6, LEAST_GAS)


PAID = replace(SLOW, least_gas=0)
STUCK = 10**6
"""Unix seconds, as every block of these scenes is of second 0."""


class Scene:
    """A lock at home whose credit is on its way abroad."""

    def __init__(self, nodes: tuple[Node, Node], amplifier: bool) -> None:
        self.nodes = dict(zip((HOME, AWAY), nodes, strict=True))
        home, away = (deploy(node, chain, 2_000 * USD_SCALE) for chain, node in self.nodes.items())
        self.home, self.away = join((home, away), amplifier=amplifier)
        deposit(home, [Opening(ALICE, 10 * 10**18, ALICE, 0, 0)])
        self.faults = Faults()
        self.bridge = DevBridge((self.home.bridge, self.away.bridge), self.faults)
        self.networks = networks_of(self.home, self.away)

    def lock(self, bridge: bytes) -> None:
        deadline = head(self.nodes[HOME]).timestamp + 86_400
        self.home.lock(ALICE, 10**18, CREDIT, AWAY, bridge, deadline)
        self.carry()

    def carry(self) -> None:
        for _ in range(3):
            for node in self.nodes.values():
                node.call("anvil_mine", "0x8")
            self.bridge.step()

    def standing(self, lane: LaneTerms = SLOW, later: int = 0) -> tuple[Standing, MessageTracker]:
        """By all that both chains show now, so many seconds after the newest block."""
        tracker = MessageTracker(Rules(self.networks, Terms(lane, orphan_grace=10**6)))
        reader = LogReader(self.networks)
        for each in self.networks:
            reading = reader.read(logs_of(self.nodes[each.chain], each.chain))
            assert not reading.unreadable
            for one in reading.evidence:
                block = BlockRef(one.place.block_number, one.place.block_hash, one.place.timestamp)
                tracker.apply(each.chain, block, [one])
            tracker.finality(each.chain, 10**6)
        tracker.settle(max(head(node).timestamp for node in self.nodes.values()) + later)
        [standing] = tracker.standings()
        return standing, tracker

    def recover(self, lane: LaneTerms = SLOW, later: int = 0) -> RecoveryKind:
        standing, tracker = self.standing(lane, later)
        found = recovery_of(standing, tracker.evidence_of(standing.id), self.networks, DESK, Manual((), 0, 0))
        self.nodes[found.chain].send(Sent(DESK, found.to, found.data, LEAST_GAS if found.refundable else 0))
        return found.kind

    def credit(self) -> object:
        vault = self.away.deployment.vault
        return self.nodes[AWAY].view(vault, "creditLineOf(address)", ["uint256"], ALICE)[0]


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


def test_what_axelar_lost_goes_over_ccip_and_counts_once_when_axelar_finds_it_again(scene: Scene) -> None:
    scene.faults.drop = 1.0
    scene.lock(AXELAR)
    with pytest.raises(NotRecoverable, match="once it is stuck"):
        scene.recover(PAID)
    assert scene.recover(PAID, STUCK) is RecoveryKind.RESEND
    assert scene.standing(PAID)[0].flags == (Flag.RESENT,)
    scene.faults.drop = 0.0
    scene.carry()
    after = scene.standing(PAID)[0]
    assert (after.state, scene.credit()) == (State.EXECUTED_FINAL, CREDIT)
    assert after.flags == (Flag.REPLAY_REFUSED, Flag.RESENT)
