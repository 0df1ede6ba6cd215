"""The fold: evidence, reorgs, finality and time in; changed messages out. Pure: no clock, no I/O.

INVARIANT: after any path of applies and retracts every standing equals the judgement of the canonical set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush

import msgspec

from fusion_daemon.crosschain.closing import Closed
from fusion_daemon.crosschain.evidence import Evidence, MessageId, Place, Sent
from fusion_daemon.crosschain.judgement import Rules, Subject, judge
from fusion_daemon.crosschain.ledger import Ledger
from fusion_daemon.crosschain.pruning import Pruned, Pruning
from fusion_daemon.crosschain.standing import Standing, Transition
from fusion_daemon.domain.identifiers import ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef


class TrackerState(msgspec.Struct, frozen=True):
    """All that a tracker knows: from rows, or from another tracker."""

    evidence: tuple[Evidence, ...]
    finalized: dict[ChainId, int]
    lost: dict[MessageId, Sent]
    abandoned: tuple[MessageId, ...]
    standings: tuple[Standing, ...]
    """As last told: what differs from them is told by the next `settle`."""
    closed: dict[MessageId, Closed]
    """Whose evidence is kept no longer."""


class MessageTracker:
    """Folds, and then one `settle`, as often as wanted. See the room's own page for the order."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._ledger = Ledger()
        self._finalized: dict[ChainId, int] = {}
        self._unfinal: dict[ChainId, dict[Hash32, int]] = {}
        """Blocks with evidence that are not final yet, and their numbers."""
        self._abandoned: dict[MessageId, None] = {}
        self._standings: dict[MessageId, Standing] = {}
        self._due: list[tuple[int, MessageId]] = []
        self._scheduled: dict[MessageId, int] = {}
        """The entries of the heap that count; others are left behind."""
        self._redrawn: list[Standing] = []
        self._pruning = Pruning(self._ledger, self._standings)

    @classmethod
    def restored(cls, rules: Rules, state: TrackerState) -> MessageTracker:
        """As if every fold had happened, with `state.standings` as the last word."""
        tracker = cls(rules)
        tracker._finalized.update(state.finalized)
        tracker._abandoned.update(dict.fromkeys(state.abandoned))
        for message, closed in state.closed.items():
            tracker._ledger.remember(message, closed)
        tracker._ledger.add(state.evidence)
        for each in state.evidence:
            tracker._watch(each.place)
        tracker._standings.update((standing.id, standing) for standing in state.standings)
        tracker._ledger.restore_lost(state.lost, tracker._standings)
        return tracker

    def state(self) -> TrackerState:
        return TrackerState(
            tuple(self._ledger),
            dict(self._finalized),
            dict(self._ledger.lost),
            tuple(self._abandoned),
            tuple(self._standings.values()),
            dict(self._ledger.closed),
        )

    # Folds

    def apply(self, chain: ChainId, block: BlockRef, evidence: Sequence[Evidence]) -> None:
        """A block became canonical, with what was read of its logs. Twice is once; a part may come later."""
        assert all((each.place.chain, each.place.block_hash) == (chain, block.hash) for each in evidence)
        if evidence:
            self._ledger.add(evidence)
            self._watch(evidence[0].place)

    def retract(self, chain: ChainId, block: BlockRef) -> None:
        """A block is canonical no longer: all of its evidence goes, whatever came of it."""
        self._ledger.drop(chain, block.hash)
        self._unfinal.get(chain, {}).pop(block.hash, None)

    def finality(self, chain: ChainId, finalized: int) -> None:
        """The highest final block of a chain; a lower one than before is ignored, finality never goes back."""
        if finalized <= self._finalized.get(chain, -1):
            return
        self._finalized[chain] = finalized
        pending = self._unfinal.get(chain, {})
        for block in [block for block, number in pending.items() if number <= finalized]:
            del pending[block]
            self._ledger.touch_block((chain, block))

    def abandon(self, message: MessageId) -> None:
        """The operator's word; the caller keeps the audit trail."""
        self._abandoned[message] = None
        self._ledger.touched[message] = None

    def resume(self, message: MessageId) -> None:
        """The operator takes the word back."""
        self._abandoned.pop(message, None)
        self._ledger.touched[message] = None

    def prune(self, before: int, portion: int) -> Pruned:
        """Forget what is kept no longer, in some blocks more at each call. Between a `settle` and the next fold.
        `before`: unix second from which on all is kept."""
        return self._pruning.look(self._finalized, before, portion)

    # Answers

    def settle(self, now: int) -> list[Transition]:
        """What changed since the last one, at unix second `now`, by message id."""
        touched = self._ledger.touched
        while self._due and self._due[0][0] <= now:
            at, message = heappop(self._due)
            if self._scheduled.get(message) == at:
                del self._scheduled[message]
                touched[message] = None
        found = []
        for message in sorted(touched):
            transition = self._settle(message, now)
            if transition is not None:
                found.append(transition)
        altered = self._ledger.altered.keys() - {each.id for each in found}
        self._redrawn = [self._standings[message] for message in sorted(altered & self._standings.keys())]
        touched.clear()
        self._ledger.altered.clear()
        return found

    @property
    def redrawn(self) -> Sequence[Standing]:
        """Whose evidence changed up to the last `settle` without changing what is told of them: the same transaction
        in another block, gas that was added."""
        return self._redrawn

    @property
    def next_due(self) -> int | None:
        """The unix second at which `settle` may have something to tell though nothing is folded."""
        return self._due[0][0] if self._due else None

    def standing(self, message: MessageId) -> Standing | None:
        """As of the last `settle`."""
        return self._standings.get(message)

    def standings(self) -> Collection[Standing]:
        return self._standings.values()

    def evidence_of(self, message: MessageId) -> list[Evidence]:
        return self._ledger.evidence_of(message)

    @property
    def lost(self) -> Mapping[MessageId, Sent]:
        """Messages whose source was seen and is not canonical, as it last was."""
        return self._ledger.lost

    def _settle(self, message: MessageId, now: int) -> Transition | None:
        before = self._standings.get(message)
        after = judge(self._subject(message), self._rules, self._finalized, now)
        if after is None:
            self._standings.pop(message, None)
        else:
            self._standings[message] = after
        self._schedule(message, None if after is None else after.due)
        if after is before or (after is not None and after.same(before)):
            return None
        return Transition(message, before, after, tuple(self._undone(before)))

    def _schedule(self, message: MessageId, due: int | None) -> None:
        if due is None:
            self._scheduled.pop(message, None)
        elif self._scheduled.get(message) != due:
            self._scheduled[message] = due
            heappush(self._due, (due, message))

    def _subject(self, message: MessageId) -> Subject:
        ledger = self._ledger
        lost = ledger.lost.get(message)
        return Subject(
            message,
            ledger.envelope(message),
            ledger.evidence_of(message),
            None if lost is None else lost.place,
            None if lost is None else ledger.successor(message),
            message in self._abandoned,
            ledger.closed.get(message),
        )

    def _undone(self, before: Standing | None) -> Iterable[Place]:
        if before is None or before.id in self._ledger.closed:
            return ()  # what was forgotten is final
        places: Iterator[Place] = iter(before.because)
        return (place for place in places if (place.chain, place.block_hash) not in self._ledger.blocks)

    def _watch(self, place: Place) -> None:
        if place.block_number > self._finalized.get(place.chain, -1):
            self._unfinal.setdefault(place.chain, {})[place.block_hash] = place.block_number
