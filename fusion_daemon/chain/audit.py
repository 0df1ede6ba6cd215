"""Are the stored logs of final blocks those that endpoints show? Which blocks come next, where they differ, and what
follows. Pure.

Nothing in a header tells how many logs of ours a block holds: a node that leaves out one of several is found only by
another node, or by the block's receipts. So blocks are compared by count and checksum, those that differ are settled by
their receipts, and what the receipts have more is repaired.

INVARIANTS
* A log is repaired when the receipts of every endpoint asked have it, and have it alike.
* Only what is stored and was read is compared; a block that its version does not cover is late history's to read.
* A stored log is never altered, whatever an endpoint says: that it differs is told, and an operator decides.
* A block is audited when every contract of its versions was; each version has its own mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby

from fusion_daemon.chain.blocks import Log
from fusion_daemon.chain.coverage import Coverage, Range
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.domain.journal import BlockRef

Digest = tuple[int, bytes]
"""Of a block's logs: their count and checksum."""
Digests = Mapping[int, Digest]
"""By block number; of blocks without logs there is none."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Blocks that are compared together, and of whose contracts."""

    versions: tuple[int, ...]
    range: Range

    def contracts(self, coverage: Coverage) -> tuple[Address, ...]:
        return tuple(each for version in self.versions for each in coverage.of_version(version, self.range.last))


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds of some blocks and contracts."""

    blocks: Mapping[int, BlockRef]
    """Canonical ones whose logs are all there; of others retention has dropped some."""
    digests: Digests


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored log that an endpoint's receipts do not have, or have otherwise; or one that is not stored and on which
    the endpoints do not agree."""

    block: BlockRef
    log_index: int
    endpoint: int


@dataclass(frozen=True, slots=True)
class Verdict:
    missing: tuple[Log, ...] = ()
    """In chain order."""
    differences: tuple[Difference, ...] = ()


def next_stretch(view: ChainView, audited: Mapping[int, int]) -> Stretch | None:
    """The lowest blocks, up to the last final one, that some version covers and that were not audited for it.
    `audited`: up to where, by version. None: there is nothing to audit now."""
    tip = view.tip
    if tip is None:
        return None
    until = min(view.finalized, tip.number)
    due = {version: _due(view.coverage, version, audited, until) for version in view.coverage.ranges}
    found = {version: ahead for version, ahead in due.items() if ahead is not None}
    if not found:
        return None
    first = min(ahead.first for ahead in found.values())
    begun = {version: ahead for version, ahead in found.items() if ahead.first == first}
    later = (ahead.first - 1 for version, ahead in found.items() if version not in begun)
    last = min((*(ahead.last for ahead in begun.values()), *later))
    return Stretch(tuple(sorted(begun)), Range(first, last))


def _due(coverage: Coverage, version: int, audited: Mapping[int, int], until: int) -> Range | None:
    """The version's next blocks. None also while those before them are still being read: their turn comes first."""
    start = audited_to(coverage, version, audited)
    if start is None:
        return None
    ahead = next((each for each in coverage.ranges[version] if each.last > start), None)
    if ahead is None or ahead.first > until:
        return None
    first = max(start + 1, ahead.first)
    if any(gap.first < first and gap.last > start for gap in coverage.gaps(version, until)):
        return None
    return Range(first, min(ahead.last, until)) if first <= until else None


def audited_to(coverage: Coverage, version: int, audited: Mapping[int, int]) -> int | None:
    """The last block audited of a version. None: it has no contracts."""
    since = min((each.since for each in coverage.contracts if each.filter_version == version), default=None)
    return None if since is None else max(audited.get(version, since - 1), since - 1)


def lowest_audited(coverage: Coverage, audited: Mapping[int, int]) -> int | None:
    """Up to where every contract was audited."""
    marks = (audited_to(coverage, version, audited) for version in coverage.ranges)
    return min((mark for mark in marks if mark is not None), default=None)


def still_audits(view: ChainView, stretch: Stretch) -> bool:
    """Is what was compared still stored as it was? Final blocks do not change, though a reorg may take a contract."""
    held = (view.coverage.ranges.get(version, ()) for version in stretch.versions)
    asked = stretch.range
    return all(any(each.first <= asked.first and asked.last <= each.last for each in ranges) for ranges in held)


def digests(logs: Iterable[Log]) -> Digests:
    """Of logs in chain order, whatever blocks they are of."""
    found: dict[int, Digest] = {}
    for number, held in groupby(logs, key=lambda log: log.block_number):
        marks = [_mark(log) for log in held]
        found[number] = (len(marks), sha256(b"".join(marks)).digest())
    return found


def _mark(log: Log) -> bytes:
    """As `audit_rows` computes it in SQL."""
    octets = (
        log.block_hash,
        log.log_index.to_bytes(4, "big"),
        log.transaction_hash,
        log.transaction_index.to_bytes(4, "big"),
        log.address,
        len(log.topics).to_bytes(4, "big"),
        *log.topics,
        log.data,
    )
    return sha256(b"".join(octets)).digest()


def suspects(stored: Stored, shown: Digests) -> tuple[int, ...]:
    """Blocks of which an endpoint showed other logs than those stored, ascending."""
    return tuple(number for number in sorted(stored.blocks) if stored.digests.get(number) != shown.get(number))


def judge(stored: Stored, held: Sequence[Log], proved: Mapping[int, Sequence[Log]]) -> Verdict:
    """Of some blocks: `held`, their stored logs; `proved`, those of each endpoint's receipts."""
    mine = _by_place(held)
    shown = {endpoint: _by_place(logs) for endpoint, logs in proved.items()}
    missing: list[Log] = []
    differences: list[Difference] = []
    for number, index in sorted({*mine, *(place for logs in shown.values() for place in logs)}):
        here = mine.get((number, index))
        said = {endpoint: logs.get((number, index)) for endpoint, logs in shown.items()}
        denied = [endpoint for endpoint, log in said.items() if log != here]
        new = next(iter(said.values()))
        if denied and here is None and new is not None and all(log == new for log in said.values()):
            missing.append(new)
        elif denied:
            differences.append(Difference(stored.blocks[number], index, denied[0]))
    return Verdict(tuple(missing), tuple(differences))


def _by_place(logs: Iterable[Log]) -> dict[tuple[int, int], Log]:
    return {(log.block_number, log.log_index): log for log in logs}
