"""One `Commit` as one transaction, and how to find out whether it happened.

INVARIANTS
* The fence comes first and locks every stream and cursor of the commit until it ends. A commit that is
  still on its way when its witness is read therefore makes the reader wait: the answer is final.
* Whether a stream's or a cursor's commit happened is answered only under the epoch it carried. Once
  another actor has claimed the stream, the one who asks is fenced, whatever became of its commit.
* Before all of it stands the lease: a transaction that writes is let in only under the newest term (the pool's
  BEGIN asks `hold_lease`). Epochs fence actors against each other; the term fences a whole daemon, whose actors
  would otherwise draw newer epochs than their successors' when they are restarted.
* Work that has only a `proof` holds an advisory lock of its own in place of the row locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fusion_daemon.domain.failure import Failure
from fusion_daemon.store.writes import Advance, Append, Commit, Copy, Execute, ExecuteMany, Write

if TYPE_CHECKING:
    from fusion_daemon.store.pool import Session

_FENCE = """
WITH moved_streams AS (
    UPDATE streams SET head = claimed.head + claimed.added
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS claimed (name, epoch, head, added)
    WHERE streams.name = claimed.name AND streams.epoch = claimed.epoch AND streams.head = claimed.head
    RETURNING 1
), moved_cursors AS (
    UPDATE cursors SET position = claimed.after
    FROM unnest($5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::bigint[])
        AS claimed (consumer, stream, epoch, before, after)
    WHERE cursors.consumer = claimed.consumer AND cursors.stream = claimed.stream
        AND cursors.epoch = claimed.epoch AND cursors.position = claimed.before
    RETURNING 1
)
SELECT (SELECT count(*) FROM moved_streams) = cardinality($1) AND
       (SELECT count(*) FROM moved_cursors) = cardinality($5)"""

_STREAM = "SELECT epoch, head AS position FROM streams WHERE name = $1 FOR UPDATE"
_CURSOR = "SELECT epoch, position FROM cursors WHERE consumer = $1 AND stream = $2 FOR UPDATE"
_LOCK = "SELECT pg_advisory_xact_lock($1)"


class Fenced(Failure):
    """Another writer or consumer took over: this one is a zombie and must end."""


class Superseded(Fenced):
    """Another daemon has begun a newer term of the lease: this one writes nothing any more and must end."""


class WriteConflict(Failure):
    """A statement changed another number of rows than it had to; the whole commit was rolled back."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream or a cursor must stand before a commit and stands after it."""

    what: str
    query: str
    key: tuple[str, ...]
    epoch: int
    before: int
    after: int


Witness = Place | Execute


def check(commit: Commit) -> None:
    """Raises ValueError for a commit that no one could resolve, or that fences one place twice."""
    streams = [append.stream for append in commit.appends]
    cursors = [(advance.consumer, advance.stream) for advance in commit.advances]
    if len(set(streams)) < len(streams) or len(set(cursors)) < len(cursors):
        raise ValueError("a commit appends to a stream once and moves a cursor once")
    witness(commit)


def witness(commit: Commit) -> Witness:
    """The first place that the commit moves, else its proof."""
    for place in _places(commit):
        if place.after > place.before:
            return place
    if commit.proof is None:
        raise ValueError("a commit moves a head or a cursor, or carries a proof")
    return commit.proof


async def perform(session: Session, commit: Commit, lock: int) -> None:
    """Everything between BEGIN and COMMIT. Raises `Fenced`, `WriteConflict`, and the database's errors."""
    if commit.appends or commit.advances:
        await _fence(session, commit)
    if isinstance(witness(commit), Execute):
        await session.execute(_LOCK, lock)
    for append in commit.appends:
        numbered = [(seq, *row) for seq, row in enumerate(append.rows, append.head + 1)]
        await _copy(session, Copy(append.table, ("seq", *append.columns), numbered))
    for write in commit.writes:
        await _write(session, write)


async def happened(session: Session, commit: Commit, lock: int) -> bool:
    """Inside a transaction of its own: whether `commit` took effect, waiting for one still on its way.
    Raises `Fenced` when that can no longer be known, because someone else owns the place."""
    sought = witness(commit)
    if isinstance(sought, Execute):
        await session.execute(_LOCK, lock)
        return bool(await session.fetchval(sought.sql, *sought.args))
    row = await session.fetchrow(sought.query, *sought.key)
    if row is None or row["epoch"] != sought.epoch or not sought.before <= row["position"]:
        raise _fenced(sought, None if row is None else (row["epoch"], row["position"]))
    return int(row["position"]) >= sought.after


async def _fence(session: Session, commit: Commit) -> None:
    appends, advances = commit.appends, commit.advances
    held = await session.fetchval(
        _FENCE,
        [append.stream for append in appends],
        [append.epoch for append in appends],
        [append.head for append in appends],
        [len(append.rows) for append in appends],
        [advance.consumer for advance in advances],
        [advance.stream for advance in advances],
        [advance.epoch for advance in advances],
        [advance.before for advance in advances],
        [advance.after for advance in advances],
    )
    if not held:
        raise await _which_is_fenced(session, commit)


async def _which_is_fenced(session: Session, commit: Commit) -> Fenced:
    """After a failed fence, in its transaction: those that held show the moved place."""
    for place in _places(commit):
        row = await session.fetchrow(place.query, *place.key)
        if row is None or (row["epoch"], row["position"]) != (place.epoch, place.after):
            return _fenced(place, None if row is None else (row["epoch"], row["position"]))
    raise AssertionError("the fence failed and every place was moved")


def _fenced(place: Place, found: tuple[int, int] | None) -> Fenced:
    stands = "does not exist" if found is None else f"has epoch {found[0]} and stands at {found[1]}"
    return Fenced(
        f"The {place.what} {'/'.join(place.key)} {stands}; this actor holds epoch {place.epoch}"
        f" and expected {place.before}.",
        "Another actor has taken over, or this one lost track; its write was refused and nothing changed.",
        "Nothing, if a restart or a second daemon caused it: the actor starts again from the store.",
    )


def _places(commit: Commit) -> Iterator[Place]:
    for append in commit.appends:
        yield _stream_place(append)
    for advance in commit.advances:
        yield _cursor_place(advance)


def _stream_place(append: Append) -> Place:
    after = append.head + len(append.rows)
    return Place("stream", _STREAM, (append.stream,), append.epoch, append.head, after)


def _cursor_place(advance: Advance) -> Place:
    key = (advance.consumer, advance.stream)
    return Place("cursor", _CURSOR, key, advance.epoch, advance.before, advance.after)


async def _write(session: Session, write: Write) -> None:
    match write:
        case Execute():
            status = await session.execute(write.sql, *write.args)
            if write.expect is not None:
                _check_count(write, status)
        case ExecuteMany():
            if write.rows:
                await session.executemany(write.sql, write.rows)
        case Copy():
            await _copy(session, write)


def _check_count(write: Execute, status: str) -> None:
    count = status.rsplit(" ", 1)[-1]
    if count != str(write.expect):
        raise WriteConflict(
            f"A statement was to change {write.expect} rows and changed {count}: {' '.join(write.sql.split())}.",
            "Someone else changed these rows first; the whole commit was rolled back.",
            "Nothing: the actor reads the rows again and decides anew.",
        )


async def _copy(session: Session, copy: Copy) -> None:
    # Also for one row: its second round trip was not measurable beside a pipelined INSERT.
    if copy.rows:
        await session.copy_records_to_table(copy.table, columns=copy.columns, records=copy.rows)
