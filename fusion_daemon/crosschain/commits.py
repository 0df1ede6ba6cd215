"""Which commit of a CCIP lane covers which numbers.

Commits of a lane are sorted by their first number; real ones do not overlap, and where they do, looking back as far as
the widest one finds them all.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator

from fusion_daemon.crosschain.evidence import CcipCommitted, CcipRootRemoved, CcipSent, EvidenceKey, Lane, MessageId
from fusion_daemon.domain.identifiers import ChainId, Hash32

_Entry = tuple[int, EvidenceKey]


class CommitIndex:
    def __init__(self) -> None:
        self._numbers: dict[Lane, dict[int, dict[EvidenceKey, MessageId]]] = {}
        self._sorted: dict[Lane, list[_Entry]] = {}
        self._commits: dict[EvidenceKey, CcipCommitted] = {}
        self._widest: dict[Lane, int] = {}
        self._roots: dict[tuple[ChainId, Hash32], dict[EvidenceKey, CcipCommitted | CcipRootRemoved]] = {}

    def add_sent(self, sent: CcipSent) -> None:
        if sent.lane is not None:
            self._numbers.setdefault(sent.lane, {}).setdefault(sent.seq, {})[sent.key] = sent.id

    def drop_sent(self, sent: CcipSent) -> None:
        if sent.lane is not None:
            lane = self._numbers[sent.lane]
            del lane[sent.seq][sent.key]
            if not lane[sent.seq]:
                del lane[sent.seq]

    def add(self, evidence: CcipCommitted | CcipRootRemoved) -> None:
        self._roots.setdefault((evidence.place.chain, evidence.root), {})[evidence.key] = evidence
        if isinstance(evidence, CcipCommitted) and evidence.lane is not None:
            self._commits[evidence.key] = evidence
            insort(self._sorted.setdefault(evidence.lane, []), (evidence.first, evidence.key))
            width = evidence.last - evidence.first
            self._widest[evidence.lane] = max(width, self._widest.get(evidence.lane, 0))

    def drop(self, evidence: CcipCommitted | CcipRootRemoved) -> None:
        held = self._roots[evidence.place.chain, evidence.root]
        del held[evidence.key]
        if not held:
            del self._roots[evidence.place.chain, evidence.root]
        if isinstance(evidence, CcipCommitted) and evidence.lane is not None:
            del self._commits[evidence.key]
            entries = self._sorted[evidence.lane]
            del entries[bisect_right(entries, (evidence.first, evidence.key)) - 1]

    def concerned(self, evidence: CcipCommitted | CcipRootRemoved) -> Iterable[MessageId]:
        """Whose commit this is, or was."""
        if isinstance(evidence, CcipCommitted):
            return self._within(evidence)
        held = self._roots.get((evidence.place.chain, evidence.root), {}).values()
        return [found for each in held if isinstance(each, CcipCommitted) for found in self._within(each)]

    def _within(self, commit: CcipCommitted) -> Iterator[MessageId]:
        lane = {} if commit.lane is None else self._numbers.get(commit.lane, {})
        if commit.last - commit.first < len(lane):
            found = (lane[number] for number in range(commit.first, commit.last + 1) if number in lane)
        else:
            found = (there for number, there in lane.items() if commit.first <= number <= commit.last)
        for there in found:
            yield from there.values()

    def covering(self, sent: CcipSent) -> Iterator[CcipCommitted | CcipRootRemoved]:
        """The commits that hold this message, and the removals of their roots."""
        entries = None if sent.lane is None else self._sorted.get(sent.lane)
        if sent.lane is None or not entries:
            return
        lowest = sent.seq - self._widest[sent.lane]
        place = bisect_right(entries, sent.seq, key=lambda entry: entry[0])
        while place and entries[place - 1][0] >= lowest:
            place -= 1
            commit = self._commits[entries[place][1]]
            if commit.last >= sent.seq:
                yield from self._roots[commit.place.chain, commit.root].values()
