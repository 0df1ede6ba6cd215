"""Registers of a chain, kept with their history so that a reorg can take the last value away again."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Generic, TypeVar

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, AssetId, ChainId
from fusion_daemon.domain.journal import AssetParameters, CreditChange, IndexUpdate
from fusion_daemon.risk.margin import RAY, borrow_index

T = TypeVar("T")

KEPT = 1_024
"""Values of one register that stay in memory. A retract that reaches deeper restarts the actor, which
reads the history again and keeps all of it until that retract is folded."""


class JournalMismatch(Failure):
    """A retract names a register value that was never applied, or that is no longer kept."""


class History(Generic[T]):
    """The values of one register, ordered by (block, log index); the last one is in force.

    A late backfill may put a value below others: order decides, not arrival.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: list[tuple[int, int, T]] = []

    @property
    def last(self) -> T | None:
        return self._values[-1][2] if self._values else None

    def put(self, block: int, log_index: int, value: T) -> None:
        insort(self._values, (block, log_index, value), key=itemgetter(0, 1))

    def set(self, block: int, log_index: int, value: T, *, forward: bool) -> None:
        if forward:
            self.put(block, log_index, value)
        else:
            self.take(block, log_index)

    def trim(self) -> None:
        """Forget what no reorg reaches any more. Not while unwinding, which may go back further."""
        if len(self._values) > 2 * KEPT:
            del self._values[:-KEPT]

    def take(self, block: int, log_index: int) -> None:
        """Raises JournalMismatch when there is no value of that log."""
        at = bisect_left(self._values, (block, log_index), key=itemgetter(0, 1))
        if at == len(self._values) or self._values[at][:2] != (block, log_index):
            raise JournalMismatch(
                f"The journal retracts a register value (block {block}, log {log_index}) that is not held.",
                "The margin picture cannot follow this chain's journal from here.",
                "Nothing if it happens once (a very deep reorg: the actor reads the registers anew); "
                "if it repeats, report it with the chain's journal around that block.",
            )
        del self._values[at]


@dataclass(slots=True, eq=False)
class Market:
    """A token in a vault: its parameters, its borrow index and the asset it is priced as."""

    chain: ChainId
    vault: Address
    token: Address
    asset: AssetId | None
    """None: the configuration does not say what this token is."""
    number: int
    """Dense, in order of appearance: the column of a matrix."""
    parameters: History[AssetParameters] = field(default_factory=History[AssetParameters])
    index: History[IndexUpdate] = field(default_factory=History[IndexUpdate])

    def index_at(self, time: int) -> int:
        """The borrow index (ray) at unix second `time`; RAY before the vault said anything."""
        update = self.index.last
        if update is None:
            return RAY
        return borrow_index(update.borrow_index, update.borrow_rate, time - update.timestamp)


@dataclass(slots=True, eq=False)
class CreditLine:
    """What the desk grants an owner in one vault, USD x 1e8."""

    history: History[CreditChange] = field(default_factory=History[CreditChange])

    @property
    def limit(self) -> int:
        change = self.history.last
        return 0 if change is None else change.limit
