"""What a commit holds that obeys an operator's order: a piece of a replay or a redecode, or skips that come into force.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from fusion_daemon.chain.audit import Stretch
from fusion_daemon.chain.coverage import Coverage, Range, stretch
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.journal import ChainView, Plan, completions
from fusion_daemon.chain.journal_rows import append_write, fence
from fusion_daemon.chain.orders import Order, Skip, Tally
from fusion_daemon.chain.repair import Record, Repair, plan_repair
from fusion_daemon.store.writes import Commit, Execute, Write

_NOTHING = Repair({})


@dataclass(frozen=True, slots=True)
class Piece:
    """Blocks of a replay that are compared together."""

    stretch: Stretch
    """Of no versions: nothing of these blocks was read yet, which is late history's to do."""
    skipped: tuple[int, ...]
    """The versions of which these blocks were skipped."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was found in the next blocks of an order."""

    order: Order
    until: int
    """Its last block."""
    found: Tally
    repair: Repair = _NOTHING
    """Empty on a dry run."""
    read: tuple[int, ...] = ()
    """Versions of which these blocks were skipped, and are read now."""
    further: tuple[Write, ...] = ()


def next_piece(coverage: Coverage, asked: Range) -> Piece:
    """The beginning of what is asked, as far as each version has read, skipped or not read all of it."""
    last, skipped = stretch(coverage.skipped, asked.first, asked.last)
    read: list[int] = []
    lacking: list[int] = []
    for version, held in coverage.ranges.items():
        last, covered = stretch(held, asked.first, last)
        if covered:
            read.append(version)
        elif skipped:
            lacking.append(version)
    return Piece(Stretch(tuple(sorted((*read, *lacking))), Range(asked.first, last)), tuple(lacking))


def plan_step(view: ChainView, epoch: int, table: EventTable, step: Step, skips: Sequence[Skip]) -> Plan:
    """`skips`: those not made good."""
    coverage = view.coverage
    for version in step.read:
        coverage = coverage.read_late(version, step.order.next, step.until)
    tip = view.tip
    assert tip is not None
    made_good = [skip for skip in skips if step.read and skip.made_good(coverage, tip.number)]
    left = (skip.range for skip in skips if skip not in made_good and skip.in_force_at is not None)
    coverage = replace(coverage, skipped=()).skipping(left) if made_good else coverage
    return plan_repair(view, epoch, table, step.repair, _record(step, made_good), coverage)


def _record(step: Step, made_good: Sequence[Skip]) -> Record:
    """That these blocks were looked at, and what came of the order altogether."""
    order = step.order
    ended = step.until >= order.range.last
    result = msgspec.json.encode(order.tally.plus(step.found)).decode()
    writes = [
        *step.further,
        Execute(
            "UPDATE chain_orders SET state = $3, next = $4, result = $5::jsonb, trouble = NULL,"
            " ended_at = CASE WHEN $6 THEN now() END WHERE id = $1 AND next = $2",
            (order.number, order.next, "done" if ended else "running", step.until + 1, result, ended),
            expect=1,
        ),
    ]
    if made_good:
        numbers = [skip.number for skip in made_good]
        writes.append(Execute("UPDATE chain_skips SET made_good_at = now() WHERE id = ANY($1)", (numbers,)))
    proof = Execute("SELECT next > $2 FROM chain_orders WHERE id = $1", (order.number, step.until))
    return Record(tuple(writes), proof)


def plan_skips(view: ChainView, epoch: int, skips: Sequence[Skip]) -> Plan:
    """These skips are in force from now on. A contract whose history lacks nothing else is whole by that."""
    after = replace(view, coverage=view.coverage.skipping(skip.range for skip in skips))
    told = tuple(completions(view, after))
    after = replace(after, seq=view.seq + len(told))
    numbers = [skip.number for skip in skips]
    mark = Execute("UPDATE chain_skips SET in_force_at = now() WHERE id = ANY($1) AND in_force_at IS NULL", (numbers,))
    proof = Execute("SELECT bool_and(in_force_at IS NOT NULL) FROM chain_skips WHERE id = ANY($1)", (numbers,))
    appends = (append_write(view.chain, epoch, view.seq, told),) if told else ()
    return Plan(Commit((fence(view.chain, epoch), mark), appends, proof=proof), told, after, 0)


def trouble_commit(order: Order, trouble: str, *, failed: bool) -> Commit:
    """Why an order does not get on; or never will."""
    return Commit(
        (
            Execute(
                "UPDATE chain_orders SET trouble = $2, state = CASE WHEN $3 THEN 'failed' ELSE state END,"
                " ended_at = CASE WHEN $3 THEN now() END WHERE id = $1",
                (order.number, trouble, failed),
            ),
        ),
        proof=Execute(
            "SELECT trouble = $2 AND (state = 'failed') = $3 FROM chain_orders WHERE id = $1",
            (order.number, trouble, failed),
        ),
    )
