"""A forged inbound message never changes a balance, and the operator is told.

The forgeries are made over the bridges' own contracts, as whoever holds a bridge's keys could make them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fusion_daemon.crosschain import Flag, Standing, State, id_of, write_envelope
from fusion_daemon.crosschain.alarms import alarm_of
from fusion_daemon.demo.deploy import DESK
from fusion_daemon.demo.links import AXELAR
from fusion_daemon.demo.node import Sent, call_data
from fusion_daemon.domain.alert import Severity
from fusion_daemon.domain.identifiers import Hash32
from tests.integration.crosschain.two_chains import (
    BRIDGES,
    CHAINS,
    OTHER,
    TwoChains,
    Watch,
    as_joined,
    joined_chains,
    watch,
)

HOURS = 3 * 3_600
"""Longer than any stage may take and than a source may be unread."""

each_bridge = pytest.mark.parametrize("bridge", BRIDGES, ids=lambda name: name.rstrip(b"\0").decode())


@pytest.fixture(scope="module")
def joined() -> Iterator[TwoChains]:
    with joined_chains() as chains:
        yield chains


@pytest.fixture
def chains(joined: TwoChains) -> Iterator[TwoChains]:
    with as_joined(joined) as fresh:
        yield fresh


@each_bridge
def test_a_grant_of_a_wrong_peer(chains: TwoChains, bridge: bytes) -> None:
    before, payload = chains.balances(), write_envelope(chains.grant())
    chains.say(bridge, payload, believed=False)
    assert chains.balances() == before
    told = watch(chains)
    standing = standing_of(told, id_of(payload))
    assert (standing.state, standing.progress) == (State.ORPHAN, None)
    assert Flag.FORGED in standing.flags
    assert alarm(told, standing) == ("message.orphan", Severity.CRITICAL)


@each_bridge
def test_a_replay_on_the_other_bridge(chains: TwoChains, bridge: bytes) -> None:
    reference = chains.lock(bridge)
    chains.carry()
    arrived = watch(chains)
    [genuine] = arrived.tracker.standings()
    assert genuine.applied
    assert genuine.envelope is not None
    before, lock = chains.balances(), chains.standing_of_lock(reference)
    chains.say(OTHER[bridge], write_envelope(genuine.envelope), believed=True)
    assert (chains.balances(), chains.standing_of_lock(reference)) == (before, lock)
    told = watch(chains)
    standing = standing_of(told, genuine.id)
    assert standing.applied
    assert {Flag.REPLAY_REFUSED, Flag.FORGED} <= set(standing.flags)
    assert alarm(told, standing) == ("message.forged", Severity.CRITICAL)


@each_bridge
def test_a_message_for_another_destination(chains: TwoChains, bridge: bytes) -> None:
    before, payload = chains.balances(), write_envelope(chains.grant(destination=CHAINS[0]))
    chains.say(bridge, payload, believed=True)
    assert chains.balances() == before
    told = watch(chains)
    assert refusals(chains) == 1
    standing = standing_of(told, id_of(payload))
    assert standing.state is State.ORPHAN
    assert Flag.FORGED in standing.flags
    assert alarm(told, standing) == ("message.orphan", Severity.CRITICAL)


@each_bridge
@pytest.mark.parametrize("size", [0, 100, 383, 385])
def test_a_malformed_payload(chains: TwoChains, bridge: bytes, size: int) -> None:
    before, payload = chains.balances(), (write_envelope(chains.grant()) + b"\0")[:size]
    chains.say(bridge, payload, believed=True)
    assert chains.balances() == before
    assert refusals(chains) == 1
    standing = standing_of(watch(chains), id_of(payload))
    assert not standing.applied
    assert Flag.REFUSED in standing.flags
    told = watch(chains, later=HOURS)
    standing = standing_of(told, id_of(payload))
    assert standing.state is State.ORPHAN
    assert alarm(told, standing) == ("message.orphan", Severity.CRITICAL)


@each_bridge
def test_an_execution_out_of_gas(chains: TwoChains, bridge: bytes) -> None:
    reference = chains.lock(bridge)
    before, lock = chains.balances(), chains.standing_of_lock(reference)
    chains.faults.starve = 1.0
    chains.carry()
    assert (chains.balances(), chains.standing_of_lock(reference)) == (before, lock)
    # Axelar's execution reverts and leaves no log: only the clock tells.
    told = watch(chains, later=HOURS if bridge == AXELAR else 0)
    [standing] = told.tracker.standings()
    assert standing.state is (State.STUCK if bridge == AXELAR else State.FAILED)
    assert not standing.applied
    assert alarm(told, standing) == (f"message.{standing.state.value}", Severity.WARNING)


@each_bridge
def test_a_message_while_its_bridge_is_paused(chains: TwoChains, bridge: bytes) -> None:
    inbound = 2
    router = chains.there.router
    chains.there.deployment.node.send(Sent(DESK, router, call_data("pause(bytes32,uint8)", bridge, inbound)))
    reference = chains.lock(bridge)
    before, lock = chains.balances(), chains.standing_of_lock(reference)
    chains.carry()
    assert (chains.balances(), chains.standing_of_lock(reference)) == (before, lock)
    told = watch(chains)
    [standing] = told.tracker.standings()
    assert standing.state is State.APP_FAILED
    assert alarm(told, standing) == ("message.app_failed", Severity.WARNING)


@each_bridge
def test_what_only_a_lying_bridge_can_do_is_seen_at_once(chains: TwoChains, bridge: bytes) -> None:
    """The limit of the rule, and the proof that these balances would show a forgery that works: a bridge that vouches
    for our own peer is believed. The lane's limits bound it, and the operator reads that no source of ours sent it."""
    before, payload = chains.balances(), write_envelope(chains.grant())
    chains.say(bridge, payload, believed=True)
    assert chains.balances() != before
    told = watch(chains)
    standing = standing_of(told, id_of(payload))
    assert standing.applied
    assert {Flag.FORGED, Flag.SOURCE_UNSEEN} <= set(standing.flags)
    assert alarm(told, standing) == ("message.forged", Severity.CRITICAL)


def refusals(chains: TwoChains) -> int:
    """How often the destination's router dropped something: the forgery came as far as that."""
    topic = topic_of("MessageRefused(bytes32,bytes32,uint64,uint64,bytes,bytes)")
    logs = chains.there.deployment.node.call("eth_getLogs", {"fromBlock": "0x0", "topics": [topic]})
    assert isinstance(logs, list)
    return len(logs)


def topic_of(signature: str) -> str:
    return "0x" + id_of(signature.encode()).hex()


def standing_of(told: Watch, message: Hash32) -> Standing:
    return told.one(lambda standing: standing.id == message)


def alarm(told: Watch, standing: Standing) -> tuple[str, Severity]:
    """What the operator is sent about a message."""
    [transition] = [each for each in told.transitions if each.id == standing.id]
    alert = alarm_of(transition, 1, told.now)
    assert alert is not None
    return alert.type, alert.severity
