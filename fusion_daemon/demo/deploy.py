"""Put the contracts on a local chain, list the assets, and act for the desk and the accounts.

All senders are impersonated: anvil's `anvil_autoImpersonateAccount` stands in for their wallets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.domain.price import USD_SCALE

DESK = Address(keccak(text="fusion prime demo desk")[12:])
WETH_UNIT = 10**18
USDC_UNIT = 10**6
_ETHER = 10**18
_FEED_HEARTBEAT = 86_400
_LIQUIDITY = 1_000_000_000 * USDC_UNIT
_ASSET_CONFIG = (
    "configureAsset(address,(address,uint32,uint16,uint16,uint16,uint16,uint32,uint32,uint32,uint128,uint128,uint128))"
)
ROLES = ("RISK_ROLE", "CREDIT_ROLE", "GUARDIAN_ROLE")


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands on one chain, and the node through which to act on it."""

    node: Node
    chain_id: int
    vault: Address
    factory: Address
    weth: Address
    usdc: Address
    weth_feed: Address
    usdc_feed: Address

    def set_weth_price(self, usd: int) -> None:
        """Move the chain's own ETH / USD feed. `usd` is scaled by 1e8."""
        self.node.send(Sent(DESK, self.weth_feed, call_data("updateAnswer(int256)", usd)))


@dataclass(frozen=True, slots=True)
class Opening:
    """An account's first position, in base units; the credit line in USD x 1e8."""

    depositor: Address
    collateral: int
    borrower: Address
    credit: int
    debt: int


def deploy(node: Node, chain_id: int, weth_usd: int) -> Deployment:
    """Feeds, tokens, vault and escrow factory; WETH as collateral, USDC as lendable, liquidity supplied."""
    node.call("anvil_autoImpersonateAccount", True)
    node.call("anvil_setBalance", hex_of(DESK), hex(10**6 * _ETHER))
    weth_feed = _feed(node, weth_usd, "ETH / USD")
    usdc_feed = _feed(node, USD_SCALE, "USDC / USD")
    token = load_artifact("TestToken").bytecode
    token_types = ("string", "string", "uint8")
    weth = node.deploy(DESK, token, token_types, "Wrapped Ether", "WETH", 18)
    usdc = node.deploy(DESK, token, token_types, "USD Coin", "USDC", 6)
    vault = node.deploy(DESK, load_artifact("CrossChainVault").bytecode, ("address",), DESK)
    factory = node.deploy(DESK, load_artifact("EscrowFactory").bytecode, ("address",), DESK)
    deployment = Deployment(node, chain_id, vault, factory, weth, usdc, weth_feed, usdc_feed)
    grants = [call_data("grantRole(bytes32,address)", keccak(text=role), DESK) for role in ROLES]
    node.send(*(Sent(DESK, vault, grant) for grant in grants))
    node.send(
        Sent(DESK, vault, call_data(_ASSET_CONFIG, weth, _terms(weth_feed, 8_000, 8_250, 10**9 * WETH_UNIT, 0))),
        Sent(DESK, vault, call_data(_ASSET_CONFIG, usdc, _terms(usdc_feed, 0, 0, 2 * _LIQUIDITY, _LIQUIDITY))),
    )
    node.send(
        Sent(DESK, usdc, call_data("mint(address,uint256)", DESK, _LIQUIDITY)),
        Sent(DESK, usdc, call_data("approve(address,uint256)", vault, _LIQUIDITY)),
    )
    node.send(Sent(DESK, vault, call_data("supply(address,uint256)", usdc, _LIQUIDITY)))
    return deployment


def deposit(home: Deployment, openings: Sequence[Opening]) -> None:
    """Each depositor gets WETH and puts it into the vault."""
    if not openings:
        return
    weth, vault = home.weth, home.vault
    _fund(home.node, [each.depositor for each in openings])
    home.node.send(*(Sent(DESK, weth, call_data("mint(address,uint256)", o.depositor, o.collateral)) for o in openings))
    approve, put = "approve(address,uint256)", "depositCollateral(address,uint256)"
    home.node.send(*(Sent(o.depositor, weth, call_data(approve, vault, o.collateral)) for o in openings))
    home.node.send(*(Sent(o.depositor, vault, call_data(put, weth, o.collateral)) for o in openings))


def borrow(away: Deployment, openings: Sequence[Opening]) -> None:
    """The desk grants each borrower a credit line, who draws it in USDC."""
    if not openings:
        return
    grant = "setCreditLine(address,uint256)"
    away.node.send(*(Sent(DESK, away.vault, call_data(grant, o.borrower, o.credit)) for o in openings))
    draw(away, openings)


def draw(away: Deployment, openings: Sequence[Opening]) -> None:
    """Each borrower, who has credit, draws USDC."""
    if not openings:
        return
    _fund(away.node, [each.borrower for each in openings])
    take = "borrow(address,uint256,address)"
    away.node.send(*(Sent(o.borrower, away.vault, call_data(take, away.usdc, o.debt, o.borrower)) for o in openings))


def repay(away: Deployment, openings: Sequence[Opening]) -> None:
    """Each borrower pays all debt back; the interest comes from elsewhere."""
    if not openings:
        return
    usdc, vault = away.usdc, away.vault
    mint, approve, pay = "mint(address,uint256)", "approve(address,uint256)", "repay(address,uint256,address)"
    away.node.send(*(Sent(DESK, usdc, call_data(mint, o.borrower, o.debt)) for o in openings))
    away.node.send(*(Sent(o.borrower, usdc, call_data(approve, vault, 2 * o.debt)) for o in openings))
    away.node.send(*(Sent(o.borrower, vault, call_data(pay, usdc, 2 * o.debt, o.borrower)) for o in openings))


def _fund(node: Node, addresses: Sequence[Address]) -> None:
    node.batch([("anvil_setBalance", [hex_of(address), hex(100 * _ETHER)]) for address in addresses])


def _feed(node: Node, usd: int, description: str) -> Address:
    bytecode = load_artifact("MockV3Aggregator").bytecode
    return node.deploy(DESK, bytecode, ("uint8", "int256", "string"), 8, usd, description)


def _terms(feed: Address, ltv: int, threshold: int, supply_cap: int, borrow_cap: int) -> tuple[object, ...]:
    bonus = 500 if threshold else 0
    return (feed, _FEED_HEARTBEAT, ltv, threshold, bonus, 8_000, 100, 400, 6_000, supply_cap, borrow_cap, 0)
