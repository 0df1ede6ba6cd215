"""One moment of the database, and the way from it back to the cursors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId
from fusion_daemon.domain.journal import JournalEntry, Register, Side, journal_stream
from fusion_daemon.domain.margin import ChainInput
from fusion_daemon.domain.price import Price
from fusion_daemon.risk.episodes import Standing
from fusion_daemon.risk.portfolio import Portfolio, Touched

_PORTION = 500


@dataclass(frozen=True, slots=True)
class Position:
    chain: ChainId
    vault: Address
    owner: Address
    token: Address
    side: Side
    amount: int


@dataclass(frozen=True, slots=True)
class RegisterValue:
    chain: ChainId
    block: int
    value: Register


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Read in one repeatable-read transaction."""

    positions: Sequence[Position]
    """At the journals' heads, as are the registers. None of a chain of which nothing was folded yet."""
    registers: Sequence[RegisterValue]
    backlog: Mapping[ChainId, Sequence[JournalEntry]]
    """Entries after each chain's cursor up to its head, where the cursor is above 0."""
    places: Sequence[ChainInput]
    """Where each chain stands at its cursor; at its head where it has no backlog."""
    prices: Sequence[Price]
    """The last of each asset up to the cursor."""
    price_seq: int
    """The cursor in the prices."""
    records: Sequence[AccountRecord]
    """The last of each account up to the cursor."""
    standings: Mapping[AccountId, Standing]
    heads: Mapping[str, int]
    """Of every stream."""
    fingerprint: str | None
    """Of the configuration last evaluated under; None: never evaluated."""
    late: Mapping[tuple[ChainId, int], Sequence[Address]] = field(default_factory=dict)
    """Contracts whose late history was folded in part at the cursor, by filter version."""


Blame = Callable[[JournalEntry], AbstractContextManager[None]]


def _nobody(_entry: JournalEntry) -> AbstractContextManager[None]:
    return nullcontext()


def restore(snapshot: Snapshot, portfolio: Portfolio, blame: Blame = _nobody) -> Iterator[None]:
    """Fill an empty portfolio so that it stands exactly at the cursors. What is raised over an entry of the backlog
    is raised within its `blame`.

    INVARIANT: afterwards it equals one that folded every entry from 1 up to the cursors. Positions and
    registers come as of the journals' heads; unwinding takes the backlog back out of them.

    Yields between portions of about a millisecond. Raises JournalMismatch.
    """
    for price in snapshot.prices:
        portfolio.set_price(price)
    portfolio.price_seq = snapshot.price_seq
    portfolio.start_heads = {chain: snapshot.heads.get(journal_stream(chain), 0) for chain in portfolio.chains}
    for number, record in enumerate(snapshot.records, 1):
        portfolio.register(record)
        if number % _PORTION == 0:
            yield
    for number, register in enumerate(snapshot.registers, 1):
        portfolio.put_register(register.chain, register.block, register.value)
        if number % _PORTION == 0:
            yield
    for number, held in enumerate(snapshot.positions, 1):
        market = portfolio.market(held.chain, held.vault, held.token)
        portfolio.move_balance((held.chain, held.owner), market, held.side, held.amount, Touched())
        if number % _PORTION == 0:
            yield
    for entries in snapshot.backlog.values():
        for entry in reversed(entries):
            with blame(entry):
                portfolio.unwind((entry,))
            yield
    for place in snapshot.places:
        portfolio.chains[place.chain] = place
