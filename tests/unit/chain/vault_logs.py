"""Logs as the vault emits them, for fake chains."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.domain.identifiers import Address
from tests.faults.fake_node import FakeLog

VAULT = Address(b"\x0a" * 20)
STRANGER = Address(b"\x0b" * 20)
ALICE = Address(b"\x01" * 20)
BOB = Address(b"\x02" * 20)
WETH = Address(b"\x03" * 20)
USDC = Address(b"\x04" * 20)


def word(address: bytes) -> bytes:
    return bytes(12) + address


def event(signature: str, indexed: tuple[bytes, ...], *data: object, address: bytes = VAULT) -> FakeLog:
    """`signature` with types only; `indexed` addresses come first, as in all our events."""
    types = signature[signature.index("(") + 1 : -1].split(",")
    body = encode(types[len(indexed) :], data)
    return FakeLog(address, (keccak(text=signature), *map(word, indexed)), body)


def deposited(owner: bytes, token: bytes, amount: int, vault: bytes = VAULT) -> FakeLog:
    signature = "CollateralDeposited(address,address,uint256,uint256,uint64)"
    return event(signature, (owner, token), amount, amount, 1, address=vault)


def withdrawn(owner: bytes, token: bytes, amount: int) -> FakeLog:
    signature = "CollateralWithdrawn(address,address,address,uint256,uint256,uint64)"
    return event(signature, (owner, token, owner), amount, 0, 1)


def transferred(giver: bytes, receiver: bytes, token: bytes, amount: int) -> FakeLog:
    signature = "CollateralTransferred(address,address,address,uint256,uint256,uint256,uint64)"
    return event(signature, (giver, receiver, token), amount, 0, amount, 1)


def borrowed(owner: bytes, token: bytes, scaled: int) -> FakeLog:
    signature = "Borrowed(address,address,address,uint256,uint256,uint256,uint64)"
    return event(signature, (owner, token, owner), scaled + 7, scaled, scaled, 1)


def repaid(owner: bytes, token: bytes, scaled: int) -> FakeLog:
    signature = "Repaid(address,address,address,uint256,uint256,uint256,uint64)"
    return event(signature, (owner, token, owner), scaled + 7, scaled, 0, 1)


def liquidated(owner: bytes, debt: bytes, collateral: bytes, scaled: int, seized: int) -> FakeLog:
    signature = "Liquidated(address,address,address,address,uint256,uint256,uint256,uint256,uint256,uint64)"
    return event(signature, (owner, debt, collateral), STRANGER, scaled + 7, scaled, seized, 0, 0, 1)


def written_off(owner: bytes, token: bytes, scaled: int) -> FakeLog:
    signature = "BadDebtWrittenOff(address,address,uint256,uint256,uint256,uint64)"
    return event(signature, (owner, token), scaled + 7, scaled, 0, 1)


def index_updated(token: bytes, index: int, rate: int, timestamp: int) -> FakeLog:
    signature = "IndexUpdated(address,uint256,uint256,uint256,uint256,uint64)"
    return event(signature, (token,), index, index, rate, timestamp, 1)


def asset_configured(token: bytes, decimals: int, ltv: int, threshold: int) -> FakeLog:
    signature = "AssetConfigured(address,uint8,uint8,uint16,uint16,uint16,address,uint64)"
    return event(signature, (token,), decimals, 8, ltv, threshold, 500, "0x" + bytes(20).hex(), 1)


def credit_set(owner: bytes, limit: int) -> FakeLog:
    return event("CreditLineSet(address,uint256,uint256,uint64)", (owner,), 0, limit, 1)


def garbled() -> FakeLog:
    """A deposit whose data is cut short: known by its topic, undecodable."""
    whole = deposited(ALICE, WETH, 1)
    return FakeLog(whole.address, whole.topics, whole.data[:-1])


def unknown() -> FakeLog:
    """An event that no ABI of ours has."""
    return FakeLog(VAULT, (keccak(text="SomethingElse(uint256)"),), bytes(32))
