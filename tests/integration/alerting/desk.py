"""A dispatcher on a real store, its clock in the test's hand, and a way to wait for what it commits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, TypeVar

import trio
from typing_extensions import TypeVarTuple, Unpack

from actors.alert_dispatcher import AlertDispatcher
from fusion_daemon.aio import Aio
from fusion_daemon.alerting.acceptance import accept, accept_margin_events
from fusion_daemon.alerting.settings import AlertingSettings, Receiver
from fusion_daemon.domain.account import AccountRecord, Channel
from fusion_daemon.domain.alert import Alert
from fusion_daemon.domain.margin import (
    MarginEvent,
)
from fusion_daemon.runtime import ActorContext, Bell, ManualClock
from fusion_daemon.runtime.actor import Pause
from fusion_daemon.store import Claim, Commit, Execute, Reader, Row, Store, StoreUnavailable, Write
from tests.faults.receiver import Receiver as FaultyReceiver

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
DEADLINE = 20.0


class Stalled:
    """A transaction that its client has given up, and the server has not: it commits when it is let go."""

    def __init__(self, nursery: trio.Nursery, work: object) -> None:
        self.work = work
        """The next transaction that does this is the one."""
        self._nursery = nursery
        self.begun = trio.Event()
        self._let_go = threading.Event()

    async def begin(
        self, store: Store, work: Callable[[Reader, Unpack[Ts]], Awaitable[object]], *args: *Ts
    ) -> None:
        """Until everything of it but its COMMIT is done."""
        token = trio.lowlevel.current_trio_token()

        async def held(reader: Reader) -> None:
            await work(reader, *args)
            token.run_sync_soon(self.begun.set)
            await asyncio.to_thread(self._let_go.wait, DEADLINE)

        self._nursery.start_soon(store.transact, held)
        await self.begun.wait()

    def let_go(self) -> None:
        self._let_go.set()


class WatchedStore(Store):
    """The real store, and word of every write that has committed."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self._changed = trio.Event()
        self._begun = 0
        self._done = 0
        self.refuse_commits = 0
        """How many of the next commits fail without having happened."""
        self.refused = trio.Event()
        self.stall_commit: Literal["before", "after"] | None = None
        """The next commit is not answered, having happened or not, until it is cancelled."""
        self.commit_stalled = trio.Event()
        self.lose_answers = 0
        """How many of the next transactions commit and yet do not say so."""
        self.stalled: Stalled | None = None

    async def commit(self, commit: Commit) -> None:
        if self.refuse_commits:
            self.refuse_commits -= 1
            self.refused.set()
            raise StoreUnavailable("The database is away.", "Nothing was recorded.", "Start it.")
        stalled, self.stall_commit = self.stall_commit, None
        if stalled != "before":
            await self._inner.commit(commit)
            self._tell()
        if stalled is not None:
            self.commit_stalled.set()
            await trio.sleep_forever()

    async def read(
        self, query: Callable[[Reader, Unpack[Ts]], Awaitable[T]], *args: *Ts, timeout: float = 30.0
    ) -> T:
        return await self._inner.read(query, *args, timeout=timeout)

    async def transact(
        self, work: Callable[[Reader, Unpack[Ts]], Awaitable[T]], *args: *Ts, timeout: float = 30.0
    ) -> T:
        stalled = self.stalled
        if stalled is not None and stalled.work is work:
            self.stalled = None
            await stalled.begin(self._inner, work, *args)
            raise StoreUnavailable("The answer did not come in time.", "It may have happened.", "Look.")
        self._begun += 1
        number = self._begun
        result = await self._inner.transact(work, *args, timeout=timeout)
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("The answer was lost.", "It may have happened.", "Look.")
        self._done = max(self._done, number)
        self._tell()
        return result

    async def transaction_after_now(self) -> None:
        """Wait until a transaction that has not yet begun has committed."""
        begun = self._begun
        with trio.fail_after(DEADLINE):
            while self._done <= begun:
                await self._changed.wait()

    async def claim(self, owner: str, *, produces: Sequence[str] = (), consumes: Sequence[str] = ()) -> Claim:
        return await self._inner.claim(owner, produces=produces, consumes=consumes)

    async def query(self, query: Callable[[Reader, Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        return await self._inner.query(query, *args)

    async def until(self, condition: str) -> None:
        """Wait until this SQL condition holds, looking again after every commit."""
        with trio.fail_after(DEADLINE):
            while True:
                changed = self._changed
                if (await self.rows(f"SELECT ({condition}) AS holds"))[0].boolean("holds"):
                    return
                await changed.wait()

    async def rows(self, sql: str) -> list[Row]:
        async def fetch(reader: Reader) -> list[Row]:
            return await reader.fetch(sql)

        return await self._inner.read(fetch)

    async def write(self, *statements: str) -> None:
        """What a test changes behind the dispatcher's back."""
        await self.commit(Commit(tuple(Execute(each) for each in statements), proof=Execute("SELECT true")))

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@dataclass
class Desk:
    """Everything around one dispatcher; `started` runs a life of it."""

    aio: Aio
    store: WatchedStore
    clock: ManualClock
    settings: AlertingSettings
    bell: Bell
    secrets: dict[str, str]
    contexts: list[ActorContext] = field(default_factory=list)
    """Of each life, in order."""

    async def accept(self, *events: MarginEvent, accounts: Sequence[AccountRecord] = ()) -> None:
        """What the risk calculator does: commit the alerts (here alone), then ring."""
        known = {each.account: each for each in accounts}
        writes = accept_margin_events(events, known, self.settings.receivers, self.clock.now())
        await self._commit(writes)

    async def raise_alert(self, alert: Alert) -> None:
        await self._commit(accept(alert, None, self.settings.receivers, self.clock.now()))

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.bell.ring()

    def data_age(self) -> float:
        """Seconds, of what the present life knows."""
        since = self.contexts[-1].data_since
        assert since is not None
        return self.clock.monotonic() - since

    async def look(self) -> None:
        """Make the dispatcher look at its queue, and wait until it has."""
        self.bell.ring()
        await self.store.transaction_after_now()

    @asynccontextmanager
    async def started(self, pause: Pause | None = None) -> AsyncIterator[AlertDispatcher]:
        dispatcher = self.dispatcher()
        ready = trio.Event()
        context = ActorContext(dispatcher.name, self.clock, pause=pause, on_started=ready.set)
        self.contexts.append(context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dispatcher.run, context)
            with trio.fail_after(DEADLINE):
                await ready.wait()
            yield dispatcher
            nursery.cancel_scope.cancel()

    def dispatcher(self) -> AlertDispatcher:
        return AlertDispatcher(self.settings, self.secrets.get, self.aio, self.store, self.bell, Random(7))

    def configure(self, *receivers: Receiver, **settings: object) -> None:
        self.settings = replace(self.settings, receivers=receivers, **settings)  # type: ignore[arg-type]

    async def _commit(self, writes: Sequence[Write]) -> None:
        await self.store.commit(Commit(tuple(writes), proof=Execute("SELECT true")))
        self.bell.ring()


def webhook(receiver: FaultyReceiver, name: str = "desk") -> Receiver:
    return Receiver(name, Channel.WEBHOOK, receiver.url, "desk")
