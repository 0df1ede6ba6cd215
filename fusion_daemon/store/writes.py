"""What a pure core asks the store to write: plain values, committed together by `Store.commit`.

INVARIANT: a `Commit` is all or nothing, and whether it happened can always be found out again.
When the answer to a COMMIT is lost, the store reads one witness: the head of the first `Append`,
else the position of the first `Advance`, else the `proof`. So every `Commit` carries at least one
of the three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

SqlScalar = None | bool | int | float | str | bytes | Decimal | datetime
SqlValue = SqlScalar | Sequence[SqlScalar]


@dataclass(frozen=True, slots=True)
class Execute:
    """One statement. With `expect`, a different number of affected rows rolls the whole commit back
    and raises `WriteConflict` (a fenced claim, for example)."""

    sql: str
    args: tuple[SqlValue, ...] = ()
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class ExecuteMany:
    """One statement for many argument tuples."""

    sql: str
    rows: Sequence[tuple[SqlValue, ...]]


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows by COPY: the fastest way in, but a duplicate key fails the whole commit."""

    table: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[SqlValue, ...]]


Write = Execute | ExecuteMany | Copy


@dataclass(frozen=True, slots=True)
class Append:
    """Number `rows` head+1, head+2 … in `stream` and COPY them into `table` with that number as the
    first column, `seq`. Raises `Fenced` when the stream has another epoch or another head."""

    stream: str
    epoch: int
    head: int
    table: str
    columns: tuple[str, ...]
    """Without `seq`."""
    rows: Sequence[tuple[SqlValue, ...]]


@dataclass(frozen=True, slots=True)
class Advance:
    """Move a consumer's cursor from `before` to `after`. Raises `Fenced` when it has another epoch
    or stands elsewhere."""

    consumer: str
    stream: str
    epoch: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Commit:
    writes: tuple[Write, ...] = ()
    appends: tuple[Append, ...] = ()
    advances: tuple[Advance, ...] = ()
    proof: Execute | None = None
    """A SELECT of one boolean: true once this commit has happened. For work that claims rows
    instead of moving a cursor."""
