"""A second opinion on margin events, sharing no code with the daemon.

It reads the nodes' logs and the committed prices and folds them with exact fractions where the daemon
uses scaled integers. Only the published roundings are the same: collateral value down, debt up.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from urllib.request import Request, urlopen

from eth_abi.abi import decode
from eth_utils.crypto import keccak

RAY = 10**27
HEALTHY, WARNING, MARGIN_CALL, LIQUIDATION = range(4)
SCORE_LIMITS = (Fraction(50, 100), Fraction(30, 100), Fraction(15, 100))
HEALTH_LIMITS = (Fraction(150, 100), Fraction(125, 100), Fraction(1))
CLEARANCE = Fraction(102, 100)

Account = str
Log = Mapping[str, object]


def rpc(url: str, method: str, *params: object) -> object:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    with urlopen(Request(url, body, {"Content-Type": "application/json"}), timeout=30) as response:
        answer = json.load(response)
    assert "error" not in answer, answer
    return answer["result"]


def node_logs(url: str, address: str) -> list[Log]:
    """Every log of a contract, as the node tells it."""
    found = rpc(url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": address})
    assert isinstance(found, list)
    return sorted(found, key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))


def decode_log(abi: Sequence[Mapping[str, object]], log: Log) -> tuple[str, dict[str, object]] | None:
    for event in abi:
        if event["type"] != "event":
            continue
        inputs = event["inputs"]
        assert isinstance(inputs, list)
        signature = f"{event['name']}({','.join(each['type'] for each in inputs)})"
        topics = log["topics"]
        assert isinstance(topics, list)
        if "0x" + keccak(text=signature).hex() != topics[0]:
            continue
        indexed = [each for each in inputs if each["indexed"]]
        plain = [each for each in inputs if not each["indexed"]]
        values: dict[str, object] = {}
        for each, topic in zip(indexed, topics[1:], strict=True):
            values[each["name"]] = decode([each["type"]], bytes.fromhex(topic[2:]))[0]
        data = bytes.fromhex(str(log["data"])[2:])
        told = decode([each["type"] for each in plain], data)
        values |= {each["name"]: value for each, value in zip(plain, told, strict=True)}
        return str(event["name"]), values
    return None


@dataclass
class Book:
    """One vault's truth: balances by (owner, token), parameters and borrow index by token."""

    collateral: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    debt: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    threshold: dict[str, tuple[int, int]] = field(default_factory=dict)
    index: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def apply(self, name: str, said: Mapping[str, object]) -> None:
        number = {key: value for key, value in said.items() if isinstance(value, int)}
        word = {key: value for key, value in said.items() if isinstance(value, str)}
        match name:
            case "CollateralDeposited":
                self.collateral[word["account"], word["token"]] += number["amount"]
            case "CollateralWithdrawn":
                self.collateral[word["account"], word["token"]] -= number["amount"]
            case "CollateralTransferred":
                self.collateral[word["from"], word["token"]] -= number["amount"]
                self.collateral[word["to"], word["token"]] += number["amount"]
            case "Borrowed":
                self.debt[word["account"], word["token"]] += number["scaledAmount"]
            case "Repaid":
                self.debt[word["account"], word["token"]] -= number["scaledAmount"]
            case "Liquidated":
                self.debt[word["account"], word["debtToken"]] -= number["scaledRepaid"]
                self.collateral[word["account"], word["collateralToken"]] -= number["seized"]
            case "BadDebtWrittenOff":
                self.debt[word["account"], word["token"]] -= number["scaledAmount"]
            case "AssetConfigured":
                self.threshold[word["token"]] = (number["decimals"], number["liquidationThresholdBps"])
            case "IndexUpdated":
                self.index[word["token"]] = (number["borrowIndex"], number["borrowRatePerSecond"], number["timestamp"])


def read_book(url: str, vault: str, abi: Sequence[Mapping[str, object]]) -> Book:
    book = Book()
    for log in node_logs(url, vault):
        found = decode_log(abi, log)
        if found is not None:
            book.apply(*found)
    return book


@dataclass(frozen=True)
class Tick:
    seq: int
    asset: str
    usd: int
    at: int
    low: int
    high: int
    live: bool

    @property
    def held_at(self) -> int:
        """What collateral is worth: in doubt, as little as may be."""
        return self.usd if self.live else self.low

    @property
    def owed_at(self) -> int:
        """What a debt weighs: in doubt, as much as may be."""
        return self.usd if self.live else self.high


@dataclass
class Standing:
    state: int = HEALTHY
    episode: int = 0
    step: int = 0


Transition = tuple[Account, int, int, int, int, int]
"""(account, episode, step, before, after, price seq)."""


def fold(
    books: Sequence[tuple[Book, Mapping[str, str]]],
    owners: Mapping[Account, Sequence[str]],
    ticks: Iterable[Tick],
    standings: dict[Account, Standing] | None = None,
    prices: dict[str, Tick] | None = None,
) -> list[Transition]:
    """Transitions of every account over the ticks, positions standing still.

    books: one a chain, with its token -> asset names; owners: each account's address on each chain.
    """
    standings = {} if standings is None else standings
    prices = {} if prices is None else prices
    found: list[Transition] = []
    for tick in ticks:
        prices[tick.asset] = tick
        for account, addresses in owners.items():
            standing = standings.setdefault(account, Standing())
            collateral, weighted, debt = _value(books, addresses, prices, tick.at)
            after = _next_state(standing.state, collateral, weighted, debt)
            if after == standing.state:
                continue
            if standing.state == HEALTHY:
                standing.episode, standing.step = standing.episode + 1, 0
            standing.step += 1
            found.append((account, standing.episode, standing.step, standing.state, after, tick.seq))
            standing.state = after
    return found


def _value(
    books: Sequence[tuple[Book, Mapping[str, str]]], addresses: Sequence[str], prices: Mapping[str, Tick], at: int
) -> tuple[int, Fraction, int]:
    collateral, weighted, debt = 0, Fraction(0), 0
    for (book, assets), owner in zip(books, addresses, strict=True):
        for token, asset in assets.items():
            decimals, threshold = book.threshold[token]
            price = prices.get(asset)
            held, owed = book.collateral[owner, token], book.debt[owner, token]
            if price is None:
                assert held == owed == 0, f"{asset} is held but was never priced"
                continue
            value = floor(Fraction(held * price.held_at, 10**decimals))
            collateral += value
            weighted += Fraction(value * threshold, 10_000)
            if owed:
                index, rate, since = book.index[token]
                grown = floor(Fraction(index * (RAY + rate * max(at - since, 0)), RAY))
                balance = ceil(Fraction(owed * grown, RAY))
                debt += ceil(Fraction(balance * price.owed_at, 10**decimals))
    return collateral, weighted, debt


def _next_state(now: int, collateral: int, weighted: Fraction, debt: int) -> int:
    raw = _classify(collateral, weighted, debt, Fraction(1))
    if raw >= now:
        return raw
    return min(now, _classify(collateral, weighted, debt, CLEARANCE))


def _classify(collateral: int, weighted: Fraction, debt: int, clearance: Fraction) -> int:
    if debt == 0:
        return HEALTHY
    score = Fraction(collateral - debt, debt)
    health = weighted / debt
    by_score = sum(score < limit * clearance for limit in SCORE_LIMITS)
    by_health = sum(health < limit * clearance for limit in HEALTH_LIMITS)
    return max(by_score, by_health)
