"""The dev bridge between two real chains: every flavour carries, every fault does what it says and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trio
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.bridge import BridgeChain, DevBridge, Faults, Generation, Held, Key, deploy_bridge
from fusion_daemon.demo.bridge.deploy import GAS_FEE, OPERATOR
from fusion_daemon.demo.bridge.sending import calls_of, send_over_axelar, send_over_ccip, top_up
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, hex_of

SENDER, STRANGER = (Address(keccak(text=f"dev bridge {name}")[12:]) for name in ("sender", "stranger"))
PAYLOAD = keccak(text="payload") * 12
FINAL = 2
"""Blocks that make what is in the one before them final, with one slot in an epoch."""
ARRIVED = keccak(text="Arrived(uint256,bytes32,string,bytes,bytes)")
APPROVED = keccak(text="ContractCallApproved(bytes32,string,string,address,bytes32,bytes32,uint256)")
GATEWAYS = ("gateway", "amplifier")
FLAVOURS = (*GATEWAYS, "1.5", "1.6", "2.0")
GENERATIONS: tuple[Generation, ...] = ("1.5", "1.6", "2.0")


@dataclass(slots=True)
class World:
    here: BridgeChain
    there: BridgeChain
    faults: Faults
    bridge: DevBridge
    apps: dict[str, tuple[Address, Address]]
    """One application an Axelar gateway, here and there; both take CCIP."""

    def send(self, flavour: str, payload: bytes = PAYLOAD) -> Key:
        """Paid for, and not yet final."""
        if flavour in GATEWAYS:
            return self.call(flavour, payload, GAS_FEE)
        for generation in GENERATIONS:
            if generation == flavour:
                self.here.use(generation, self.there.selector)
        return send_over_ccip(self.here, SENDER, self.there, self.apps["gateway"][1], payload, 100_000)

    def call(self, gateway: str, payload: bytes, paid: int) -> Key:
        (key,) = self.calls(gateway, payload, paid, 1)
        return key

    def call_of(self, gateway: str, payload: bytes, paid: int, times: int) -> Sent:
        here, there = self.apps[gateway]
        signature = "callAxelar(address,string,string,bytes,uint256)"
        data = call_data(signature, self.here.gas_service, self.there.name, hex_of(there), payload, times)
        self.here.node.call("anvil_setBalance", hex_of(SENDER), hex(10**21))
        return Sent(SENDER, here, data, value=paid * times)

    def calls(self, gateway: str, payload: bytes, paid: int, times: int) -> list[Key]:
        (receipt,) = self.here.node.send(self.call_of(gateway, payload, paid, times))
        return calls_of(receipt)

    def settle(self, chain: BridgeChain | None = None) -> None:
        (chain or self.here).node.call("anvil_mine", hex(FINAL))

    def step(self) -> None:
        self.settle()
        self.bridge.step()

    def arrivals(self, chain: BridgeChain | None = None) -> list[tuple[bytes, bytes]]:
        """(sender, payload) in the order of arrival; senders as 20 bytes."""
        query = {"fromBlock": "0x0", "topics": [hex_of(ARRIVED)]}
        logs = (chain or self.there).node.call("eth_getLogs", query)
        assert isinstance(logs, list)
        return [arrival(bytes.fromhex(log["data"][2:])) for log in logs]

    def payloads(self) -> list[bytes]:
        return [payload for _, payload in self.arrivals()]

    def broken(self, flavour: str, broken: bool) -> None:
        app = self.apps[flavour if flavour in GATEWAYS else "gateway"][1]
        self.there.node.send(Sent(OPERATOR, app, call_data("setBroken(bool)", broken)))


def arrival(data: bytes) -> tuple[bytes, bytes]:
    _, sender, payload = decode(["string", "bytes", "bytes"], data)
    return (bytes.fromhex(sender[2:].decode()) if sender.startswith(b"0x") else sender[12:]), payload


@pytest.fixture
def world() -> Iterator[World]:
    options = ("--slots-in-an-epoch", "1")
    with anvil(31_337, options=options) as one, anvil(31_338, options=options) as two:
        nodes = (Node(one.url), Node(two.url))
        chains = deploy_bridge(nodes)
        apps = {name: (app(chains[0], name), app(chains[1], name)) for name in GATEWAYS}
        faults = Faults(seed=7)
        yield World(*chains, faults, DevBridge(chains, faults), apps)
        for node in nodes:
            node.close()


def app(chain: BridgeChain, gateway: str) -> Address:
    arguments = (chain.gateway if gateway == "gateway" else chain.amplifier, chain.router)
    return chain.node.deploy(OPERATOR, load_artifact("DevReceiver").bytecode, ("address", "address"), *arguments)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_message_arrives_once_when_its_source_is_final(world: World, flavour: str) -> None:
    world.send(flavour)
    world.bridge.step()
    assert world.arrivals() == []
    for _ in range(3):
        world.step()
    sender = world.apps[flavour][0] if flavour in GATEWAYS else SENDER
    assert world.arrivals() == [(sender, PAYLOAD)]
    assert world.bridge.held == {}


def test_the_way_back_and_a_depth_of_ones_own(world: World) -> None:
    eager = DevBridge((world.here, world.there), world.faults, depth=0)
    back = world.apps["gateway"][0]
    send_over_ccip(world.there, SENDER, world.here, back, PAYLOAD, 100_000)
    eager.step()
    assert world.arrivals(world.here) == [(SENDER, PAYLOAD)]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_equal_calls_of_one_transaction_all_arrive(world: World, gateway: str) -> None:
    # gas, call, gas, call, gas, call: places 1, 3, 5
    keys = world.calls(gateway, PAYLOAD, GAS_FEE, 3)
    assert [key.position for key in keys] == [1, 3, 5]
    world.step()
    assert world.payloads() == [PAYLOAD] * 3


def test_a_call_is_named_by_its_place_in_the_receipt_not_in_the_block(world: World) -> None:
    # One block: gas, call | gas, call, gas, call. The same places 1 and 3 in each receipt.
    sent = (world.call_of("gateway", PAYLOAD, GAS_FEE, 1), world.call_of("gateway", PAYLOAD, GAS_FEE, 2))
    first, second = world.here.node.send(*sent)
    assert first["blockNumber"] == second["blockNumber"]
    keys = [*calls_of(first), *calls_of(second)]
    assert [key.position for key in keys] == [1, 1, 3]
    world.faults.drop = 1.0
    world.step()
    assert world.bridge.held == dict.fromkeys(keys, Held.DROPPED)
    world.faults.drop = 0.0
    world.step()
    logs = world.there.node.call("eth_getLogs", {"fromBlock": "0x0", "topics": [hex_of(APPROVED)]})
    assert isinstance(logs, list)
    types = ["string", "string", "bytes32", "uint256"]
    told = [decode(types, bytes.fromhex(log["data"][2:]))[2:] for log in logs]
    assert told == [(key.tx_hash, key.position) for key in keys]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_messages_under_one_root(world: World, generation: Generation) -> None:
    sent = [bytes([each]) for each in range(1, 6)]
    for payload in sent:
        world.send(generation, payload)
    world.step()
    assert world.payloads() == sent
    world.send(generation, b"later")
    world.step()
    assert world.payloads() == [*sent, b"later"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_dropped_message_arrives_when_resumed(world: World, flavour: str) -> None:
    world.faults.drop = 1.0
    key = world.send(flavour)
    world.step()
    world.step()
    assert world.bridge.held == {key: Held.DROPPED}
    assert world.arrivals() == []
    world.bridge.resume(key)
    world.step()
    assert world.payloads() == [PAYLOAD]
    assert world.bridge.held == {}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_duplicate_changes_nothing(world: World, flavour: str) -> None:
    world.faults.duplicate = 1.0
    world.send(flavour)
    before = height(world.there)
    world.step()
    assert height(world.there) - before >= (4 if flavour in GATEWAYS else 2)  # each sent twice
    assert world.payloads() == [PAYLOAD]
    assert world.bridge.held == {}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_delay_counts_in_steps_and_reordering_reverses_two(world: World, flavour: str) -> None:
    world.faults.delay, world.faults.reorder = 2, True
    world.send(flavour, b"first")
    world.send(flavour, b"second")
    world.step()
    world.step()
    assert world.arrivals() == []
    assert list(world.bridge.held.values()) == [Held.DELAYED] * 2
    world.step()
    assert world.payloads() == [b"second", b"first"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_too_little_gas_fails_once_and_is_retried_on_request(world: World, flavour: str) -> None:
    world.faults.starve = 1.0
    key = world.send(flavour)
    world.step()
    world.step()
    assert world.bridge.held == {key: Held.FAILED}
    assert world.arrivals() == []
    if flavour in GENERATIONS:
        assert state(world, flavour) == 3
    world.bridge.resume(key)
    world.step()
    assert world.payloads() == [PAYLOAD]
    if flavour in GENERATIONS:
        assert state(world, flavour) == 2


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_application_that_refuses_can_be_retried_until_it_takes(world: World, flavour: str) -> None:
    key = world.send(flavour)
    world.broken(flavour, True)
    world.step()
    world.bridge.resume(key)
    world.step()
    assert world.bridge.held == {key: Held.FAILED}
    world.broken(flavour, False)
    world.step()
    assert world.arrivals() == []  # nobody asked
    world.bridge.resume(key)
    world.step()
    assert world.payloads() == [PAYLOAD]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_network_that_starts_anew_leaves_a_failure_to_whoever_resumes_it(
    world: World, generation: Generation
) -> None:
    key = world.send(generation)
    world.broken(generation, True)
    world.step()
    world.broken(generation, False)
    anew = DevBridge((world.here, world.there), Faults())
    anew.step()
    assert anew.held == {key: Held.FAILED}
    assert world.arrivals() == []
    anew.resume(key)
    anew.step()
    assert world.payloads() == [PAYLOAD]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_underpaid_call_waits_for_its_top_up(world: World, gateway: str) -> None:
    key = world.call(gateway, PAYLOAD, GAS_FEE - 1)
    world.step()
    assert world.bridge.held == {key: Held.UNDERPAID}
    top_up(world.here, key, 1)
    world.step()
    assert world.payloads() == [PAYLOAD]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_wrong_source_is_told_in_place_of_the_true_one(world: World, flavour: str) -> None:
    world.faults.wrong_source = STRANGER
    world.send(flavour)
    world.step()
    world.step()
    assert world.arrivals() == [(STRANGER, PAYLOAD)]


def test_the_same_payload_over_a_second_bridge(world: World) -> None:
    """The same sender, as a stolen or mistaken adapter would: both bridges carry it."""
    sender = world.apps["gateway"][0]
    world.send("gateway")
    send_over_ccip(world.here, sender, world.there, world.apps["gateway"][1], PAYLOAD, 100_000)
    other = send_over_axelar(world.here, world.here.amplifier, sender, world.there, world.apps["amplifier"][1], PAYLOAD)
    top_up(world.here, other, GAS_FEE)
    world.step()
    assert world.arrivals() == [(sender, PAYLOAD)] * 3


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_source_that_vanished_is_forgotten_and_its_successor_carried(world: World, flavour: str) -> None:
    world.faults.drop = 1.0
    key = world.send(flavour)
    world.step()
    assert world.bridge.held == {key: Held.DROPPED}
    world.here.node.call("anvil_reorg", FINAL + 1, [])
    world.bridge.step()
    assert world.bridge.held == {}
    world.faults.drop = 0.0
    world.send(flavour, b"successor")
    world.step()
    assert b"successor" in world.payloads()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_destination_that_forgot_is_told_again(world: World, flavour: str) -> None:
    world.settle(world.there)
    before = height(world.there)
    world.send(flavour)
    world.step()
    assert world.payloads() == [PAYLOAD]
    world.there.node.call("anvil_reorg", height(world.there) - before, [])
    assert world.arrivals() == []
    world.step()
    assert world.payloads() == [PAYLOAD]


async def test_it_runs_by_itself_until_it_is_cancelled(world: World) -> None:
    world.send("gateway")
    world.settle()
    there = Node(world.there.node.url)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.bridge.run, 0.01)
            while not there.call("eth_getLogs", {"fromBlock": "0x0", "topics": [hex_of(ARRIVED)]}):  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    there.close()
    assert world.payloads() == [PAYLOAD]


def test_one_seed_strikes_the_same_messages(world: World) -> None:
    keys = [world.call("gateway", bytes([each]), GAS_FEE) for each in range(20)]

    def struck(seed: int) -> list[bool]:
        return [Faults(seed).strikes("drop", 0.5, key) for key in keys]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 0 < sum(struck(1)) < 20


def height(chain: BridgeChain) -> int:
    return int(str(chain.node.call("eth_blockNumber")), 16)


def state(world: World, generation: str) -> object:
    """Of the first message over the lane."""
    topics = {
        "1.5": "ExecutionStateChanged(uint64,bytes32,uint8,bytes)",
        "1.6": "ExecutionStateChanged(uint64,uint64,bytes32,bytes32,uint8,bytes,uint256)",
        "2.0": "ExecutionStateChanged(uint64,uint64,bytes32,uint8,bytes)",
    }
    logs = world.there.node.call(
        "eth_getLogs", {"fromBlock": "0x0", "topics": [hex_of(keccak(text=topics[generation]))]}
    )
    assert isinstance(logs, list)
    return decode(["bytes32", "uint8"] if generation == "1.6" else ["uint8"], bytes.fromhex(logs[-1]["data"][2:]))[-1]
