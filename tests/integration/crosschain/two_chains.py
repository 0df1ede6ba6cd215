"""Two joined chains in a test: what an attacker says over their bridges, and what the operator reads of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from eth_utils.crypto import keccak

from fusion_daemon.crosschain import (
    Envelope,
    Kind,
    LogReader,
    MessageTracker,
    Rules,
    Standing,
    Terms,
    Transition,
)
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.bridge import DevBridge, Faults
from fusion_daemon.demo.bridge.deploy import GAS_FEE
from fusion_daemon.demo.bridge.sending import send_over_axelar, send_over_ccip, top_up
from fusion_daemon.demo.deploy import Opening, deploy, deposit
from fusion_daemon.demo.links import AXELAR, CCIP, GAS_LIMIT, Link, join
from fusion_daemon.demo.node import Node
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.domain.price import USD_SCALE
from tests.integration.crosschain.seen import head, logs_of, networks_of

ALICE, THIEF = (Address(keccak(text=f"forged messages {name}")[12:]) for name in ("alice", "thief"))
CHAINS = (31_337, 31_338)
OPTIONS = ("--gas-limit", "1000000000", "--slots-in-an-epoch", "1")
BRIDGES = (AXELAR, CCIP)
OTHER = {AXELAR: CCIP, CCIP: AXELAR}
WETH = 10**18
CREDIT = 1_000 * USD_SCALE
_UNUSED = 77
"""A number that the home router and its lock contract have not come to."""
STEPS = 3
"""Of the bridge: a commit, an execution, and one more in which nothing may happen."""


@dataclass(frozen=True, slots=True)
class TwoChains:
    here: Link
    there: Link
    faults: Faults
    bridge: DevBridge

    def lock(self, bridge: bytes) -> Hash32:
        deadline = head(self.here.deployment.node).timestamp + 86_400
        return self.here.lock(ALICE, WETH, CREDIT, self.there.deployment.chain_id, bridge, deadline)

    def grant(self, destination: int | None = None) -> Envelope:
        """What the contracts at home never said: credit for the thief."""
        home = self.here.deployment
        return Envelope(
            source=ChainId(home.chain_id),
            source_app=self.here.credit,
            destination=ChainId(self.there.deployment.chain_id if destination is None else destination),
            destination_app=self.there.credit,
            nonce=_UNUSED,
            kind=Kind.GRANT,
            account=THIEF,
            asset=home.weth,
            amount=CREDIT,
            deadline=head(home.node).timestamp + 86_400,
            ref=(home.chain_id << 192 | int.from_bytes(self.here.credit) << 32 | _UNUSED).to_bytes(32),
        )

    def carry(self) -> None:
        for _ in range(STEPS):
            for link in (self.here, self.there):
                link.deployment.node.call("anvil_mine", "0x4")
            self.bridge.step()

    def say(self, bridge: bytes, payload: bytes, *, believed: bool) -> None:
        """The thief sends a payload to our adapter. `believed`: the bridge lies that our own adapter sent it."""
        here, there = self.here, self.there
        own, far = (here.axelar, there.axelar) if bridge == AXELAR else (here.ccip, there.ccip)
        self.faults.wrong_source = own if believed else None
        if bridge == AXELAR:
            key = send_over_axelar(here.bridge, here.gateway, THIEF, there.bridge, far, payload)
            top_up(here.bridge, key, GAS_FEE)
        else:
            send_over_ccip(here.bridge, THIEF, there.bridge, far, payload, GAS_LIMIT)
        self.carry()

    def balances(self) -> tuple[object, ...]:
        """All that a message could move on either chain: credit, collateral, debt and tokens of everybody."""
        return tuple(each for link in (self.here, self.there) for each in _balances(link))

    def standing_of_lock(self, reference: Hash32) -> tuple[object, ...]:
        returns = ["address", "uint64", "address", "uint64", "uint256", "uint256"]
        return self.here.deployment.node.view(self.here.credit, "lockOf(bytes32)", returns, reference)


def _balances(link: Link) -> list[object]:
    home, node = link.deployment, link.deployment.node
    found: list[object] = []
    for owner in (ALICE, THIEF, link.credit):
        found += node.view(home.vault, "creditLineOf(address)", ["uint256"], owner)
        found += node.view(home.vault, "collateralOf(address,address)", ["uint256"], owner, home.weth)
        found += node.view(home.vault, "debtOf(address,address)", ["uint256"], owner, home.usdc)
    for token in (home.weth, home.usdc):
        for owner in (ALICE, THIEF, link.credit, home.vault):
            found += node.view(token, "balanceOf(address)", ["uint256"], owner)
    return found


@dataclass(frozen=True, slots=True)
class Watch:
    """The operator's view: all logs of both chains through the daemon's own reader and tracker."""

    tracker: MessageTracker
    transitions: list[Transition]
    now: int

    def one(self, wanted: Callable[[Standing], bool]) -> Standing:
        [found] = [each for each in self.tracker.standings() if wanted(each)]
        return found


def watch(chains: TwoChains, later: int = 0) -> Watch:
    """As of the newest block's time, and `later` seconds after it."""
    links = (chains.here, chains.there)
    networks = networks_of(*links)
    reader, tracker = LogReader(networks), MessageTracker(Rules(networks, Terms()))
    for link in links:
        chain, node = ChainId(link.deployment.chain_id), link.deployment.node
        reading = reader.read(logs_of(node, chain))
        assert reading.unreadable == ()
        for each in reading.evidence:
            block = BlockRef(each.place.block_number, each.place.block_hash, each.place.timestamp)
            tracker.apply(chain, block, [each])
        tracker.finality(chain, head(node, "finalized").number)
    now = max(head(link.deployment.node).timestamp for link in links) + later
    return Watch(tracker, tracker.settle(now), now)


@contextmanager
def joined_chains() -> Iterator[TwoChains]:
    with ExitStack() as stack:
        nodes = [Node(stack.enter_context(anvil(chain, options=OPTIONS)).url) for chain in CHAINS]
        for node in nodes:
            stack.callback(node.close)
        home, away = (deploy(node, chain, 2_000 * USD_SCALE) for node, chain in zip(nodes, CHAINS, strict=True))
        here, there = join((home, away))
        deposit(home, [Opening(ALICE, 10 * WETH, ALICE, 0, 0)])
        faults = Faults()
        yield TwoChains(here, there, faults, DevBridge((here.bridge, there.bridge), faults))


@contextmanager
def as_joined(joined: TwoChains) -> Iterator[TwoChains]:
    """Both chains as joined, whatever the test before did to them."""
    nodes = [link.deployment.node for link in (joined.here, joined.there)]
    marks = [node.call("evm_snapshot") for node in nodes]
    faults = Faults(seed=7)
    yield replace(joined, faults=faults, bridge=DevBridge((joined.here.bridge, joined.there.bridge), faults))
    for node, mark in zip(nodes, marks, strict=True):
        node.call("evm_revert", mark)
