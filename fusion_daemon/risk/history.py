"""Blocks that are folded but not judged: history, whose prices of the time nobody kept. Pure.

The rule of history: a block more than TOLERANCE older than the prices (a first sync, a chain added later,
a listener that was down for long) is not judged at them: a loan of last year at today's price would be
called and relieved again. Whom such blocks touched is left alone, by ticks of prices and of interest too,
until the chain is level with the present: its next block that is not history, or, on a chain that stands
still or lags by a constant time, when its blocks no longer run ahead of the clock. Then they are judged
once. A journal's cursor does not move past what was not judged, so the next life folds it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import BlockRef, JournalEntry, Op
from fusion_daemon.risk.episodes import Retracted
from fusion_daemon.risk.portfolio import Touched

TOLERANCE = 300
"""Seconds by which a block may be older than the prices at which it is judged."""
STEADY_SECONDS = 30.0
"""How long a chain is watched before its history is taken for all there is."""


@dataclass(slots=True)
class Pending:
    """What entries of one chain left behind that are folded, but not judged yet."""

    touched: Touched = field(default_factory=Touched)
    retracted: Retracted | None = None
    history: BlockRef | None = None
    """The last block that settled and was too old to be judged; None inside a reorg."""

    def add(self, entry: JournalEntry, touched: Touched) -> None:
        self.touched.add(touched)
        if entry.op is Op.RETRACT:
            number, before = entry.block.number, self.retracted
            lowest, tip = (number, number) if before is None else (before.lowest, before.tip)
            self.retracted = Retracted(entry.chain, min(lowest, number), max(tip, number))


class Paces:
    """Which of the chains that are history are level: over STEADY_SECONDS their blocks have advanced by no more
    than twice the time that passed. A chain that still catches up advances many times faster."""

    def __init__(self) -> None:
        self._marks: dict[ChainId, tuple[float, int]] = {}

    def level(self, history: Mapping[ChainId, BlockRef], now: float) -> ChainId | None:
        """One of them at `now` (monotonic seconds); its watch begins anew."""
        for gone in self._marks.keys() - history.keys():
            del self._marks[gone]
        for chain, block in sorted(history.items()):
            began, first = self._marks.setdefault(chain, (now, block.timestamp))
            if now - began >= STEADY_SECONDS:
                self._marks[chain] = (now, block.timestamp)
                if block.timestamp - first <= 2 * (now - began):
                    return chain
        return None
