"""What a unit of gas is offered: EIP-1559, from the node's fee history, within a cap. All in wei, all integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_TIP = 1_000_000
"""0.001 gwei: a chain whose blocks are empty names no tip at all, and some nodes take none without one."""
BASE_FEE_ROOM = 2
"""A base fee doubles in six full blocks: so long the first offer stays good."""


@dataclass(frozen=True, slots=True)
class Fees:
    most: int
    """maxFeePerGas."""
    tip: int
    """maxPriorityFeePerGas, at most `most`."""


@dataclass(frozen=True, slots=True)
class Market:
    base_fee: int
    """Of the next block."""
    tip: int


def market_of(base_fees: Sequence[int], rewards: Sequence[int]) -> Market:
    """`base_fees` ends with the next block's; `rewards` holds the median tip of each block. Raises ValueError without
    a base fee."""
    if not base_fees or base_fees[-1] < 0:
        raise ValueError("a fee history without a base fee")
    paid = sorted(reward for reward in rewards if reward > 0)
    return Market(base_fees[-1], max(LEAST_TIP, paid[len(paid) // 2] if paid else 0))


def first_offer(market: Market, cap: int) -> Fees | None:
    """None while the next block costs more than the cap."""
    if cap < market.base_fee + LEAST_TIP:
        return None
    most = min(cap, BASE_FEE_ROOM * market.base_fee + market.tip)
    return Fees(most, min(market.tip, most - market.base_fee))


def better_offer(before: Fees, market: Market, cap: int) -> Fees | None:
    """Replaces `before` in any pool: at least an eighth more of both. None when the cap forbids it."""
    offered = first_offer(market, cap) or Fees(0, 0)
    most, tip = max(_raised(before.most), offered.most), max(_raised(before.tip), offered.tip)
    return Fees(most, tip) if tip <= most <= cap else None


def _raised(fee: int) -> int:
    return max(fee + 1, -(-fee * 9 // 8))
