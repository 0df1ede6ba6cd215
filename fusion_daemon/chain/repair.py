"""What a commit holds that repairs final blocks: logs that an endpoint had withheld, and stored logs that could not be
decoded until now. Pure.

INVARIANTS
* It adds only what was missing. No block changes, the tip stays, no log is stored twice, and a log that was decoded
  once is never decoded otherwise.
* Each entry carries the changes of the logs that this commit stores or decodes, and no others; what was published
  before stays as it was.
* Only final blocks are repaired: those above may be replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from fusion_daemon.chain.blocks import Created, Log
from fusion_daemon.chain.coverage import Coverage
from fusion_daemon.chain.coverage_rows import coverage_writes
from fusion_daemon.chain.events import Event, EventTable
from fusion_daemon.chain.journal import ChainView, Plan
from fusion_daemon.chain.journal_rows import (
    append_write,
    fence,
    log_writes,
    position_writes,
    redecoded_writes,
    register_writes,
)
from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.domain.journal import REPAIR_VERSION, BlockRef, JournalEntry, Op
from fusion_daemon.store.writes import Commit, Execute, Write


@dataclass(frozen=True, slots=True)
class Repair:
    """Found in stored canonical blocks that are final."""

    blocks: Mapping[Hash32, BlockRef]
    """Those of the logs, at least."""
    missing: tuple[Log, ...] = ()
    """Not stored."""
    redecoded: tuple[Log, ...] = ()
    """Stored without arguments; the table decodes them by now."""
    created: tuple[Created, ...] = ()
    """What factories created with the missing logs. Nothing of it was read yet: it becomes late history."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored with a repair of whoever asked for it, also where there was nothing to repair."""

    writes: tuple[Write, ...]
    proof: Execute
    """Of a commit that appends nothing: a SELECT of one boolean, true once it has happened."""


def decodable(table: EventTable, logs: Iterable[Log]) -> tuple[Log, ...]:
    """Which of these stored logs, none of which has arguments, the table decodes by now."""
    return tuple(log for log in logs if _event(table, log).args is not None)


def plan_repair(
    view: ChainView, epoch: int, table: EventTable, repair: Repair, record: Record, coverage: Coverage | None = None
) -> Plan:
    """`coverage`: what it becomes, where the repair closes a gap; all logs of a skipped block are missing ones."""
    covered = (view.coverage if coverage is None else coverage).created_late(repair.created)
    logs = sorted((*repair.missing, *repair.redecoded), key=lambda log: (log.block_number, log.log_index))
    events = {(log.block_hash, log.log_index): _event(table, log) for log in logs}
    entries = _entries(view, repair.blocks, logs, events)
    missing = [events[log.block_hash, log.log_index] for log in repair.missing]
    writes = (
        fence(view.chain, epoch),
        *log_writes(view.chain, repair.missing, missing, entries),
        *redecoded_writes(
            view.chain,
            repair.redecoded,
            [events[log.block_hash, log.log_index] for log in repair.redecoded],
            entries,
        ),
        *position_writes(view.chain, entries),
        *register_writes(view.chain, (), entries),
        *coverage_writes(view.chain, view.coverage, covered),
        *record.writes,
    )
    after = replace(view, seq=view.seq + len(entries), coverage=covered)
    undecodable = sum(event.name is not None and event.args is None for event in missing)
    appends = (append_write(view.chain, epoch, view.seq, entries),) if entries else ()
    return Plan(Commit(writes, appends, proof=record.proof), entries, after, undecodable)


def _entries(
    view: ChainView,
    blocks: Mapping[Hash32, BlockRef],
    logs: Sequence[Log],
    events: Mapping[tuple[Hash32, int], Event],
) -> tuple[JournalEntry, ...]:
    """INVARIANT: only the last settles: before it, what the repair touches is not whole."""
    if not logs:
        return ()
    tip = view.tip
    assert tip is not None
    assert logs[-1].block_number <= min(view.finalized, tip.number)
    entries = [
        JournalEntry(
            view.chain,
            seq,
            Op.APPLY,
            blocks[block],
            False,
            tuple(change for log in held for change in events[block, log.log_index].changes),
            REPAIR_VERSION,
        )
        for seq, (block, held) in enumerate(groupby(logs, key=lambda log: log.block_hash), view.seq + 1)
    ]
    last = JournalEntry(view.chain, view.seq + len(entries) + 1, Op.APPLY, tip, True, (), REPAIR_VERSION)
    return (*entries, last)


def _event(table: EventTable, log: Log) -> Event:
    return table.event(log.address, log.log_index, log.topics, log.data)
