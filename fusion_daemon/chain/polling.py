"""When to ask again, adapted to the observed block time and slowed down by rate limits and faults; and when to ask
somebody else, since the chain stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fusion_daemon.chain.settings import PollSettings
from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.domain.journal import BlockRef

_POLLS_PER_BLOCK = 5
_OBSERVED_BLOCKS = 16
_LARGEST_BACKOFF = 60.0
_MISSED_BLOCKS = 10


def block_time(blocks: Sequence[BlockRef]) -> float | None:
    """Mean seconds between the last blocks, by their own timestamps; None when fewer than two are known."""
    recent = blocks[-_OBSERVED_BLOCKS:]
    if len(recent) < 2:
        return None
    return (recent[-1].timestamp - recent[0].timestamp) / (recent[-1].number - recent[0].number)


@dataclass(frozen=True, slots=True)
class Polling:
    """`slowdown` multiplies the interval: 1 normally, doubled by every rate limit, halved by every
    success.
    """

    bounds: PollSettings
    slowdown: float = 1.0
    faults: int = 0
    """Faults in a row."""

    def interval(self, blocks: Sequence[BlockRef]) -> float:
        """Seconds until the next look at the head: a fifth of a block time, within the bounds. So a block
        waits a fifth of its own time at most, and a chain of fast blocks is not asked more than it moves."""
        observed = block_time(blocks)
        wish = self.bounds.longest if observed is None else observed / _POLLS_PER_BLOCK
        return self.slowdown * min(max(wish, self.bounds.shortest), self.bounds.longest)

    @property
    def heeds_hints(self) -> bool:
        """Not while faults or limits tell us to ask less: a hint says nothing about those."""
        return self.faults == 0 and self.slowdown == 1.0

    def succeeded(self) -> Polling:
        if self.faults == 0 and self.slowdown == 1.0:
            return self
        return replace(self, faults=0, slowdown=max(1.0, self.slowdown / 2))

    def progressed(self) -> Polling:
        """Something was committed: the faults before it were not in a row with those that come."""
        return self if self.faults == 0 else replace(self, faults=0)

    def limited(self) -> Polling:
        """The provider said: too many requests."""
        return replace(self.failed(), slowdown=min(self.slowdown * 2, 64.0))

    def failed(self) -> Polling:
        return replace(self, faults=self.faults + 1)

    def backoff(self, asked: float | None) -> float:
        """Seconds to wait after a fault: doubling from the shortest interval, at least what the provider
        asked for (Retry-After) and never more than a minute unless it asked for more."""
        own = min(self.bounds.shortest * self.slowdown * 2.0 ** min(self.faults, 16), _LARGEST_BACKOFF)
        return own if asked is None else max(own, asked)


@dataclass(frozen=True, slots=True)
class Stillness:
    """How long the stored tip has been the same. An endpoint that is frozen exactly there looks sound: what it says
    is true, and nothing follows from it."""

    tip: Hash32 | None = None
    since: float = 0.0
    """Of the monotonic clock, in seconds."""
    looks: int = 0
    """So many looks found nothing new since the pause is longer than the chain's own."""

    def looked(self, blocks: Sequence[BlockRef], now: float, shortest: float) -> Stillness:
        """After a look, with the stored blocks up to the tip. Longer than ten block times, and than `shortest`
        seconds, is no ordinary pause."""
        tip = blocks[-1].hash if blocks else None
        if tip is None or tip != self.tip:
            return Stillness(tip, now)
        usual = max(shortest, _MISSED_BLOCKS * (block_time(blocks) or 0.0))
        return replace(self, looks=self.looks + 1) if now - self.since > usual else self
