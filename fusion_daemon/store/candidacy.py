"""A daemon's way to the lease of its database, and how it keeps it. trio side.

started ──▶ STARTING ──▶ ACTIVE ──▶ LOST
                │  ▲        ▲
   someone else holds it    │ the holder died, fell silent, gave it back, or an operator told us to
                ▼           │
             STANDBY ───────┘
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import Enum

import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store.connect import StoreUnavailable
from fusion_daemon.store.lease import (
    START_PATIENCE,
    Candidate,
    Course,
    Lease,
    LeaseNotEnded,
    Sight,
    Taken,
    course,
    how_taken,
)
from fusion_daemon.store.lease_sessions import ANSWER, LockSession, Lookout
from fusion_daemon.store.migrate import migrate

RENEWALS = 5
"""Renewals within the lease's time."""
LOOKS = 10
"""A standby's looks within its lease's time."""
MIGRATION_TIMEOUT = 600.0
LEASE_CLOSE = 4 * ANSWER
"""Seconds that giving the lease back takes at most."""
A_DAY = 86_400.0
"""Seconds of one wait for the lock; then it queues anew."""


class LeaseRole(Enum):
    STARTING = "starting"
    STANDBY = "standby"
    ACTIVE = "active"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class LeaseStanding:
    """How a candidate stands. Immutable, to be read from any thread."""

    role: LeaseRole
    since: float
    """Unix seconds at which it came into this role."""
    term: int | None
    """Its own as holder, else the holder's; None before the first."""
    holder: str | None
    """The instance that holds the lease, as far as known."""
    silence: float
    """Seconds since the holder's last renewal, at the last look; 0 for the holder itself."""
    other_configuration: bool
    """The holder decides by another one, so this daemon does not take over unless told."""
    hindrance: str | None
    """Why it could not take over now; None when it could, or has."""
    taken: Taken | None = None
    """How its own term began."""


class Candidacy:
    """Built by `open_candidacy`."""

    def __init__(
        self, aio: Aio, dsn: str, mine: Candidate, changed: Callable[[LeaseStanding], None], nursery: trio.Nursery
    ) -> None:
        self._aio = aio
        self._dsn = dsn
        self._mine = mine
        self._changed = changed
        self._nursery = nursery
        self._lookout = Lookout(dsn)
        self._session = LockSession(dsn)
        self._queue: _Queue | None = None
        self._told = False
        self._awake = trio.Event()
        self._silent: int | None = None
        """The term that the look before found overdue."""
        self._ousted: int | None = None
        """The term whose session this candidate has ended."""
        self._lease: Lease | None = None
        self._recorded = ""
        """The configuration that its own term has on record."""
        self._due = trio.Event()
        """Renew now."""
        self._renewed = trio.Event()
        self._won = trio.Event()
        self.standing = LeaseStanding(LeaseRole.STARTING, time.time(), None, None, 0.0, False, None)

    async def won(self) -> Lease:
        """Wait until this daemon holds the lease and the schema is its own; called once. Waits
        through outages. Raises `MigrationRefused` as soon as the schema is newer than this program, and the other
        errors of `migrate`. Cancelled, the lease stays with whoever has it,
        or is given back at the end of the block."""
        stands_by_at = trio.current_time() + START_PATIENCE
        lease = None
        while lease is None:
            starting = trio.current_time() < stands_by_at
            try:
                lease = await self._try(starting)
            except StoreUnavailable as failure:
                self._silent = None
                await self._leave_queue()
                self._hindered(starting, str(failure))
            except LeaseNotEnded as failure:
                self._hindered(starting, str(failure))
            if lease is None:
                await self._pause(starting)
        await self._aio.call(migrate, self._dsn, timeout=MIGRATION_TIMEOUT)
        return lease

    async def take_over(self) -> int:
        """An operator's word: take the lease now, whoever holds it and by whatever configuration. Waits for it;
        the term. Cancelled, the word stands."""
        self._told = True
        self._awake.set()
        await self._won.wait()
        assert self._lease is not None  # set before the event
        return self._lease.term

    async def decide_by(self, configuration: str) -> None:
        """This daemon decides by another configuration from now on. The holder waits until its term says so, for a
        standby compares with that; cancelled, or through an outage, the next renewal that succeeds says it. A
        standby compares with its own at its next look."""
        self._mine = replace(self._mine, configuration=configuration)
        self._awake.set()
        while self._lease is not None and not self._lease.lost.is_set() and self._recorded != configuration:
            self._due.set()
            await self._renewed.wait()

    async def reach(self) -> None:
        """Raises `StoreUnavailable`, `StoreRefused`, `MigrationRefused` when there is nothing to be a candidate for."""
        await self._look()

    async def close(self) -> None:
        """Give the lease back and end the sessions; within LEASE_CLOSE."""
        if self._lease is None:
            await self._leave_queue()
        elif not self._lease.lost.is_set():
            await self._aio.call(self._session.release, self._lease.term, timeout=2 * ANSWER)
        await self._aio.call(self._session.close, timeout=ANSWER)
        await self._aio.call(self._lookout.close, timeout=ANSWER)

    async def _try(self, starting: bool) -> Lease | None:
        """One look, and what follows from it."""
        seen = await self._look()
        way = self._course(seen, starting)
        self._silent = seen.term if seen is not None and seen.overdue else None
        if way not in (Course.QUEUE, Course.OUST):
            await self._leave_queue()
            self._saw(seen, way, starting)
            return None
        queue = self._join_queue()
        if way is Course.OUST and seen is not None:
            await self._aio.call(self._lookout.end, seen.backend, timeout=2 * ANSWER)
            self._ousted = seen.term
        with trio.move_on_after(self._rest(starting)):
            await queue.granted.wait()
        if not queue.granted.is_set():
            self._saw(seen, way, starting)
            return None
        return await self._take(starting)

    async def _take(self, starting: bool) -> Lease | None:
        """With the lock held. Someone may have held the lease between the look and the lock: so look again."""
        seen = await self._look()
        if self._course(seen, starting) not in (Course.QUEUE, Course.OUST):
            await self._leave_queue()
            return None
        if seen is None:
            await self._aio.call(migrate, self._dsn, timeout=MIGRATION_TIMEOUT)  # the lease's table with it
        ousted = Course.OUST if seen is not None and seen.term == self._ousted else None
        how = how_taken(seen, ousted, told=self._told)
        mine = self._mine
        try:
            term = await self._aio.call(self._session.begin_term, mine, how, timeout=4 * ANSWER)
        except (StoreUnavailable, LeaseNotEnded):
            await self._leave_queue()
            raise
        self._lease, self._recorded = Lease(term), mine.configuration
        self._won.set()
        self._nursery.start_soon(self._keep, self._lease)
        self._become(LeaseStanding(LeaseRole.ACTIVE, time.time(), term, self._mine.instance, 0.0, False, None, how))
        return self._lease

    async def _keep(self, lease: Lease) -> None:
        while True:
            with trio.move_on_after(self._mine.seconds / RENEWALS):
                await self._due.wait()
            self._due, told = trio.Event(), self._mine.configuration
            try:
                held = await self._aio.call(self._session.renew, lease.term, told, timeout=4 * ANSWER)
            except StoreUnavailable:
                continue  # the next turn tries again; the pool reports the outage
            self._recorded = told
            self._renewed.set()
            self._renewed = trio.Event()
            if not held:
                lease.lost.set()
                self._become(LeaseStanding(LeaseRole.LOST, time.time(), None, None, 0.0, False, "taken over"))
                return

    async def _look(self) -> Sight | None:
        return await self._aio.call(self._lookout.look, timeout=3 * ANSWER)

    def _course(self, seen: Sight | None, starting: bool) -> Course:
        silent_before = seen is not None and seen.term == self._silent
        return course(self._mine, seen, starting=starting, told=self._told, silent_before=silent_before)

    def _join_queue(self) -> _Queue:
        if self._queue is None or (self._queue.ended.is_set() and not self._queue.granted.is_set()):
            self._queue = _Queue(self._aio, self._session)
            self._nursery.start_soon(self._queue.wait)
        return self._queue

    async def _leave_queue(self) -> None:
        """Also gives the lock back, if it has been granted."""
        if self._queue is not None:
            self._queue.scope.cancel()
            await self._queue.ended.wait()
            await self._aio.call(self._session.close, timeout=ANSWER)
            self._queue = None

    def _rest(self, starting: bool) -> float:
        return 0.05 if starting else min(1.0, self._mine.seconds / LOOKS)

    async def _pause(self, starting: bool) -> None:
        """Between two looks, unless something happens; one that waits in the queue has rested there."""
        if self._queue is None or self._queue.ended.is_set():
            with trio.move_on_after(self._rest(starting)):
                await self._awake.wait()
        self._awake = trio.Event()

    def _saw(self, seen: Sight | None, way: Course, starting: bool) -> None:
        """Stand by, and say whether it could take over."""
        other = seen is not None and seen.configuration != self._mine.configuration
        role = LeaseRole.STARTING if starting else LeaseRole.STANDBY
        self._become(
            LeaseStanding(
                role,
                self.standing.since if role is self.standing.role else time.time(),
                None if seen is None else seen.term,
                None if seen is None else seen.instance,
                0.0 if seen is None else seen.silence,
                other,
                _hindrance(way, seen),
            )
        )

    def _hindered(self, starting: bool, why: str) -> None:
        before = self.standing
        role = LeaseRole.STARTING if starting else LeaseRole.STANDBY
        other = before.other_configuration
        self._become(LeaseStanding(role, before.since, before.term, before.holder, before.silence, other, why))

    def _become(self, now: LeaseStanding) -> None:
        before, self.standing = self.standing, now
        if (before.role, before.holder, before.hindrance) != (now.role, now.holder, now.hindrance):
            self._changed(now)


class _Queue:
    """One wait for the lock."""

    def __init__(self, aio: Aio, session: LockSession) -> None:
        self._aio = aio
        self._session = session
        self.scope = trio.CancelScope()
        self.granted = trio.Event()
        self.ended = trio.Event()
        """The wait is over: the lock was granted, the database went away, or the candidate has left."""

    async def wait(self) -> None:
        try:
            with self.scope:
                await self._aio.call(self._session.acquire, timeout=A_DAY)
                self.granted.set()
        except StoreUnavailable:
            pass  # the next look meets the same outage, and says so
        finally:
            self.ended.set()


def _hindrance(way: Course, seen: Sight | None) -> str | None:
    if way is Course.OTHER_CONFIGURATION and seen is not None:
        return (
            f"it would decide by another configuration than {seen.instance}, so it does not take over by itself:"
            " make both configurations the same, or tell it to with `fusion-daemon takeover`"
        )
    if way is Course.AWAIT_RETURN:
        return "the database was restarted; the holder has its lease's time to come back"
    return None


@asynccontextmanager
async def open_candidacy(
    aio: Aio, dsn: str, mine: Candidate, changed: Callable[[LeaseStanding], None]
) -> AsyncIterator[Candidacy]:
    """trio side. Raises as `Candidacy.reach` before the block runs. `changed` is called on the trio side at every
    change of role, holder or hindrance. Leaving the block gives the lease back, shielded from cancellation for a
    moment; the body's errors come in a group."""
    candidacy = None
    try:
        async with trio.open_nursery() as nursery:
            candidacy = Candidacy(aio, dsn, mine, changed, nursery)
            await candidacy.reach()
            yield candidacy
            # A renewal under way would keep the session from saying that the lease is given back, or, overtaken by
            # that, open another one and take the lock again.
            nursery.cancel_scope.cancel()
    finally:
        if candidacy is not None:
            with trio.CancelScope(shield=True):
                await candidacy.close()


@asynccontextmanager
async def without_holder(aio: Aio, dsn: str) -> AsyncIterator[None]:
    """trio side. No daemon holds the lease before the block ends; those that want it wait. Begins no term, so it
    needs no schema. Raises `LeaseHeld`, `StoreUnavailable`, `StoreRefused` before the block runs."""
    session = LockSession(dsn)
    try:
        await aio.call(session.acquire_now, timeout=3 * ANSWER)
        yield
    finally:
        with trio.CancelScope(shield=True):
            await aio.call(session.close, timeout=ANSWER)
