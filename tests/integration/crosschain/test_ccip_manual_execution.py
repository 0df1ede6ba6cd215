"""Rule: what CCIP's network could not deliver, or did not, is delivered once by the transaction that a retry proposes.

Other people's messages lie under the same commits, and the transaction is a stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fusion_daemon.crosschain import State
from fusion_daemon.crosschain.ccip_manual import Manual
from fusion_daemon.crosschain.recovery import NotRecoverable, RecoveryKind
from fusion_daemon.demo.bridge import Generation
from fusion_daemon.demo.bridge.deploy import THRESHOLD
from fusion_daemon.demo.links import GAS_LIMIT
from fusion_daemon.domain.identifiers import hex_of
from tests.integration.crosschain.ccip_scene import COMMITTED, NOBODY, VERSIONS, Scene
from tests.integration.crosschain.two_chains import CREDIT, TwoChains, as_joined, joined_chains


@pytest.fixture(scope="module")
def joined() -> Iterator[TwoChains]:
    with joined_chains() as chains:
        yield chains


@pytest.fixture
def chains(joined: TwoChains) -> Iterator[TwoChains]:
    with as_joined(joined) as fresh:
        yield fresh


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


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_node_estimates_is_too_little_and_the_floor_is_enough(chains: TwoChains, version: Generation) -> None:
    """An off-ramp that cannot hand the receiver its gas notes a failure of an untouched message, and returns."""
    scene = Scene(chains, version)
    chains.faults.drop = 1.0
    scene.lock_among_others()
    manual = scene.manual()
    found = scene.recovery(Manual(manual.logs, manual.now + THRESHOLD + 1, 0, None, manual.verifications))
    node = chains.there.deployment.node
    node.call("evm_increaseTime", THRESHOLD + 1)
    node.call("anvil_mine", "0x1")
    request = {"from": hex_of(NOBODY), "to": hex_of(found.to), "data": hex_of(found.data)}
    estimate = int(str(node.call("eth_estimateGas", request)), 16)
    scene.send(replace(found, gas_floor=estimate * 6 // 5))
    assert (scene.standing().progress, scene.credit()) == (State.FAILED, 0)
    scene.send(scene.recovery())
    assert scene.credit() == CREDIT
