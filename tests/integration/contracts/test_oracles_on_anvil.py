"""The shipped oracles on a real chain, read as the daemon reads a feed, under the shipped vault.

Rule: where the oracle has no price, borrowing stops and repaying goes on, and the node's answer names the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.deploy import DESK, USDC_UNIT, WETH_UNIT, Deployment, deploy
from fusion_daemon.demo.node import Node, NodeRefused, Sent, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from fusion_daemon.domain.price import USD_SCALE
from fusion_daemon.oracle.chainlink import (
    DECIMALS,
    DESCRIPTION,
    LATEST_ROUND_DATA,
    check_identity,
    read_round,
)
from fusion_daemon.oracle.reading import Reading
from fusion_daemon.oracle.settings import ChainlinkSource

PRICE_ID = keccak(text="the price of ether")
NOBODY = Address(bytes(20))
CHAIN = ChainId(31_337)
WAD = 10**18
SUFFICES = 1
CHAINLINK = "((address,uint32,uint256,uint256,address,uint32))"
PYTH = "((address,bytes32,string,uint32,uint16))"
COMPARED = "((address,address,uint16,uint8))"
ASSET_CONFIG = "(address,uint32,uint16,uint16,uint16,uint16,uint32,uint32,uint32,uint128,uint128,uint128)"


@dataclass(frozen=True, slots=True)
class Sources:
    chain: Deployment
    pyth: Address
    chainlink: Address
    second: Address

    def compared(self, alone: int) -> Address:
        parameters = (self.chainlink, self.second, 200, alone)
        return create(self.chain.node, "ComparedOracle", COMPARED, parameters)

    def publish(self, usd: int) -> None:
        publish = call_data("publish(bytes32,int64,uint64,int32)", PRICE_ID, usd * 10**8, 0, -8)
        self.chain.node.send(Sent(DESK, self.pyth, publish))

    def borrow(self) -> None:
        data = call_data("borrow(address,uint256,address)", self.chain.usdc, USDC_UNIT, DESK)
        self.chain.node.call("eth_call", {"from": hex_of(DESK), "to": hex_of(self.chain.vault), "data": hex_of(data)})
        self.chain.node.send(Sent(DESK, self.chain.vault, data))


def create(node: Node, name: str, constructor: str, parameters: tuple[object, ...]) -> Address:
    arguments = call_data(constructor, parameters)[4:]
    return node.deploy(DESK, load_artifact(name).bytecode + arguments)


@pytest.fixture
def sources() -> Iterator[Sources]:
    """WETH at 2,000 USD from both sources; the desk has 10 in the vault."""
    with anvil(CHAIN) as running:
        node = Node(running.url)
        chain = deploy(node, CHAIN, 2_000 * USD_SCALE)
        pyth = node.deploy(DESK, load_artifact("TestPyth").bytecode)
        bounds = (WAD, 10**6 * WAD)
        chainlink = create(node, "ChainlinkOracle", CHAINLINK, (chain.weth_feed, 86_400, *bounds, NOBODY, 0))
        second = create(node, "PythOracle", PYTH, (pyth, PRICE_ID, "ETH / USD", 600, 100))
        opened = Sources(chain, pyth, chainlink, second)
        opened.publish(2_000)
        for signature, *arguments in (
            ("mint(address,uint256)", DESK, 10 * WETH_UNIT),
            ("approve(address,uint256)", chain.vault, 10 * WETH_UNIT),
        ):
            node.send(Sent(DESK, chain.weth, call_data(str(signature), *arguments)))
        deposit = call_data("depositCollateral(address,uint256)", chain.weth, 10 * WETH_UNIT)
        node.send(Sent(DESK, chain.vault, deposit))
        yield opened
        node.close()


def read_as_the_daemon(node: Node, feed: Address) -> object:
    source = ChainlinkSource(CHAIN, feed, decimals=18, description="ETH / USD", heartbeat=86_400.0, slack=60.0)
    asked = [
        ("eth_call", [{"to": hex_of(feed), "data": hex_of(data)}, "latest"])
        for data in (DECIMALS, DESCRIPTION, LATEST_ROUND_DATA)
    ]
    decimals, description, answer = (bytes.fromhex(str(each)[2:]) for each in node.batch(asked))
    check_identity(source, decimals, description)
    block = node.call("eth_getBlockByNumber", "latest", False)
    assert isinstance(block, dict)
    return read_round(source, answer, float(int(block["timestamp"], 16)), 60.0)


def use(sources: Sources, oracle: Address) -> None:
    terms = (oracle, 86_400, 8_000, 8_250, 500, 8_000, 100, 400, 6_000, 10**9 * WETH_UNIT, 0, 0)
    configure = call_data(f"configureAsset(address,{ASSET_CONFIG})", sources.chain.weth, terms)
    sources.chain.node.send(Sent(DESK, sources.chain.vault, configure))


def pass_time(node: Node, seconds: int) -> None:
    node.call("evm_increaseTime", seconds)
    node.call("evm_mine")


def selector(signature: str) -> str:
    return keccak(text=signature)[:4].hex()


def test_the_daemon_reads_the_oracle_as_a_feed_of_18_decimals(sources: Sources) -> None:
    for oracle in (sources.chainlink, sources.second, sources.compared(0)):
        reading = read_as_the_daemon(sources.chain.node, oracle)
        assert isinstance(reading, Reading)
        assert reading.usd == 2_000 * USD_SCALE


def test_a_source_that_goes_stale_stops_borrowing_but_not_repaying(sources: Sources) -> None:
    # both fresh --601 s--> Pyth stale: no price --published--> a price
    use(sources, sources.compared(0))
    node, vault = sources.chain.node, sources.chain.vault
    sources.borrow()
    pass_time(node, 601)
    with pytest.raises(NodeRefused, match=selector("SourceDown(address,bytes)")):
        sources.borrow()
    approve = call_data("approve(address,uint256)", vault, USDC_UNIT)
    repay = call_data("repay(address,uint256,address)", sources.chain.usdc, USDC_UNIT // 2, DESK)
    node.send(Sent(DESK, sources.chain.usdc, approve))
    node.send(Sent(DESK, vault, repay))
    sources.publish(2_000)
    sources.borrow()


def test_the_other_source_suffices_only_where_that_is_chosen_and_never_when_both_disagree(sources: Sources) -> None:
    use(sources, sources.compared(SUFFICES))
    pass_time(sources.chain.node, 601)
    sources.borrow()
    sources.publish(1_900)
    with pytest.raises(NodeRefused, match=selector("SourcesDisagree(uint256,uint256)")):
        sources.borrow()
