"""A risk calculator that entries can kill, its keeper, and the operator, on a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import pytest
import trio
import trio.lowlevel

from actors.quarantine_keeper import QuarantineKeeper, Ward
from actors.risk_calculator import MarginOf
from fusion_daemon.accounts.audit import By
from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.price import Price
from fusion_daemon.quarantine import repository
from fusion_daemon.quarantine.views import SetAsideView
from fusion_daemon.risk.monitor import Case, MarginMonitor
from fusion_daemon.risk.portfolio import Portfolio, Touched
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.runtime import ActorContext, ManualClock, TargetDied
from fusion_daemon.store import Reader, Row, Store
from tests.integration.risk.calculator_bench import DEADLINE, Bench

BY = By("treasury-ops", "request-1")


class Boom(Exception):
    """A defect of ours that one entry brings out."""


@dataclass
class Faults:
    """Which entries the fold cannot take; a switch, thrown at any time."""

    journal: set[tuple[str, int]] = field(default_factory=set)
    prices: set[int] = field(default_factory=set)
    accounts: set[AccountId] = field(default_factory=set)
    changes: set[tuple[str, int]] = field(default_factory=set)
    """Journal entries of which not even the change can be applied, forwards or backwards."""
    met: int = 0

    def meet(self, poisonous: bool, what: object) -> None:
        if poisonous:
            self.met += 1
            raise Boom(f"over {what}")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    found = Faults()
    entry, price = MarginMonitor.entry, MarginMonitor.price
    registration, change = MarginMonitor.registration, Portfolio._change

    def of_journal(self: MarginMonitor, one: JournalEntry, now: int) -> Case | None:
        found.meet((journal_stream(one.chain), one.seq) in found.journal, one.seq)
        return entry(self, one, now)

    def of_price(self: MarginMonitor, one: Price) -> Case:
        found.meet(one.seq in found.prices, one.seq)
        return price(self, one)

    def of_account(self: MarginMonitor, record: AccountRecord, now: int) -> Case:
        found.meet(record.account in found.accounts, record.account)
        return registration(self, record, now)

    def of_change(self: Portfolio, one: JournalEntry, *, forward: bool) -> Touched:
        found.meet((journal_stream(one.chain), one.seq) in found.changes, one.seq)
        return change(self, one, forward=forward)

    monkeypatch.setattr(MarginMonitor, "entry", of_journal)
    monkeypatch.setattr(MarginMonitor, "price", of_price)
    monkeypatch.setattr(MarginMonitor, "registration", of_account)
    monkeypatch.setattr(Portfolio, "_change", of_change)
    return found


class Clinic:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.bench = Bench(store)

    def another_daemon(self) -> None:
        """A restart of the process, or a takeover: nothing in memory is left."""
        self.bench.ward = Ward(ManualClock())

    async def deaths(self, count: int) -> None:
        """So many lives, each of which ends over an entry."""
        for _ in range(count):
            with trio.fail_after(DEADLINE), pytest.RaisesGroup(Boom, allow_unwrapped=True, flatten_subgroups=True):
                await self.bench.live(self.store)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[ActorContext]:
        async with self.bench.running() as context:
            yield context

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[ActorContext]:
        """The keeper's life."""
        context = ActorContext("quarantine_keeper", self.bench.clock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(QuarantineKeeper(self.bench.ward, self.store).run, context)
            yield context
            nursery.cancel_scope.cancel()

    async def written(self) -> None:
        async with self.keeping():
            await until(lambda: not self.bench.ward.unwritten)

    async def listed(self) -> tuple[SetAsideView, ...]:
        return await self.store.read(repository.list_set_aside, None, None, 100)

    async def replay(self, number: int) -> None:
        kept = await self.store.transact(repository.replay, str(number), BY)
        self.bench.ward.settled(kept.source)

    async def discard(self, number: int) -> None:
        kept = await self.store.transact(repository.discard, str(number), BY)
        self.bench.ward.settled(kept.source)

    async def shown(self, account: str, seen: Callable[[AccountMargin], bool]) -> AccountMargin:
        """An account's margin, once the answer is such a one."""
        with trio.fail_after(DEADLINE):
            while True:
                with ended_lives():
                    answer = await self.bench.requests.ask(MarginOf(AccountId(account)), DEADLINE)
                    if answer is not None and seen(answer):
                        return answer
                await trio.lowlevel.checkpoint()

    async def rows(self, sql: str) -> list[Row]:
        async def query(reader: Reader) -> list[Row]:
            return await reader.fetch(sql)

        return await self.store.read(query)

    async def cursor(self, stream: str) -> int:
        (row,) = await self.rows(f"SELECT position FROM cursors WHERE stream = '{stream}'")
        return row.integer("position")


@contextmanager
def ended_lives() -> Iterator[None]:
    """Between two lives nobody answers."""
    with suppress(TargetDied):
        yield


def stands_at(answer: AccountMargin, *seqs: int) -> bool:
    """How far the journals of chain one, two, … are folded."""
    return tuple(each.seq for each in answer.inputs.chains) == seqs


async def until(seen: Callable[[], bool]) -> None:
    with trio.fail_after(DEADLINE):
        while not seen():
            await trio.lowlevel.checkpoint()
