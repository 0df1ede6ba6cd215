"""The vault's logs are enough: a fold over them gives, at any block, what the contract itself answers there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from eth_abi.abi import decode

from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.deploy import DESK, Deployment, deploy
from fusion_daemon.demo.node import Node
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.price import USD_SCALE
from tests.integration.contracts.vault_fold import ADMIN_ROLE, VaultState, fold
from tests.integration.contracts.vault_market import ACTORS, DAY, ROLES, Market, calldata

ARTIFACT = Path(__file__).parents[3] / "contracts/artifacts/CrossChainVault.json"
RAY = 10**27
STEPS = 160
CHECK_EVERY = 40
CONFIG = "(address,uint32,uint16,uint16,uint16,uint16,uint32,uint32,uint32,uint128,uint128,uint128)"
RESERVE = "(uint8,uint8,uint40,uint256,uint256,uint256,uint256,uint256,uint256,uint256)"
EVENTS = {
    *("AssetConfigured", "AssetParametersChanged", "CollateralDeposited", "CollateralWithdrawn"),
    *("CollateralTransferred", "LiquiditySupplied", "LiquidityRedeemed", "Borrowed", "Repaid", "Liquidated"),
    *("BadDebtWrittenOff", "IndexUpdated", "CreditLineSet", "PauseChanged", "RoleGranted", "RoleRevoked"),
    *("DefaultAdminTransferScheduled", "DefaultAdminTransferCanceled"),
}


@pytest.fixture
def chain() -> Iterator[Deployment]:
    with anvil(31_337) as running:
        node = Node(running.url)
        yield deploy(node, 31_337, 2_000 * USD_SCALE)
        node.close()


Call = tuple[str, tuple[object, ...], str, object]
"""Signature, arguments, the type returned, what the fold expects."""


def expectations(state: VaultState, market: Market, now: int) -> list[Call]:
    calls: list[Call] = [
        ("seq()", (), "uint64", state.seq),
        ("pauseFlags()", (), "uint8", state.pause_flags),
        ("defaultAdmin()", (), "address", state.admin),
    ]
    for role in (ADMIN_ROLE, *ROLES):
        for who in (DESK, *ACTORS):
            held = hex_of(who) in state.roles[role]
            calls += [("hasRole(bytes32,address)", (role, who), "bool", held)]
    for token in market.tokens:
        text, book = hex_of(token), state.reserves[hex_of(token)]
        calls.append(("reserveOf(address)", (token,), RESERVE, book.words()))
        calls.append(("configOf(address)", (token,), CONFIG, state.configs[text]))
        index = book.borrow_index * (RAY + book.rate * (now - book.updated_at)) // RAY
        for who in (DESK, *ACTORS):
            key = (hex_of(who), text)
            calls += [
                ("collateralOf(address,address)", (who, token), "uint256", state.collateral[key]),
                ("scaledSupplyOf(address,address)", (who, token), "uint256", state.supply[key]),
                ("scaledDebtOf(address,address)", (who, token), "uint256", state.debt[key]),
                ("debtOf(address,address)", (who, token), "uint256", -(-state.debt[key] * index // RAY)),
            ]
    for who in (DESK, *ACTORS):
        calls.append(("creditLineOf(address)", (who,), "uint256", state.credit[hex_of(who)]))
    return calls


def check(market: Market, abi: Sequence[dict[str, object]]) -> VaultState:
    """The fold of the logs up to the head equals the contract's answers at that block, all of them. At once, since
    the node keeps the state of some hundred blocks only."""
    node, vault, block = market.chain.node, hex_of(market.chain.vault), market.block()
    logs = node.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(block), "address": vault})
    header = node.call("eth_getBlockByNumber", hex(block), False)
    assert isinstance(logs, list)
    assert isinstance(header, dict)
    state = fold(abi, logs)
    calls = expectations(state, market, int(header["timestamp"], 16))
    requests = [{"to": vault, "data": hex_of(calldata(name, *arguments))} for name, arguments, _, _ in calls]
    answers = node.batch([("eth_call", [request, hex(block)]) for request in requests])
    for (name, arguments, kind, expected), answer in zip(calls, answers, strict=True):
        (found,) = decode([kind], bytes.fromhex(str(answer)[2:]))
        assert found == expected, f"{name} of {arguments} at block {block}"
    pending = node.call("eth_call", {"to": vault, "data": hex_of(calldata("pendingDefaultAdmin()"))}, hex(block))
    assert decode(["address", "uint48"], bytes.fromhex(str(pending)[2:])) == state.pending_admin
    return state


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_state_at_several_blocks_is_the_fold_of_the_logs_up_to_them(chain: Deployment, seed: int) -> None:
    """Everybody acts at random while prices and time move; then come ruin, write-offs and a new admin."""
    abi = json.loads(ARTIFACT.read_text(encoding="utf-8"))["abi"]
    market = Market(chain, Random(seed))
    market.open()
    states = [check(market, abi)]
    for step in range(1, STEPS + 1):
        market.step()
        if step % CHECK_EVERY == 0:
            states.append(check(market, abi))
    market.ruin()
    states.append(check(market, abi))
    market.later(2 * DAY)
    assert market.act(ACTORS[1], "acceptDefaultAdminTransfer()")
    states.append(check(market, abi))
    assert set(states[-1].seen) == EVENTS
    assert [state.admin for state in states[-2:]] == [hex_of(DESK), hex_of(ACTORS[1])]


def test_the_fold_notices_a_missing_log(chain: Deployment) -> None:
    abi = json.loads(ARTIFACT.read_text(encoding="utf-8"))["abi"]
    logs = chain.node.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": hex_of(chain.vault)})
    assert isinstance(logs, list)
    with pytest.raises(AssertionError, match="follows event"):
        fold(abi, logs[:-2] + logs[-1:])
