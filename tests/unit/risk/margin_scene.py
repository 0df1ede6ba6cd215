"""Two chains with a vault each, WETH (18 decimals) and USDC (6), and journals drawn block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from fusion_daemon.domain.identifiers import AccountId, Address, AssetId, ChainId, Hash32, unregistered
from fusion_daemon.domain.journal import (
    CHAIN_VERSION,
    AssetParameters,
    BalanceChange,
    BlockRef,
    Change,
    CreditChange,
    IndexUpdate,
    JournalEntry,
    Op,
    Side,
)
from fusion_daemon.domain.margin import MarginEvent
from fusion_daemon.domain.price import USD_SCALE, Price, PriceStatus
from fusion_daemon.risk.margin import RAY
from fusion_daemon.risk.monitor import Case, MarginMonitor, in_order
from fusion_daemon.risk.portfolio import Portfolio
from fusion_daemon.risk.settings import RiskSettings

ONE, TWO = ChainId(1), ChainId(2)
VAULT = Address(b"\x0a" * 20)
WETH, USDC = Address(b"\xe0" * 20), Address(b"\xdc" * 20)
ETH, USD = AssetId("ETH"), AssetId("USDC")
TOKENS = {(chain, token): asset for chain in (ONE, TWO) for token, asset in ((WETH, ETH), (USDC, USD))}
ETHER, DOLLAR = 10**18, 10**6
GENESIS = 1_700_000_000
"""Unix seconds of block 0; a block every 12 s."""


def owner(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def name(number: int, chain: ChainId = ONE) -> AccountId:
    return unregistered(chain, owner(number))


def deposit(who: int, amount: int, token: Address = WETH) -> BalanceChange:
    return BalanceChange(VAULT, owner(who), token, Side.COLLATERAL, amount)


def borrow(who: int, scaled: int, token: Address = USDC) -> BalanceChange:
    return BalanceChange(VAULT, owner(who), token, Side.DEBT, scaled)


def credit(who: int, limit: int, log_index: int = 0) -> CreditChange:
    return CreditChange(VAULT, owner(who), limit, log_index)


def listed(log_index: int = 0, weth_threshold: int = 8_000) -> tuple[AssetParameters, AssetParameters]:
    return (
        AssetParameters(VAULT, WETH, 18, 7_500, weth_threshold, log_index),
        AssetParameters(VAULT, USDC, 6, 8_000, 9_000, log_index + 1),
    )


def accrual(index: int, rate: int, timestamp: int, log_index: int = 0, token: Address = USDC) -> IndexUpdate:
    return IndexUpdate(VAULT, token, index, rate, timestamp, log_index)


def usd(seq: int, asset: AssetId, dollars: float, at: int = GENESIS, status: PriceStatus = PriceStatus.LIVE) -> Price:
    units = round(dollars * USD_SCALE)
    spread = 0 if status is PriceStatus.LIVE else units // 10
    return Price(seq, asset, units, units - spread, units + spread, status, at, at)


@dataclass
class JournalWriter:
    """Draws one chain's journal: `apply(5, ..., fork="b")` is block 5b."""

    chain: ChainId = ONE
    entries: list[JournalEntry] = field(default_factory=list)

    def apply(self, number: int, *changes: Change, fork: str = "a", settles: bool = True) -> JournalEntry:
        return self._add(Op.APPLY, number, changes, fork, settles)

    def retract(self, number: int, *changes: Change, fork: str = "a", settles: bool = False) -> JournalEntry:
        return self._add(Op.RETRACT, number, changes, fork, settles)

    def late(self, number: int, *changes: Change, whole: bool = False, version: int = 2) -> JournalEntry:
        """What was not read of block `number` before; `whole`: the last of it, whose block is the tip."""
        return self._add(Op.APPLY, number, changes, "a", whole, version)

    def _add(
        self, op: Op, number: int, changes: tuple[Change, ...], fork: str, settles: bool, version: int = CHAIN_VERSION
    ) -> JournalEntry:
        digest = hashlib.sha256(f"{self.chain}/{number}{fork}".encode()).digest()
        block = BlockRef(number, Hash32(digest), GENESIS + 12 * number)
        entry = JournalEntry(self.chain, len(self.entries) + 1, op, block, settles, changes, version)
        self.entries.append(entry)
        return entry


class Desk:
    """A monitor and what it has said so far; `now` is the clock's time when a block is folded."""

    def __init__(self, settings: RiskSettings | None = None, started_at: int = 0) -> None:
        settings = settings or RiskSettings(TOKENS)
        self.portfolio = Portfolio(TOKENS, (ONE, TWO))
        self.monitor = MarginMonitor(settings, self.portfolio, {}, started_at)
        self.events: list[MarginEvent] = []
        self.now = GENESIS

    def conclude(self, case: Case | None) -> list[MarginEvent]:
        """The events of one case, in the order in which they are committed."""
        if case is None:
            return []
        found: list[MarginEvent] = []
        for portion in self.monitor.blocks(case):
            found += self.monitor.decide(portion, case.driver)
        found = in_order(found)
        self.events += found
        return found

    def price(self, price: Price) -> list[MarginEvent]:
        return self.conclude(self.monitor.price(price))

    def fold(self, *entries: JournalEntry) -> list[MarginEvent]:
        return [event for entry in entries for event in self.conclude(self.monitor.entry(entry, self.now))]


def opened_market(desk: Desk, writer: JournalWriter, eth: float = 2_000.0) -> None:
    """Block 1 lists both tokens at index 1; ETH has its price and USDC is a dollar."""
    desk.price(usd(1, ETH, eth))
    desk.price(usd(2, USD, 1.0))
    desk.fold(writer.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2)))


def told(events: Iterable[MarginEvent]) -> list[tuple[str, str, int, int]]:
    return [(event.kind.value, event.after.name, event.episode, event.step) for event in events]
