"""Of which blocks the logs of which contracts were read. Pure.

INVARIANTS
* Contracts that are read from the same moment on share a filter version; 1 are those of the chain's first block.
* A version covers a block when the logs of all its contracts in that canonical block are stored, none missing.
* A contract that is read once is read from then on, also when the configuration names it no more: otherwise its
  balances would stand still without a word.
* A block that an operator skips is never covered by that: it is missing, but nobody goes for it by himself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fusion_daemon.chain.blocks import Created, Log
from fusion_daemon.domain.identifiers import Address

FIRST_VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Blocks first..last, inclusive and at least one."""

    first: int
    last: int


Ranges = tuple[Range, ...]
"""Ascending; between two of them at least one block is missing."""


def joined(ranges: Ranges, new: Range) -> Ranges:
    """With `new`, which may overlap what is there."""
    below = tuple(each for each in ranges if each.last < new.first - 1)
    above = tuple(each for each in ranges if each.first > new.last + 1)
    met = [new, *(each for each in ranges if each not in below and each not in above)]
    return (*below, Range(min(each.first for each in met), max(each.last for each in met)), *above)


def without_above(ranges: Ranges, highest: int) -> Ranges:
    """What of them is not above `highest`."""
    return tuple(Range(each.first, min(each.last, highest)) for each in ranges if each.first <= highest)


def missing(ranges: Ranges, asked: Range) -> Ranges:
    """What of `asked` they leave out."""
    gaps: list[Range] = []
    first = asked.first
    for each in ranges:
        if first <= min(each.first - 1, asked.last):
            gaps.append(Range(first, min(each.first - 1, asked.last)))
        first = max(first, each.last + 1)
    if first <= asked.last:
        gaps.append(Range(first, asked.last))
    return tuple(gaps)


def common(ranges: Ranges, others: Ranges) -> Ranges:
    """What is in both."""
    return tuple(
        Range(max(one.first, other.first), min(one.last, other.last))
        for one in ranges
        for other in others
        if one.first <= other.last and other.first <= one.last
    )


def stretch(ranges: Ranges, first: int, until: int) -> tuple[int, bool]:
    """Up to where, from `first` on and at `until` at most, they hold all blocks or none; and whether all."""
    for each in ranges:
        if each.first <= first <= each.last:
            return min(each.last, until), True
        if first < each.first <= until:
            return each.first - 1, False
    return until, False


def size_of(ranges: Ranges) -> int:
    """Blocks."""
    return sum(each.last - each.first + 1 for each in ranges)


@dataclass(frozen=True, slots=True)
class Contract:
    address: Address
    filter_version: int
    since: int
    """The first block that may hold logs of it which count."""
    origin: Address | None
    """The factory that created it; None: the configuration names it."""


@dataclass(frozen=True, slots=True)
class Coverage:
    contracts: tuple[Contract, ...] = ()
    """By version, then in the order in which they came to be known."""
    ranges: Mapping[int, Ranges] = field(default_factory=lambda: MappingProxyType({}))
    """Of each version."""
    skipped: Ranges = ()
    """Blocks that are stored without their logs, by an operator's order, until a replay makes them good."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whose logs are read at the head."""
        return tuple(contract.address for contract in self.contracts)

    def gaps(self, version: int, tip: int) -> Ranges:
        """What is still to be read up to `tip` of the contracts of a version."""
        unread = self.unread(version, tip)
        if not self.skipped:
            return unread
        return tuple(gap for each in unread for gap in missing(self.skipped, each))

    def left_out(self, version: int, tip: int) -> Ranges:
        """What was skipped up to `tip` of the contracts of a version, and is not read by now."""
        return common(self.unread(version, tip), self.skipped)

    def unread(self, version: int, tip: int) -> Ranges:
        """What was not read up to `tip` of the contracts of a version, for whatever reason."""
        since = min((each.since for each in self.contracts if each.filter_version == version), default=tip + 1)
        return missing(self.ranges[version], Range(since, tip)) if since <= tip else ()

    def missing(self, tip: int) -> int:
        """Blocks up to `tip` that are still to be read, each counted once for every version that lacks it."""
        return sum(size_of(self.gaps(version, tip)) for version in self.ranges)

    def skipping(self, ranges: Iterable[Range]) -> Coverage:
        """With the order to leave these out, too."""
        skipped = self.skipped
        for each in ranges:
            skipped = joined(skipped, each)
        return replace(self, skipped=skipped)

    def skips(self, tip: int) -> Ranges:
        """Blocks up to `tip` that were skipped for some contract and are not read by now."""
        found: Ranges = ()
        for version in self.ranges if self.skipped else ():
            for each in self.left_out(version, tip):
                found = joined(found, each)
        return found

    def of_version(self, version: int, until: int) -> tuple[Address, ...]:
        """Those that may have logs in blocks up to `until`."""
        return tuple(each.address for each in self.contracts if each.filter_version == version and each.since <= until)

    def created(self, found: Iterable[Created]) -> Coverage:
        """With what factories created in blocks that are read with all logs of it: it is of its factory's version."""
        versions = {each.address: each.filter_version for each in self.contracts}
        fresh = {each.address: each for each in reversed(tuple(found)) if each.address not in versions}
        contracts = sorted(fresh.values(), key=lambda each: each.block)
        return self._with(
            Contract(each.address, versions[each.factory], each.block, each.factory) for each in contracts
        )

    def created_late(self, found: Iterable[Created]) -> Coverage:
        """With what factories created in blocks of their late history: one more version, of which nothing was read."""
        version = max(self.ranges) + 1
        fresh = self.created(found).contracts[len(self.contracts) :]
        if not fresh:
            return self
        return replace(
            self._with(replace(each, filter_version=version) for each in fresh), ranges={**self.ranges, version: ()}
        )

    def counting(self, logs: Iterable[Log]) -> tuple[Log, ...]:
        """Without those of contracts that were not created yet: what is stored depends on no span."""
        since = {each.address: each.since for each in self.contracts if each.origin is not None}
        if not since:
            return tuple(logs)
        return tuple([log for log in logs if since.get(log.address, 0) <= log.block_number])

    def _with(self, contracts: Iterable[Contract]) -> Coverage:
        return replace(self, contracts=(*self.contracts, *contracts))

    def retracted(self, above: int) -> Coverage:
        """Without what was created in blocks that are not the chain's any more."""
        kept = tuple(each for each in self.contracts if each.origin is None or each.since <= above)
        return self if kept == self.contracts else replace(self, contracts=kept)

    def read_late(self, version: int, first: int, last: int) -> Coverage:
        """The logs of that version's contracts were read in these canonical blocks."""
        return replace(self, ranges={**self.ranges, version: joined(self.ranges[version], Range(first, last))})

    def read(self, first: int, last: int, without_logs: Collection[int] = ()) -> Coverage:
        """These blocks are the canonical chain's up to its tip, and the logs of all contracts were read in them, except
        in those `without_logs`."""
        fresh: Ranges = (Range(first, last),)
        if without_logs:
            fresh = missing(_ranges_of(without_logs), Range(first, last))
        ranges = {version: without_above(held, first - 1) for version, held in self.ranges.items()}
        for each in fresh:
            ranges = {version: joined(held, each) for version, held in ranges.items()}
        return replace(self, ranges=ranges)

    def configured(self, addresses: Iterable[Address], start: int) -> Coverage:
        """With those of them that are not known yet, as one more version of which nothing was read."""
        known: Collection[Address] = {contract.address for contract in self.contracts}
        version = max(self.ranges, default=FIRST_VERSION - 1) + 1
        fresh = tuple(
            Contract(address, version, start, None) for address in dict.fromkeys(addresses) if address not in known
        )
        if not fresh and version > FIRST_VERSION:
            return self
        return replace(self, contracts=(*self.contracts, *fresh), ranges={**self.ranges, version: ()})


def _ranges_of(numbers: Collection[int]) -> Ranges:
    found: Ranges = ()
    for number in sorted(numbers):
        found = joined(found, Range(number, number))
    return found


NOTHING_READ = Coverage()
