"""What a commit of late history holds: logs of contracts that were not read when their blocks were stored. Pure.

INVARIANT: it adds only what was missing. No block changes, no log is stored twice, the tip stays, and each entry
carries the changes of the logs that this commit stores and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from fusion_daemon.chain.blocks import Header, Log, Span
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.coverage_rows import coverage_writes
from fusion_daemon.chain.events import Event, EventTable
from fusion_daemon.chain.journal import ChainView, Plan, completions
from fusion_daemon.chain.journal_rows import (
    append_write,
    block_writes,
    fence,
    log_writes,
    partition_writes,
    position_writes,
    register_writes,
)
from fusion_daemon.chain.validate import Unlinked, check_span
from fusion_daemon.domain.identifiers import Hash32, hex_of
from fusion_daemon.domain.journal import JournalEntry, Op
from fusion_daemon.store.writes import Commit, Execute


@dataclass(frozen=True, slots=True)
class LateSpan:
    """Read for one filter version, and found to be of the stored chain."""

    version: int
    span: Span
    stored: frozenset[Hash32]
    """Those of its blocks that are stored; of the others retention has dropped even the header."""

    @property
    def range(self) -> Range:
        return Range(self.span.headers[0].number, self.span.headers[-1].number)


def first_gap(view: ChainView) -> tuple[int, Range] | None:
    """The oldest missing blocks of the oldest version that misses any. None: nothing is missing."""
    tip = view.tip
    if tip is None:
        return None
    gaps = (
        (version, gap) for version in sorted(view.coverage.ranges) for gap in view.coverage.gaps(version, tip.number)
    )
    return next(gaps, None)


def check_late(span: Span, first: int, stored: Mapping[int, tuple[Hash32, Hash32]]) -> None:
    """`stored`: hash and parent of the stored blocks among those of the span and its two neighbours. Raises Unlinked
    when the span is not of the stored chain, Inconsistent when it contradicts itself."""
    below = stored.get(first - 1)
    check_span(span, first, None if below is None else below[0])
    for header in span.headers:
        if header.number in stored and stored[header.number][0] != header.hash:
            raise _elsewhere(header.number, header.hash)
    top = span.headers[-1]
    above = stored.get(top.number + 1)
    if above is not None and above[1] != top.hash:
        raise _elsewhere(top.number, top.hash)


def _elsewhere(number: int, block: Hash32) -> Unlinked:
    return Unlinked(
        f"Block {number} came as {hex_of(block)}, which is not the one that is stored.",
        "The chain is being reorganised, or the endpoint is on another one; nothing of it is stored.",
        "Nothing: the listener follows its head first and asks again.",
    )


def still_fits(view: ChainView, late: LateSpan) -> bool:
    """Is it still missing, and every block of it still the chain's? Below the view's window blocks do not change."""
    gap = first_gap(view)
    if gap is None or gap[0] != late.version or gap[1].first != late.range.first or gap[1].last < late.range.last:
        return False
    held = ((view.block_at(header.number), header) for header in late.span.headers)
    return all(block is None or block.hash == header.hash for block, header in held)


def plan_late(view: ChainView, epoch: int, table: EventTable, late: LateSpan) -> Plan:
    """Call only while it `still_fits`."""
    logs = late.span.logs
    events = [table.event(log.address, log.log_index, log.topics, log.data) for log in logs]
    entries = _entries(view, late, logs, events)
    covered = view.coverage.read_late(late.version, late.range.first, late.range.last)
    after = replace(
        view,
        seq=view.seq + len(entries),
        coverage=covered.created_late(late.span.created),
    )
    told = (*entries, *completions(view, after))
    after = replace(after, seq=view.seq + len(told))
    dropped = [header for header in late.span.headers if header.hash not in late.stored]
    writes = (
        fence(view.chain, epoch),
        *partition_writes(view.chain, dropped),
        *_dropped_writes(view, dropped),
        *block_writes(view.chain, (), (), dropped),
        *log_writes(view.chain, logs, events, entries),
        *position_writes(view.chain, entries),
        *register_writes(view.chain, (), entries),
        *coverage_writes(view.chain, view.coverage, after.coverage),
    )
    undecodable = sum(event.name is not None and event.args is None for event in events)
    if told:
        return Plan(Commit(writes, (append_write(view.chain, epoch, view.seq, told),)), told, after, undecodable)
    return Plan(Commit(writes, proof=_proof(view, late)), (), after, undecodable)


def _dropped_writes(view: ChainView, dropped: Sequence[Header]) -> Sequence[Execute]:
    """These blocks come back without the logs of contracts that were read before: no endpoint withheld those."""
    if not dropped:
        return ()
    sql = "UPDATE chain_state SET dropped = greatest(dropped, $2) WHERE chain_id = $1"
    return (Execute(sql, (view.chain, dropped[-1].number)),)


def _entries(view: ChainView, late: LateSpan, logs: Sequence[Log], events: Sequence[Event]) -> tuple[JournalEntry, ...]:
    blocks = {header.hash: header.ref for header in late.span.headers}
    found = groupby(zip(logs, events, strict=True), key=lambda pair: pair[0].block_hash)
    return tuple(
        JournalEntry(
            view.chain,
            seq,
            Op.APPLY,
            blocks[block],
            False,
            tuple(change for _, event in pairs for change in event.changes),
            late.version,
        )
        for seq, (block, pairs) in enumerate(found, view.seq + 1)
    )


def _proof(view: ChainView, late: LateSpan) -> Execute:
    return Execute(
        "SELECT EXISTS (SELECT 1 FROM chain_coverage"
        " WHERE chain_id = $1 AND filter_version = $2 AND first <= $3 AND last >= $4)",
        (view.chain, late.version, late.range.first, late.range.last),
    )
