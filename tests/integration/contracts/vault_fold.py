"""A second reading of the vault's logs: all of its state, folded by code that shares nothing with the daemon.

Only the contract's ABI and `eth_abi` are used. Every event is checked on the way: its number follows the last one,
the balance that it tells is the one the fold has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eth_abi.abi import decode
from eth_utils.crypto import keccak

Log = Mapping[str, object]
Abi = Sequence[Mapping[str, object]]
ADMIN_ROLE = bytes(32)
NOBODY = "0x" + "00" * 20


@dataclass
class Reserve:
    """The book of an asset, in the order of the contract's struct."""

    token_decimals: int = 0
    feed_decimals: int = 0
    updated_at: int = 0
    collateral: int = 0
    cash: int = 0
    scaled_supply: int = 0
    scaled_debt: int = 0
    supply_index: int = 0
    borrow_index: int = 0
    rate: int = 0

    def words(self) -> tuple[int, ...]:
        return tuple(vars(self).values())


@dataclass
class VaultState:
    seq: int = 0
    pause_flags: int = 0
    admin: str = NOBODY
    pending_admin: tuple[str, int] = (NOBODY, 0)
    reserves: dict[str, Reserve] = field(default_factory=lambda: defaultdict(Reserve))
    configs: dict[str, tuple[object, ...]] = field(default_factory=dict)
    collateral: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    supply: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    debt: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    credit: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    roles: dict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))
    seen: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """How often each event was folded."""


def fold(abi: Abi, logs: Iterable[Log]) -> VaultState:
    events = {_topic(entry): entry for entry in abi if entry["type"] == "event"}
    state = VaultState()
    for log in logs:
        topics = log["topics"]
        assert isinstance(topics, list)
        name, said = _decoded(events[topics[0]], topics, str(log["data"]))
        state.seen[name] += 1
        if "seq" in said:
            assert said["seq"] == state.seq + 1, f"{name} follows event {state.seq}"
            state.seq += 1
        _apply(state, name, said)
    return state


def _type(parameter: Mapping[str, object]) -> str:
    kind = str(parameter["type"])
    if not kind.startswith("tuple"):
        return kind
    components = parameter["components"]
    assert isinstance(components, list)
    return f"({','.join(map(_type, components))}){kind.removeprefix('tuple')}"


def _inputs(entry: Mapping[str, object]) -> list[Mapping[str, object]]:
    inputs = entry["inputs"]
    assert isinstance(inputs, list)
    return inputs


def _topic(entry: Mapping[str, object]) -> str:
    return "0x" + keccak(text=f"{entry['name']}({','.join(map(_type, _inputs(entry)))})").hex()


def _decoded(entry: Mapping[str, object], topics: Sequence[str], data: str) -> tuple[str, dict[str, object]]:
    indexed = [each for each in _inputs(entry) if each["indexed"]]
    plain = [each for each in _inputs(entry) if not each["indexed"]]
    said = {
        str(each["name"]): decode([_type(each)], bytes.fromhex(topic[2:]))[0]
        for each, topic in zip(indexed, topics[1:], strict=True)
    }
    told = decode([_type(each) for each in plain], bytes.fromhex(data[2:]))
    return str(entry["name"]), said | {str(each["name"]): value for each, value in zip(plain, told, strict=True)}


def _apply(state: VaultState, name: str, said: Mapping[str, object]) -> None:
    number = {key: value for key, value in said.items() if isinstance(value, int)}
    word = {key: value for key, value in said.items() if isinstance(value, str)}
    if name in _BALANCES:
        _move(state, name, word, number)
        return
    match name:
        case "CollateralTransferred":
            giver, taker = (word["from"], word["token"]), (word["to"], word["token"])
            _change(state.collateral, giver, -number["amount"], number["fromBalance"])
            _change(state.collateral, taker, number["amount"], number["toBalance"])
        case "Liquidated":
            owner, owed, held = word["account"], word["debtToken"], word["collateralToken"]
            _change(state.debt, (owner, owed), -number["scaledRepaid"], number["scaledDebtBalance"])
            _change(state.collateral, (owner, held), -number["seized"], number["collateralBalance"])
            state.reserves[owed].cash += number["repaid"]
            state.reserves[owed].scaled_debt -= number["scaledRepaid"]
            state.reserves[held].collateral -= number["seized"]
        case "IndexUpdated":
            book = state.reserves[word["token"]]
            book.supply_index, book.borrow_index = number["supplyIndex"], number["borrowIndex"]
            book.rate, book.updated_at = number["borrowRatePerSecond"], number["timestamp"]
        case _:
            _register(state, name, said, word, number)


_BALANCES = {
    # event: (balances, sign of the balance, total of the book, sign of cash)
    "CollateralDeposited": ("collateral", 1, "collateral", 0),
    "CollateralWithdrawn": ("collateral", -1, "collateral", 0),
    "LiquiditySupplied": ("supply", 1, "scaled_supply", 1),
    "LiquidityRedeemed": ("supply", -1, "scaled_supply", -1),
    "Borrowed": ("debt", 1, "scaled_debt", -1),
    "Repaid": ("debt", -1, "scaled_debt", 1),
    "BadDebtWrittenOff": ("debt", -1, "scaled_debt", 0),
}


def _move(state: VaultState, name: str, word: Mapping[str, str], number: Mapping[str, int]) -> None:
    kind, sign, total, cash = _BALANCES[name]
    balances = getattr(state, kind)
    amount = sign * number.get("scaledAmount", number["amount"])
    owner = word.get("account") or word["provider"]
    resulting = number["balance"] if kind == "collateral" else number["scaledBalance"]
    _change(balances, (owner, word["token"]), amount, resulting)
    book = state.reserves[word["token"]]
    setattr(book, total, getattr(book, total) + amount)
    book.cash += cash * number["amount"]


def _change(balances: dict[tuple[str, str], int], key: tuple[str, str], amount: int, resulting: int) -> None:
    balances[key] += amount
    assert balances[key] == resulting, f"{key} has {balances[key]}, told {resulting}"


def _register(
    state: VaultState, name: str, said: Mapping[str, object], word: Mapping[str, str], number: Mapping[str, int]
) -> None:
    match name:
        case "AssetConfigured":
            book = state.reserves[word["token"]]
            book.token_decimals, book.feed_decimals = number["decimals"], number["feedDecimals"]
        case "AssetParametersChanged":
            old, new = said["oldConfig"], said["newConfig"]
            assert isinstance(old, tuple)
            assert isinstance(new, tuple)
            assert state.configs.get(word["token"], (NOBODY, *[0] * (len(old) - 1))) == old
            state.configs[word["token"]] = new
        case "CreditLineSet":
            assert state.credit[word["account"]] == number["oldLimit"]
            state.credit[word["account"]] = number["newLimit"]
        case "PauseChanged":
            assert state.pause_flags == number["oldFlags"]
            state.pause_flags = number["newFlags"]
        case "DefaultAdminTransferScheduled":
            state.pending_admin = word["newAdmin"], number["acceptSchedule"]
        case "DefaultAdminTransferCanceled":
            state.pending_admin = NOBODY, 0
        case "RoleGranted" | "RoleRevoked":
            _role(state, name, said, word["account"])
        case _:
            raise AssertionError(f"{name} is not folded")


def _role(state: VaultState, name: str, said: Mapping[str, object], account: str) -> None:
    role = said["role"]
    assert isinstance(role, bytes)
    (state.roles[role].add if name == "RoleGranted" else state.roles[role].discard)(account)
    if role == ADMIN_ROLE:
        state.admin = account if name == "RoleGranted" else NOBODY
        if name == "RoleGranted":
            state.pending_admin = NOBODY, 0
