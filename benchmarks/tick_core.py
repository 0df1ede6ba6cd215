"""What does one price tick cost for 100,000 accounts? The risk core alone: no database, no network.

    python benchmarks/tick_core.py [--accounts 100000] [--ticks 60] [--json]

Every account holds and owes two assets on one vault. Quiet ticks move the price by less than it takes for anybody
to cross; then one tick takes about a fifth of the accounts across a limit. A *stretch* is the time between two
points at which the calculator lets others run.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from dataclasses import dataclass

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, Hash32
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    BlockRef,
    Change,
    IndexUpdate,
    JournalEntry,
    Op,
    Side,
)
from fusion_daemon.domain.price import USD_SCALE, Price, PriceStatus
from fusion_daemon.risk.monitor import MarginMonitor
from fusion_daemon.risk.portfolio import Portfolio
from fusion_daemon.risk.settings import RiskSettings

CHAIN = ChainId(1)
VAULT, WETH, USDC = (Address(bytes([octet]) * 20) for octet in (0xAA, 0x01, 0x02))
TOKENS = {(CHAIN, WETH): AssetId("ETH"), (CHAIN, USDC): AssetId("USDC")}
ETHER, DOLLAR, RAY = 10**18, 10**6, 10**27
GENESIS = 1_700_000_000
ACCOUNTS_PER_BLOCK = 500


@dataclass(frozen=True, slots=True)
class Tick:
    milliseconds: float
    longest_stretch: float
    events: int


def measure(accounts: int = 100_000, ticks: int = 60) -> dict[str, float]:
    """CPU milliseconds of a tick in which nobody crosses, and of one in which many do."""
    chance = random.Random(7)
    monitor = _market(accounts, chance)
    _tick(monitor, 3, 2_000 * USD_SCALE)  # whoever is not healthy from the beginning
    usd = 2_000 * USD_SCALE
    quiet = []
    for number in range(ticks):
        usd += chance.choice((-1, 1)) * chance.randrange(1, 400)
        quiet.append(_tick(monitor, 10 + number, usd))
    crash = _tick(monitor, 10 + ticks, 1_500 * USD_SCALE)
    times = sorted(tick.milliseconds for tick in quiet)
    return {
        "accounts": accounts,
        "tick_ms_p50": statistics.median(times),
        "tick_ms_max": times[-1],
        "longest_stretch_ms": max(tick.longest_stretch for tick in quiet),
        "crash_tick_ms": crash.milliseconds,
        "crash_longest_stretch_ms": crash.longest_stretch,
        "crash_events": crash.events,
    }


def _market(accounts: int, chance: random.Random) -> MarginMonitor:
    portfolio = Portfolio(TOKENS, (CHAIN,))
    monitor = MarginMonitor(RiskSettings(TOKENS), portfolio, {}, GENESIS)
    listed: list[Change] = []
    for index, (token, decimals) in enumerate(((WETH, 18), (USDC, 6))):
        listed.append(AssetParameters(VAULT, token, decimals, 8_000, 8_250, index))
        listed.append(IndexUpdate(VAULT, token, RAY, 10**18, GENESIS, 2 + index))
    portfolio.fold(_block(1, listed))
    for number, first in enumerate(range(0, accounts, ACCOUNTS_PER_BLOCK), 2):
        changes = [
            change
            for owner in range(first, min(first + ACCOUNTS_PER_BLOCK, accounts))
            for change in _position(owner, chance)
        ]
        portfolio.fold(_block(number, changes))
    for seq, (asset, usd) in enumerate((("ETH", 2_000), ("USDC", 1)), 1):
        monitor.price(_price(seq, asset, usd * USD_SCALE))
    for _ in monitor.mirror():
        pass
    return monitor


def _position(owner: int, chance: random.Random) -> list[Change]:
    address = Address(owner.to_bytes(20, "big"))
    ethers = 1 + owner % 7

    def change(token: Address, side: Side, amount: int) -> BalanceChange:
        return BalanceChange(VAULT, address, token, side, amount)

    return [
        change(WETH, Side.COLLATERAL, ethers * ETHER + owner),
        change(USDC, Side.COLLATERAL, 100 * DOLLAR),
        change(USDC, Side.DEBT, int(ethers * chance.uniform(200, 1_000)) * DOLLAR),
        change(WETH, Side.DEBT, 10**15),
    ]


def _block(number: int, changes: list[Change]) -> JournalEntry:
    block = BlockRef(number, Hash32(number.to_bytes(32, "big")), GENESIS)
    return JournalEntry(CHAIN, number, Op.APPLY, block, True, tuple(changes))


def _price(seq: int, asset: str, usd: int) -> Price:
    return Price(seq, AssetId(asset), usd, usd, usd, PriceStatus.LIVE, GENESIS, GENESIS)


def _tick(monitor: MarginMonitor, seq: int, usd: int) -> Tick:
    began, last, longest, events = time.process_time(), time.perf_counter(), 0.0, 0
    case = monitor.price(_price(seq, "ETH", usd))
    for portion in monitor.blocks(case):
        events += len(monitor.decide(portion, case.driver))
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return Tick((time.process_time() - began) * 1_000, longest * 1_000, events)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    figures = {name: round(value, 3) for name, value in measure(options.accounts, options.ticks).items()}
    if options.json:
        print(json.dumps({"ours": figures, "peers": {}, "limit": {}}))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:12,.3f}")


if __name__ == "__main__":
    main()
