"""Rule: what CCIP's network could not deliver, or did not, is delivered once by the transaction that a retry proposes.

Other people's messages lie under the same commits, and the transaction is a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from eth_account import Account

from fusion_daemon.crosschain import Standing, State
from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip_manual import Manual, Verification
from fusion_daemon.crosschain.evidence import CcipSent
from fusion_daemon.crosschain.recovery import NotRecoverable, Recovery, RecoveryKind, recovery_of
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.bridge import DevBridge, Faults, Generation
from fusion_daemon.demo.bridge.deploy import THRESHOLD, VERIFIER, VERIFIER_KEY
from fusion_daemon.demo.bridge.sending import send_over_ccip
from fusion_daemon.demo.deploy import Opening, deploy, deposit
from fusion_daemon.demo.links import CCIP, GAS_LIMIT, join
from fusion_daemon.demo.node import Node, Sent
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from fusion_daemon.domain.price import USD_SCALE
from tests.integration.crosschain.two_chains import (
    ALICE,
    CREDIT,
    THIEF,
    WETH,
    TwoChains,
    logs_of,
    networks_of,
    watch,
)

CHAINS = (31_337, 31_338)
OPTIONS = ("--gas-limit", "1000000000", "--slots-in-an-epoch", "1")
NOBODY = Address(b"\x99" * 20)
COMMITTED: tuple[Generation, ...] = ("1.5", "1.6")
VERSIONS: tuple[Generation, ...] = (*COMMITTED, "2.0")


@dataclass(frozen=True)
class Scene:
    chains: TwoChains
    version: Generation

    def lock_among_others(self) -> None:
        """The credit's message is the third of five under one commit, and carried as far as the faults let it."""
        here, there = self.chains.here, self.chains.there
        here.bridge.use(self.version, there.bridge.selector)
        for number in range(5):
            if number == 2:
                self.chains.lock(CCIP)
            else:
                send_over_ccip(here.bridge, THIEF, there.bridge, NOBODY, bytes([number]), 50_000)
        self.chains.carry()

    def standing(self) -> Standing:
        return watch(self.chains).one(lambda each: each.envelope is not None)

    def recovery(self, manual: Manual | None = None) -> Recovery:
        told = watch(self.chains)
        standing = told.one(lambda each: each.envelope is not None)
        evidence = told.tracker.evidence_of(standing.id)
        return recovery_of(standing, evidence, networks_of(self.chains), NOBODY, manual or self.manual())

    def manual(self) -> Manual:
        told = watch(self.chains)
        found = ByKind(told.tracker.evidence_of(self.standing().id))
        [sent] = found.of(CcipSent)
        signature = bytes(Account.from_key(VERIFIER_KEY).unsafe_sign_hash(sent.message).signature)
        verifications = (Verification(VERIFIER, signature),) if self.version == "2.0" else ()
        links = (self.chains.here, self.chains.there)
        logs = [log for each in links for log in logs_of(each.deployment.node, ChainId(each.deployment.chain_id))]
        return Manual(logs, told.now, THRESHOLD, None, verifications)

    def send(self, found: Recovery) -> None:
        link = self.chains.there
        assert found.chain == link.deployment.chain_id
        node = link.deployment.node
        node.call("anvil_setBalance", hex_of(THIEF), hex(10**21))
        node.send(Sent(THIEF, found.to, found.data))

    def credit(self) -> object:
        link = self.chains.there.deployment
        return link.node.view(link.vault, "creditLineOf(address)", ["uint256"], ALICE)[0]


@pytest.fixture(scope="module")
def joined() -> Iterator[TwoChains]:
    with ExitStack() as stack:
        nodes = [Node(stack.enter_context(anvil(chain, options=OPTIONS)).url) for chain in CHAINS]
        for node in nodes:
            stack.callback(node.close)
        home, away = (deploy(node, chain, 2_000 * USD_SCALE) for node, chain in zip(nodes, CHAINS, strict=True))
        here, there = join((home, away))
        deposit(home, [Opening(ALICE, 10 * WETH, ALICE, 0, 0)])
        faults = Faults()
        yield TwoChains(here, there, faults, DevBridge((here.bridge, there.bridge), faults))


@pytest.fixture
def chains(joined: TwoChains) -> Iterator[TwoChains]:
    """Both chains as joined, whatever the test before did to them."""
    nodes = [link.deployment.node for link in (joined.here, joined.there)]
    marks = [node.call("evm_snapshot") for node in nodes]
    faults = Faults(seed=7)
    yield replace(joined, faults=faults, bridge=DevBridge((joined.here.bridge, joined.there.bridge), faults))
    for node, mark in zip(nodes, marks, strict=True):
        node.call("evm_revert", mark)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_failed_delivery_is_made_at_once_by_anyone(chains: TwoChains, version: Generation) -> None:
    scene = Scene(chains, version)
    chains.faults.starve = 1.0
    scene.lock_among_others()
    assert (scene.standing().state, scene.credit()) == (State.FAILED, 0)
    found = scene.recovery()
    assert (found.kind, found.to) == (RecoveryKind.MANUAL, chains.there.bridge.off_ramps[version])
    scene.send(found)
    assert scene.standing().state in (State.EXECUTED, State.EXECUTED_FINAL)
    after = chains.balances()
    assert scene.credit() == CREDIT
    with pytest.raises(NotRecoverable, match="Nothing is left"):
        scene.recovery()
    chains.carry()
    assert (scene.standing().state, chains.balances()) == (State.EXECUTED_FINAL, after)


@pytest.mark.parametrize("version", COMMITTED)
def test_what_the_network_left_alone_is_anyones_after_the_threshold(chains: TwoChains, version: Generation) -> None:
    scene = Scene(chains, version)
    chains.faults.drop = 1.0
    scene.lock_among_others()
    assert scene.standing().state is State.COMMITTED
    with pytest.raises(NotRecoverable, match="CCIP's network has"):
        scene.recovery()
    for link in (chains.here, chains.there):
        link.deployment.node.call("evm_increaseTime", THRESHOLD + 1)
        link.deployment.node.call("anvil_mine", "0x1")
    scene.send(scene.recovery())
    assert (scene.standing().progress, scene.credit()) == (State.EXECUTED, CREDIT)


def test_a_message_of_2_0_is_anyones_at_any_time_who_has_its_verifiers_answers(chains: TwoChains) -> None:
    scene = Scene(chains, "2.0")
    chains.faults.drop = 1.0
    scene.lock_among_others()
    assert scene.standing().state is State.SOURCE_FINAL
    manual = scene.manual()
    with pytest.raises(NotRecoverable, match="execution-inputs"):
        scene.recovery(Manual(manual.logs, manual.now, manual.after))
    scene.send(scene.recovery())
    assert (scene.standing().progress, scene.credit()) == (State.EXECUTED, CREDIT)


@pytest.mark.parametrize("version", COMMITTED)
def test_without_all_messages_of_the_commit_there_is_no_proof(chains: TwoChains, version: Generation) -> None:
    scene = Scene(chains, version)
    chains.faults.starve = 1.0
    scene.lock_among_others()
    manual = scene.manual()
    on_ramp = chains.here.bridge.on_ramps[version]
    [first, *_] = [log for log in manual.logs if log.emitter == on_ramp]
    fewer = [log for log in manual.logs if log is not first]
    with pytest.raises(NotRecoverable, match="not all stored"):
        scene.recovery(Manual(fewer, manual.now, manual.after))


@pytest.mark.parametrize("version", COMMITTED)
def test_a_commit_of_something_else_than_was_sent_is_not_executed(chains: TwoChains, version: Generation) -> None:
    scene = Scene(chains, version)
    chains.faults.wrong_source = NOBODY
    chains.faults.drop = 1.0
    scene.lock_among_others()
    with pytest.raises(NotRecoverable, match="not what its source shows"):
        scene.recovery()


@pytest.mark.parametrize("version", VERSIONS)
def test_the_gas_limit_is_the_one_asked_for_and_never_below_the_messages_own(
    chains: TwoChains, version: Generation
) -> None:
    scene = Scene(chains, version)
    chains.faults.starve = 1.0
    scene.lock_among_others()
    manual = scene.manual()
    with pytest.raises(NotRecoverable, match=str(GAS_LIMIT)):
        scene.recovery(Manual(manual.logs, manual.now, 0, GAS_LIMIT - 1, manual.verifications))
    named = scene.recovery(Manual(manual.logs, manual.now, 0, GAS_LIMIT + 7, manual.verifications))
    assert (GAS_LIMIT + 7).to_bytes(32) in named.data
    scene.send(named)
    assert scene.credit() == CREDIT
