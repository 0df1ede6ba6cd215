"""Put both ends of the dev bridge on two chains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eth_account import Account
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, hex_of, parse_address

Generation = Literal["1.5", "1.6", "2.0"]
"""Of CCIP."""

OPERATOR = Address(keccak(text="fusion prime dev bridge operator")[12:])
"""Relayer of both gateways, gas collector and CCIP's network."""
VERIFIER_KEY = keccak(text="fusion prime dev bridge verifier")
GAS_FEE = 10**15
"""Wei that Axelar's gas service and each on-ramp want for a message."""
THRESHOLD = 3_600
"""Seconds after which anyone may execute a CCIP message that the network left alone."""
VERIFIER = parse_address(str(Account.from_key(VERIFIER_KEY).address))
_SELECTORS = (16015286601757825753, 10344971235874465080)
_NAMES = ("dev-one", "dev-two")


@dataclass(frozen=True, slots=True)
class BridgeChain:
    """The bridge's contracts on one chain. `name` is Axelar's of the chain, `selector` CCIP's."""

    node: Node
    chain_id: int
    name: str
    selector: int
    gateway: Address
    """Axelar's classic gateway."""
    amplifier: Address
    gas_service: Address
    router: Address
    on_ramps: dict[Generation, Address]
    off_ramps: dict[Generation, Address]
    commit_store: Address

    def use(self, generation: Generation, destination: int) -> None:
        """From now on the router sends over this generation. All generations' off-ramps stay open."""
        ramp = self.on_ramps[generation]
        self.node.send(Sent(OPERATOR, self.router, call_data("setOnRamp(uint64,address)", destination, ramp)))


def deploy_bridge(nodes: tuple[Node, Node], generation: Generation = "1.6") -> tuple[BridgeChain, BridgeChain]:
    """Both ends, every generation, the given one in use. Two anvils that impersonate on demand."""
    sources = [_sources(node, here, 1 - here) for here, node in enumerate(nodes)]
    one, two = (_destinations(sources[here], sources[1 - here]) for here in (0, 1))
    for here, there in ((one, two), (two, one)):
        call = call_data("setOffRamp(address)", there.off_ramps["2.0"])
        here.node.send(Sent(OPERATOR, here.on_ramps["2.0"], call))
        here.use(generation, there.selector)
    return one, two


@dataclass(frozen=True, slots=True)
class _Source:
    """A chain's end without the off-ramps, which must know the other chain's on-ramps."""

    node: Node
    name: str
    selector: int
    router: Address
    on_ramps: dict[Generation, Address]


def _sources(node: Node, here: int, there: int) -> _Source:
    node.call("anvil_autoImpersonateAccount", True)
    node.call("anvil_setBalance", hex_of(OPERATOR), hex(10**24))
    router = _create(node, "DevCcipRouter")
    lane = (router, _SELECTORS[here], _SELECTORS[there], GAS_FEE)
    types = ("address", "uint64", "uint64", "uint256")
    on_ramps: dict[Generation, Address] = {
        "1.5": _create(node, "DevOnRamp15", types, *lane),
        "1.6": _create(node, "DevOnRamp16", types, *lane),
        "2.0": _create(node, "DevOnRamp20", (*types, "address"), *lane, VERIFIER),
    }
    return _Source(node, _NAMES[here], _SELECTORS[here], router, on_ramps)


def _destinations(here: _Source, there: _Source) -> BridgeChain:
    node = here.node
    store = _create(node, "DevCommitStore15")
    lanes = {version: (here.router, there.selector, here.selector, ramp) for version, ramp in there.on_ramps.items()}
    types = ("address", "uint64", "uint64", "address")
    off_ramps: dict[Generation, Address] = {
        "1.5": _create(node, "DevOffRamp15", (*types, "uint256", "address"), *lanes["1.5"], THRESHOLD, store),
        "1.6": _create(node, "DevOffRamp16", (*types, "uint256"), *lanes["1.6"], THRESHOLD),
        "2.0": _create(node, "DevOffRamp20", (*types, "address"), *lanes["2.0"], VERIFIER),
    }
    for ramp in off_ramps.values():
        node.send(Sent(OPERATOR, here.router, call_data("addOffRamp(uint64,address)", there.selector, ramp)))
    return BridgeChain(
        node=node,
        chain_id=int(str(node.call("eth_chainId")), 16),
        name=here.name,
        selector=here.selector,
        gateway=_create(node, "DevAxelarGateway"),
        amplifier=_create(node, "DevAmplifierGateway"),
        gas_service=_create(node, "DevGasService", ("uint256",), GAS_FEE),
        router=here.router,
        on_ramps=here.on_ramps,
        off_ramps=off_ramps,
        commit_store=store,
    )


def _create(node: Node, name: str, types: Sequence[str] = (), *arguments: object) -> Address:
    return node.deploy(OPERATOR, load_artifact(name).bytecode, types, *arguments)
