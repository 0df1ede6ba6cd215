"""Which evidence is kept no longer: that of closed messages, and strangers'.

INVARIANTS
* No message stands otherwise than before, neither now nor after a restart nor when the same logs are read again.
* Strangers' evidence (of executions, commits and payments that no message of ours claims, and of forgeries) goes by
  age once it is final, and the oldest of it sooner while there is more than MOST_STRANGERS: public contracts let
  anybody write as much as he pays for.
* What is not final stays.

It walks the blocks round and round, a portion at a time, so that no look takes long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from fusion_daemon.crosschain.closing import Closed, closed_of, settled
from fusion_daemon.crosschain.evidence import Evidence, EvidenceKey, MessageId
from fusion_daemon.crosschain.ledger import Block, Ledger
from fusion_daemon.crosschain.standing import Standing
from fusion_daemon.domain.identifiers import ChainId

MOST_STRANGERS = 50_000
_ALWAYS = 2**63


@dataclass(slots=True)
class Pruned:
    """What one look found to be kept no longer, and has forgotten."""

    evidence: list[EvidenceKey] = field(default_factory=list)
    closed: dict[MessageId, Closed] = field(default_factory=dict)
    strangers: int = 0
    """Pieces of `evidence` that were no message's of ours."""
    crowded: int = 0
    """Those of them that were young enough to stay, had there not been too many."""


class Pruning:
    def __init__(self, ledger: Ledger, standings: Mapping[MessageId, Standing], most: int = MOST_STRANGERS) -> None:
        self._ledger = ledger
        self._standings = standings
        self._most = most
        self._walk: Iterator[Block] = iter(())
        self._young: list[tuple[int, EvidenceKey]] = []
        """Strangers' evidence that this round has left, with its time."""
        self._excess: Iterator[EvidenceKey] = iter(())
        """What the last round found too much of it, the oldest first."""

    def look(self, finalized: Mapping[ChainId, int], before: int, portion: int) -> Pruned:
        """Forget what is spent in the next `portion` of blocks. `before`: unix second from which on all is kept."""
        pruned = Pruned()
        blocks = list(islice(self._walk, portion))
        if not blocks:
            self._count()
            self._walk = iter(tuple(self._ledger.blocks))
        for block in blocks:
            for each in tuple(self._ledger.blocks.get(block, {}).values()):
                if settled((each,), finalized, _ALWAYS):
                    self._consider(pruned, each, finalized, before)
        self._thin(pruned, finalized, portion)
        return pruned

    def _consider(self, pruned: Pruned, each: Evidence, finalized: Mapping[ChainId, int], before: int) -> None:
        if not self._held(each):
            return  # it went with its message
        strange = self._strange(each)
        if each.place.timestamp < before:
            self._drop(pruned, each, finalized, before)
        elif strange:
            self._young.append((each.place.timestamp, each.key))

    def _count(self) -> None:
        """At the end of a round: the oldest of too many."""
        excess = max(0, len(self._young) - self._most)
        self._excess = iter([key for _, key in sorted(self._young)[:excess]])
        self._young = []

    def _thin(self, pruned: Pruned, finalized: Mapping[ChainId, int], portion: int) -> None:
        for key in islice(self._excess, portion):
            each = self._ledger.piece(key)
            if each is not None and self._strange(each):
                count = len(pruned.evidence)
                self._drop(pruned, each, finalized, _ALWAYS)
                pruned.crowded += len(pruned.evidence) - count

    def _drop(self, pruned: Pruned, each: Evidence, finalized: Mapping[ChainId, int], before: int) -> None:
        concerned = [message for message in self._ledger.concerned(each) if message in self._standings]
        if not concerned:
            pruned.strangers += 1
            pruned.evidence.append(each.key)
            self._ledger.forget(each)
            return
        for message in concerned:
            named = self._ledger.named(message)
            closed = closed_of(self._standings[message])
            shown = self._ledger.evidence_of(message)
            if each.key in named and closed is not None and settled(shown, finalized, before):
                pruned.strangers += len(named) if closed.forged is not None else 0
                pruned.evidence += named
                pruned.closed[message] = closed
                self._ledger.close(message, closed)

    def _strange(self, each: Evidence) -> bool:
        """Of no message, or of one that is a forgery and nothing else."""
        found = (self._standings.get(message) for message in self._ledger.concerned(each))
        closed = [closed_of(standing) for standing in found if standing is not None]
        return all(each is not None and each.forged is not None for each in closed)

    def _held(self, each: Evidence) -> bool:
        return self._ledger.piece(each.key) is not None
