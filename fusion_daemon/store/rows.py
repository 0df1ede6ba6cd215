"""A row of a query, parsed at the edge: every getter returns the one type it names, or fails aloud."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol, TypeVar

from fusion_daemon.domain.failure import Failure

T = TypeVar("T")


class Cells(Protocol):
    """What a driver's record and a dict have in common."""

    def __getitem__(self, name: str, /) -> object: ...


class UnexpectedColumn(Failure):
    """A query does not return what the code that reads it expects."""


class Row:
    __slots__ = ("_cells",)

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    def integer(self, name: str) -> int:
        """From smallint to bigint, and numeric without a fraction (numeric(78,0) holds a uint256)."""
        value = self._cells[name]
        if type(value) is int:
            return value
        if isinstance(value, Decimal) and value.is_finite():
            whole = int(value)
            if whole == value:
                return whole
        raise _unexpected(name, "an integer", value)

    def text(self, name: str) -> str:
        return self._one(name, str, "text")

    def octets(self, name: str) -> bytes:
        return self._one(name, bytes, "bytea")

    def boolean(self, name: str) -> bool:
        return self._one(name, bool, "a boolean")

    def moment(self, name: str) -> datetime:
        """From timestamptz: always aware, in UTC. A timestamp without a zone is refused."""
        value = self._one(name, datetime, "timestamptz")
        if value.tzinfo is None:
            raise _unexpected(name, "timestamptz", value)
        return value

    def number(self, name: str) -> float:
        """For display and statistics; what decides reads `integer`."""
        value = self._cells[name]
        if isinstance(value, (float, int, Decimal)) and not isinstance(value, bool):
            return float(value)
        raise _unexpected(name, "a number", value)

    def json(self, name: str) -> bytes:
        """json or jsonb as UTF-8, for the decoder of the caller's choice."""
        return self._one(name, str, "json").encode()

    def texts(self, name: str) -> tuple[str, ...]:
        """From text[]."""
        value = self._cells[name]
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return tuple(value)
        raise _unexpected(name, "text[]", value)

    def optional_integer(self, name: str) -> int | None:
        return None if self._cells[name] is None else self.integer(name)

    def optional_text(self, name: str) -> str | None:
        return None if self._cells[name] is None else self.text(name)

    def optional_octets(self, name: str) -> bytes | None:
        return None if self._cells[name] is None else self.octets(name)

    def optional_moment(self, name: str) -> datetime | None:
        return None if self._cells[name] is None else self.moment(name)

    def _one(self, name: str, kind: type[T], wanted: str) -> T:
        value = self._cells[name]
        if isinstance(value, kind):
            return value
        raise _unexpected(name, wanted, value)


def _unexpected(name: str, wanted: str, value: object) -> UnexpectedColumn:
    return UnexpectedColumn(
        f"The column {name} holds {type(value).__name__}, expected was {wanted}.",
        "The query and the code that reads it do not agree; nothing was changed.",
        "This is a fault of the program: report it with this message.",
    )
