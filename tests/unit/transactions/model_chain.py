"""A chain of one account, small enough to believe: blocks, a pool, reorgs, and somebody else with the same key."""

from __future__ import annotations

from dataclasses import dataclass, field

from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.transactions.decide import Sight
from fusion_daemon.transactions.fees import Fees
from fusion_daemon.transactions.nonces import Counts
from fusion_daemon.transactions.records import Answer, Receipt
from tests.unit.transactions.making import GWEI, MARKET

FINALITY = 3
"""Blocks behind the head."""


@dataclass(frozen=True)
class Raw:
    hash: Hash32
    nonce: int
    fees: Fees


@dataclass
class ModelChain:
    blocks: list[list[Raw]] = field(default_factory=lambda: [[]])
    pool: dict[int, Raw] = field(default_factory=dict)
    heard: list[Raw] = field(default_factory=list)
    """All that was ever accepted."""
    forks: int = 0
    foreign: int = 0

    @property
    def head(self) -> int:
        return len(self.blocks) - 1

    @property
    def final(self) -> int:
        return max(0, self.head - FINALITY)

    def count(self, height: int) -> int:
        return sum(map(len, self.blocks[: height + 1]))

    @property
    def pending(self) -> int:
        nonce = self.count(self.head)
        while nonce in self.pool:
            nonce += 1
        return nonce

    def mined(self) -> dict[Hash32, int]:
        """The heights by hash."""
        return {raw.hash: height for height, block in enumerate(self.blocks) for raw in block}

    def sight(self, hashes: list[Hash32]) -> Sight:
        heights = self.mined()
        receipts = {
            each: Receipt(each, heights[each], Hash32(bytes([self.forks % 256]) * 32), True, 21_000, GWEI)
            for each in hashes
            if each in heights
        }
        pooled = {raw.hash for raw in self.pool.values()}
        counts = Counts(self.count(self.final), self.count(self.head), self.pending)
        return Sight(self.head, self.final, counts, MARKET, receipts, frozenset(pooled & {*hashes} | {*receipts}))

    def submit(self, raw: Raw) -> Answer:
        if raw.nonce < self.count(self.head):
            return Answer.TOO_LOW
        there = self.pool.get(raw.nonce)
        if there is not None and there.hash != raw.hash and not _outbids(raw.fees, there.fees):
            return Answer.UNDERPRICED
        self.pool[raw.nonce] = raw
        self.heard.append(raw)
        return Answer.ACCEPTED

    def mine(self) -> None:
        block: list[Raw] = []
        nonce = self.count(self.head)
        while nonce in self.pool:
            block.append(self.pool.pop(nonce))
            nonce += 1
        self.blocks.append(block)

    def reorg(self, depth: int) -> None:
        """The last blocks are replaced by empty ones; what was in them is forgotten. Nothing final is."""
        depth = min(depth, self.head - self.final)
        self.blocks[len(self.blocks) - depth :] = [[] for _ in range(depth)]
        self.forks += 1

    def somebody_else(self, nonce: int) -> Raw:
        self.foreign += 1
        return Raw(Hash32(b"\xff" * 28 + self.foreign.to_bytes(4, "big")), nonce, Fees(15 * GWEI, GWEI))


def _outbids(offered: Fees, there: Fees) -> bool:
    return offered.most * 10 >= there.most * 11 and offered.tip * 10 >= there.tip * 11
