"""The committed artifacts on a real chain, through JSON-RPC alone: what is shipped is what works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.deploy import DESK, USDC_UNIT, WETH_UNIT, Deployment, deploy
from fusion_daemon.demo.node import Node, NodeRefused, Sent, call_data
from fusion_daemon.domain.identifiers import NATIVE, Address, hex_of, parse_address
from fusion_daemon.domain.price import USD_SCALE

ALICE, LIQUIDATOR, PAYEE = (
    Address(keccak(text=name)[12:]) for name in ("contracts alice", "contracts liquidator", "contracts payee")
)
ETHER = 10**18
LIQUIDATED = "Liquidated(address,address,address,address,uint256,uint256,uint256,uint256,uint256,uint64)"


@pytest.fixture
def chain() -> Iterator[Deployment]:
    with anvil(31_337) as running:
        node = Node(running.url)
        deployment = deploy(node, 31_337, 2_000 * USD_SCALE)
        for account in (ALICE, LIQUIDATOR):
            node.call("anvil_setBalance", hex_of(account), hex(1_000 * ETHER))
        yield deployment
        node.close()


@dataclass(frozen=True, slots=True)
class Log:
    topics: tuple[bytes, ...]
    data: bytes


def logs(receipt: dict[str, object], signature: str) -> list[Log]:
    topic = hex_of(keccak(text=signature))
    entries = receipt["logs"]
    assert isinstance(entries, list)
    return [
        Log(tuple(bytes.fromhex(each[2:]) for each in entry["topics"]), bytes.fromhex(entry["data"][2:]))
        for entry in entries
        if entry["topics"][0] == topic
    ]


def fund(chain: Deployment, account: Address, token: Address, amount: int) -> None:
    chain.node.send(
        Sent(DESK, token, call_data("mint(address,uint256)", account, amount)),
        Sent(account, token, call_data("approve(address,uint256)", chain.vault, amount)),
    )


def health(chain: Deployment) -> int:
    (factor,) = chain.node.view(chain.vault, "healthFactor(address)", ["uint256"], ALICE)
    assert isinstance(factor, int)
    return factor


def open_position(chain: Deployment) -> None:
    """10 WETH at 2,000 USD, threshold 82.5 %, against 15,000 USDC: health factor 1.1."""
    fund(chain, ALICE, chain.weth, 10 * WETH_UNIT)
    deposit = call_data("depositCollateral(address,uint256)", chain.weth, 10 * WETH_UNIT)
    borrow = call_data("borrow(address,uint256,address)", chain.usdc, 15_000 * USDC_UNIT, ALICE)
    chain.node.send(Sent(ALICE, chain.vault, deposit))
    chain.node.send(Sent(ALICE, chain.vault, borrow))


def test_a_price_falls_and_the_account_is_liquidated(chain: Deployment) -> None:
    # 2,000 --deposit, borrow--> 1.1 --price 1,700--> 0.935 --liquidate all--> no debt
    open_position(chain)
    assert abs(health(chain) - 11 * 10**17) < 10**12
    fund(chain, LIQUIDATOR, chain.usdc, 20_000 * USDC_UNIT)
    call = call_data("liquidate(address,address,address,uint256)", ALICE, chain.usdc, chain.weth, 20_000 * USDC_UNIT)
    with pytest.raises(NodeRefused):
        chain.node.send(Sent(LIQUIDATOR, chain.vault, call))

    chain.set_weth_price(1_700 * USD_SCALE)
    assert health(chain) < 95 * 10**16
    (receipt,) = chain.node.send(Sent(LIQUIDATOR, chain.vault, call))

    (log,) = logs(receipt, LIQUIDATED)
    assert [parse_address(hex_of(topic[12:])) for topic in log.topics[1:]] == [ALICE, chain.usdc, chain.weth]
    _, repaid, _, seized, *_ = decode(["address", *["uint256"] * 5, "uint64"], log.data)
    assert 15_000 * USDC_UNIT <= repaid < 15_001 * USDC_UNIT
    assert abs(seized - repaid * 10**12 * 105 // 100 // 1_700) < 10**9
    assert chain.node.view(chain.weth, "balanceOf(address)", ["uint256"], LIQUIDATOR) == (seized,)
    assert chain.node.view(chain.vault, "debtOf(address,address)", ["uint256"], ALICE, chain.usdc) == (0,)
    left = chain.node.view(chain.vault, "collateralOf(address,address)", ["uint256"], ALICE, chain.weth)
    assert left == (10 * WETH_UNIT - seized,)
    assert health(chain) == 2**256 - 1


def test_a_stale_feed_stops_borrowing_but_not_repayment(chain: Deployment) -> None:
    open_position(chain)
    fund(chain, ALICE, chain.usdc, 1_000 * USDC_UNIT)
    chain.node.call("evm_increaseTime", 86_401)
    chain.node.call("evm_mine")
    with pytest.raises(NodeRefused):
        borrow = call_data("borrow(address,uint256,address)", chain.usdc, 1, ALICE)
        chain.node.send(Sent(ALICE, chain.vault, borrow))
    repay = call_data("repay(address,uint256,address)", chain.usdc, 1_000 * USDC_UNIT, ALICE)
    (receipt,) = chain.node.send(Sent(ALICE, chain.vault, repay))
    assert len(logs(receipt, "Repaid(address,address,address,uint256,uint256,uint256,uint64)")) == 1


ESCROW_TERMS = "(address,address,address,uint8,uint64,uint32,uint32,address[],uint256[],bytes32)"


def open_escrow(chain: Deployment, approver: Address) -> Address:
    """Alice's, over one ether in two milestones."""
    reference = b"invoice 1".ljust(32, b"\0")
    nobody = Address(bytes(20))
    terms = (PAYEE, NATIVE, nobody, 1, 2**40, 0, 0, [approver], [ETHER // 4, ETHER - ETHER // 4], reference)
    create = call_data(f"createEscrow({ESCROW_TERMS})", terms)
    (receipt,) = chain.node.send(Sent(ALICE, chain.factory, create, value=ETHER))
    (created,) = logs(receipt, "EscrowCreated(address,address,address,address,uint256,bytes32,uint64)")
    escrow = Address(created.topics[1][12:])
    predicted = chain.node.view(chain.factory, "predictEscrow(address,bytes32)", ["address"], ALICE, reference)
    assert predicted == (hex_of(escrow),)
    (funded,) = logs(receipt, f"EscrowFunded(address,address,{ESCROW_TERMS},uint256,uint64)")
    _, remaining, seq = decode([ESCROW_TERMS, "uint256", "uint64"], funded.data)
    assert (remaining, seq) == (ETHER, 1)
    return escrow


def released(chain: Deployment, escrow: Address) -> tuple[object, ...]:
    """Amount, remaining and sequence number that a release tells."""
    (receipt,) = chain.node.send(Sent(LIQUIDATOR, escrow, keccak(text="release()")[:4]))
    (log,) = logs(receipt, "EscrowReleased(address,uint256,uint256,uint256,uint64)")
    return tuple(decode(["uint256", "uint256", "uint64"], log.data))


def test_an_escrow_is_approved_and_released(chain: Deployment) -> None:
    escrow = open_escrow(chain, DESK)
    chain.node.send(Sent(DESK, escrow, call_data("approve(uint256)", 0)))
    assert released(chain, escrow) == (ETHER // 4, ETHER - ETHER // 4, 4)
    chain.node.send(Sent(DESK, escrow, call_data("approve(uint256)", 1)))
    assert released(chain, escrow) == (ETHER - ETHER // 4, 0, 8)
    assert chain.node.call("eth_getBalance", hex_of(PAYEE), "latest") == hex(ETHER)


def test_the_emitter_writes_as_many_events_as_asked(chain: Deployment) -> None:
    emitter = chain.node.deploy(DESK, load_artifact("EventEmitter").bytecode)
    (receipt,) = chain.node.send(Sent(DESK, emitter, call_data("emitDeposits(uint256)", 2_500)))
    assert len(logs(receipt, "CollateralDeposited(address,address,uint256,uint256,uint64)")) == 2_500
