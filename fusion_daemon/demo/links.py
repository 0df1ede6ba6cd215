"""Join two deployments: the bridges, our router and adapters over them, and remote credit in both directions."""

from __future__ import annotations

from dataclasses import dataclass

from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.bridge import BridgeChain, Generation, deploy_bridge
from fusion_daemon.demo.deploy import DESK, Deployment
from fusion_daemon.demo.node import Sent, call_data
from fusion_daemon.domain.identifiers import Address, Hash32
from fusion_daemon.domain.price import USD_SCALE

AXELAR, CCIP = b"axelar".ljust(32, b"\0"), b"ccip".ljust(32, b"\0")
GAS_LIMIT = 1_000_000
"""For the execution of a message on its destination."""
TREASURY = Address(keccak(text="fusion prime demo treasury")[12:])
GRACE = 3_600
_LANE = 10**9 * USD_SCALE
"""The most credit that one chain puts on the other, at a time and at once."""
_FEE = 10**17
"""Wei sent along with a message: more than any bridge here wants; the rest comes back."""


@dataclass(frozen=True, slots=True)
class Link:
    """One chain's end of all that joins it to the other."""

    deployment: Deployment
    bridge: BridgeChain
    router: Address
    axelar: Address
    ccip: Address
    credit: Address
    amplifier: bool
    """Axelar's gateway in use is the amplifier's."""

    @property
    def gateway(self) -> Address:
        return self.bridge.amplifier if self.amplifier else self.bridge.gateway

    @property
    def read(self) -> tuple[Address, ...]:
        """Whose logs the daemon reads."""
        here, bridge = self.deployment, self.bridge
        ours = (here.vault, here.factory, self.router, self.credit)
        ramps = (*bridge.on_ramps.values(), *bridge.off_ramps.values(), bridge.commit_store)
        return (*ours, self.gateway, bridge.gas_service, *ramps)

    def lock(
        self, account: Address, collateral: int, credit: int, destination: int, bridge: bytes, deadline: int
    ) -> Hash32:
        """An account locks WETH of its own in the vault for credit (USD x 1e8) elsewhere; the lock's reference."""
        call = call_data(
            "lock(address,uint256,uint256,uint64,bytes32,uint64)",
            self.deployment.weth,
            collateral,
            credit,
            destination,
            bridge,
            deadline,
        )
        receipt = self.deployment.node.send(Sent(account, self.credit, call, _FEE))[0]
        return _reference(receipt)

    def locked(self) -> int:
        """WETH that this chain's locks hold."""
        view = "collateralOf(address,address)"
        [amount] = self.deployment.node.view(
            self.deployment.vault, view, ["uint256"], self.credit, self.deployment.weth
        )
        assert isinstance(amount, int)
        return amount

    def release(self, account: Address, reference: Hash32, credit: int, bridge: bytes) -> None:
        """An account gives up credit here; its collateral at home is on its way back."""
        call = call_data("release(bytes32,uint256,bytes32)", reference, credit, bridge)
        self.deployment.node.send(Sent(account, self.credit, call, _FEE))


def join(
    deployments: tuple[Deployment, Deployment], generation: Generation = "1.6", *, amplifier: bool = False
) -> tuple[Link, Link]:
    """Two anvils on which the desk has deployed its vaults."""
    one, two = deployments
    ends = deploy_bridge((one.node, two.node), generation)
    links = (_end(one, ends[0], amplifier), _end(two, ends[1], amplifier))
    _introduce(links[0], links[1])
    _introduce(links[1], links[0])
    return links


_LOCKED = (
    "0x" + keccak(text="CollateralLocked(address,bytes32,bytes32,address,uint256,uint256,uint64,uint64,uint64)").hex()
)


def _reference(receipt: dict[str, object]) -> Hash32:
    logs = receipt["logs"]
    assert isinstance(logs, list)
    [topics] = [log["topics"] for log in logs if log["topics"][0] == _LOCKED]
    return Hash32(bytes.fromhex(topics[2][2:]))


def _end(here: Deployment, bridge: BridgeChain, amplifier: bool) -> Link:
    node = here.node
    router = node.deploy(DESK, load_artifact("BridgeRouter").bytecode, ("address",), DESK)
    gateway = bridge.amplifier if amplifier else bridge.gateway
    axelar = node.deploy(
        DESK,
        load_artifact("AxelarAdapter").bytecode,
        ("address", "address", "address", "uint32"),
        *(router, gateway, bridge.gas_service, 0),
    )
    ccip = node.deploy(
        DESK, load_artifact("CcipAdapter").bytecode, ("address", "address", "uint32"), router, bridge.router, 0
    )
    credit = node.deploy(
        DESK,
        load_artifact("RemoteCredit").bytecode,
        ("address", "address", "address", "address", "uint64"),
        *(DESK, here.vault, router, TREASURY, GRACE),
    )
    grant = "grantRole(bytes32,address)"
    node.send(
        *(
            Sent(DESK, router, call_data(grant, keccak(text=role), DESK))
            for role in ("REGISTRAR_ROLE", "GUARDIAN_ROLE")
        ),
        *(Sent(DESK, credit, call_data(grant, keccak(text=role), DESK)) for role in ("RISK_ROLE", "SEIZER_ROLE")),
        *(
            Sent(DESK, here.vault, call_data(grant, keccak(text=role), credit))
            for role in ("LOCKER_ROLE", "CREDIT_ROLE")
        ),
    )
    return Link(here, bridge, router, axelar, ccip, credit, amplifier)


def _introduce(here: Link, there: Link) -> None:
    """Peers, applications and the lane that lead from `here` to the other chain and back from it."""
    far = there.deployment.chain_id
    propose, accept = "proposePeer(uint64,{},address,uint64)", call_data("acceptPeer(uint64)", far)
    axelar = call_data(propose.format("string"), far, there.bridge.name, there.axelar, GAS_LIMIT)
    ccip = call_data(propose.format("uint64"), far, there.bridge.selector, there.ccip, GAS_LIMIT)
    lane = call_data("setLane(uint64,(uint128,uint128,uint128))", far, (_LANE, _LANE, _LANE))
    here.deployment.node.send(Sent(DESK, here.axelar, axelar), Sent(DESK, here.ccip, ccip))
    here.deployment.node.send(
        Sent(DESK, here.axelar, accept),
        Sent(DESK, here.ccip, accept),
        Sent(DESK, here.router, call_data("setBridge(bytes32,address)", AXELAR, here.axelar)),
        Sent(DESK, here.router, call_data("setBridge(bytes32,address)", CCIP, here.ccip)),
        Sent(DESK, here.router, call_data("setApp(address,uint64,address)", here.credit, far, there.credit)),
        Sent(DESK, here.credit, lane),
    )
