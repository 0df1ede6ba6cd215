"""What all contenders read: which events, on which chain, behind which URL."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.node import Node, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of

CHAIN = ChainId(31_337)
SENDER = Address(b"\x51" * 20)
FINALITY = 70
"""Empty blocks on top, so that the events are final as in a real catch-up."""
_GAS = 29_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    url: str
    chain: ChainId
    emitter: Address
    first: int
    """The first block with events."""
    last: int
    """The last block with events."""
    per_block: int
    """Events of each block that has any."""
    events: int
    chunk: int
    """Blocks in one range of the peers that are told how many to ask for."""
    counter: str | None = None
    """The server that counts what is asked, if one does."""


def emission(emitter: Address, events: int) -> dict[str, str]:
    """A transaction request that emits so many events."""
    return {
        "from": hex_of(SENDER),
        "to": hex_of(emitter),
        "data": hex_of(call_data("emitDeposits(uint256)", events)),
        "gas": hex(_GAS),
    }


def deploy_emitter(node: Node) -> Address:
    node.call("anvil_setBalance", hex_of(SENDER), hex(10**24))
    node.call("anvil_autoImpersonateAccount", True)
    return node.deploy(SENDER, load_artifact("EventEmitter").bytecode)


def seed(node: Node, events: int, blocks: int) -> Workload:
    """`blocks` blocks of one transaction each, which share the events evenly."""
    emitter = deploy_emitter(node)
    first = int(str(node.call("eth_blockNumber")), 16) + 1
    per_block = events // blocks
    transaction = emission(emitter, per_block)
    node.call("evm_setAutomine", False)
    for _ in range(blocks):
        node.call("eth_sendTransaction", transaction)
        node.call("evm_mine")
    node.call("anvil_mine", hex(FINALITY))
    return Workload(node.url, CHAIN, emitter, first, first + blocks - 1, per_block, per_block * blocks, 100)
