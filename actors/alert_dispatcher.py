"""Alert dispatcher: every accepted alert reaches its receivers, at least once, always under the same id.

INVARIANTS
* A delivery is attempted only after its claim has committed, and forgotten only after its outcome has. Killed
  in between, it stays in flight under this life's epoch; the next life takes it up again under the same id.
* The queue is looked at when the bell rings (something was accepted, an attempt ended), when the next
  delivery falls due, and at the latest every IDLE seconds. So a lost ring costs seconds, never a delivery.
* Due times are wall time. When that is set back (or may have been, before the first look) no delivery waits
  for hours that have already passed once; set forward, what waits is tried at once.
* An ordered stop claims nothing more: attempts in flight come to their ends and are recorded. Those that the drain
  budget does not suffice for are ended with their lives, and the next life takes them up.
* Attempts run side by side, bounded in all and per lane; what has finished meanwhile is recorded together.
* One delivery's attempt ends no other's: an error that no channel foresaw is that attempt's failure, told with
  its traceback and counted. It would meet every life again, and whoever else waits would wait for ever.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import trio

from fusion_daemon.aio import Aio
from fusion_daemon.alerting.channels import Channels, Secrets, open_channels
from fusion_daemon.alerting.delivery import Attempt, Delivery
from fusion_daemon.alerting.lanes import Lanes
from fusion_daemon.alerting.outcomes import record_attempts
from fusion_daemon.alerting.repository import (
    Look,
    claim_due,
    recall_from_future,
    route_accepted,
    take_up_interrupted,
)
from fusion_daemon.alerting.retry import GIVEN_UP, MOST_INTERRUPTIONS, DeliveryState, Outcome, Verdict, decide
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.domain.failure import Failure
from fusion_daemon.runtime import Actor, ActorContext, Bell
from fusion_daemon.store import Store, StoreUnavailable, WriteConflict

IDLE = 5.0
"""Seconds: the longest time between two looks at the queue."""

STORE_PAUSE = 1.0
"""Seconds between two tries while the store does not answer."""

FAREWELL = 2.0
"""Seconds that a stopping dispatcher takes to record what has just finished."""

STORE_DEADLINE = 10.0
"""Seconds after which a look at the queue gives up: a store that is away shows in the actor's health."""

ROUTED_AT_ONCE = 200
RECORDED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class DispatcherStatistics:
    routed: int
    """Alerts whose deliveries the dispatcher made (not those that were committed with them)."""
    interrupted: int
    """Deliveries taken up again after an earlier life."""
    attempts: Mapping[Verdict, int]
    ended: Mapping[DeliveryState, int]
    """Deliveries by terminal state."""
    faults: int
    """Attempts that ended in an error of our own: each is logged with its traceback."""
    attempt_seconds: float
    """Sum of all attempts' latencies."""
    in_flight: int
    unrecorded: int
    """Attempts that have finished and are not yet committed."""
    overdue_seconds: float
    """For how long the oldest due and unclaimed delivery has been due at the last look; 0 for none."""


class AlertDispatcher(Actor):
    """One life; see the module. `random` draws the
    jitter."""

    name = "alert_dispatcher"

    def __init__(
        self,
        settings: AlertingSettings,
        secrets: Secrets,
        aio: Aio,
        store: Store,
        bell: Bell,
        random: Random,
    ) -> None:
        self._settings = settings
        self._secrets = secrets
        self._aio = aio
        self._store = store
        self._bell = bell
        self._random = random
        self._lanes = Lanes(settings.per_destination)
        self._open: dict[str, Delivery] = {}
        """Claimed by this life and not yet recorded."""
        self._finished: list[Attempt] = []
        """Neither recorded nor given up. Leaves it only once its commit has returned."""
        self._recording = 0
        """How many of them, from the first, are in a commit under way."""
        self._to_record = Bell()
        self._closing = False
        """No attempt is in flight any more, and none will be."""
        self._more = False
        """Whether the last look left due deliveries: for want of slots, or behind an earlier step."""
        self._doubtful = False
        """Whether the answer to a claim may have been lost."""
        self._looked_at = math.inf
        """By the wall clock; before the first look as if it had been set back since."""
        self._epoch = 0
        self._routed = 0
        self._interrupted = 0
        self._verdicts: Counter[Verdict] = Counter()
        self._ended: Counter[DeliveryState] = Counter()
        self._faults = 0
        self._attempt_seconds = 0.0
        self._overdue = 0.0

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, it returns when all attempts in flight have ended and are recorded. Cancelled, it
        ends the attempts in flight and records those that have finished."""
        self._epoch = (await self._store.claim(self.name)).epoch
        self._interrupted = await self._store.transact(
            take_up_interrupted, self._epoch, context.clock.now(), timeout=STORE_DEADLINE
        )
        if self._interrupted:
            context.log.warning("deliveries_interrupted", count=self._interrupted)
        async with open_channels(self._aio, self._settings, self._secrets) as channels:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._record, context)
                    async with trio.open_nursery() as attempts:
                        context.started()
                        await self._dispatch(context, channels, attempts)
                    self._closing = True
                    self._to_record.ring()
            finally:
                await self._farewell(context)

    def statistics(self) -> DispatcherStatistics:
        return DispatcherStatistics(
            routed=self._routed,
            interrupted=self._interrupted,
            attempts=dict(self._verdicts),
            ended=dict(self._ended),
            faults=self._faults,
            attempt_seconds=self._attempt_seconds,
            in_flight=self._lanes.in_flight,
            unrecorded=len(self._open) - self._lanes.in_flight,
            overdue_seconds=self._overdue,
        )

    async def _dispatch(self, context: ActorContext, channels: Channels, nursery: trio.Nursery) -> None:
        while not context.draining.is_set():
            await context.gate()
            try:
                look = await self._look(context.clock.now())
                for delivery in look.claimed:
                    nursery.start_soon(self._attempt, context, channels, delivery)
                if look.superseded:  # in the slots of others
                    context.log.info("deliveries_superseded", count=look.superseded)
                    continue
                if look.unrouted and await self._route(context.clock.now()):
                    continue
            except StoreUnavailable as failure:
                self._doubtful = True
                context.degraded(str(failure))
                await context.rest(STORE_PAUSE)
                continue
            context.healthy()
            context.fresh(context.clock.now() - self._overdue)
            await context.rest(self._rest(look, context.clock.now()), self._bell)

    async def _look(self, now: float) -> Look:
        """Claim what is due and has a free slot."""
        if now < self._looked_at:
            await self._store.transact(recall_from_future, now, timeout=STORE_DEADLINE)
            self._lanes.forget_pauses()
        self._looked_at = now
        look = await self._store.transact(
            claim_due,
            self._epoch,
            now,
            self._lanes.limits(now),
            self._settings.per_destination,
            self._settings.concurrency - self._lanes.in_flight,
            [*self._open] if self._doubtful else None,
            timeout=STORE_DEADLINE,
        )
        self._doubtful = False
        for delivery in look.claimed:
            self._open[delivery.id] = delivery
            self._lanes.begin(delivery)
        self._ended[DeliveryState.SUPERSEDED] += look.superseded
        self._more = look.due_since is not None
        self._overdue = 0.0 if look.due_since is None else max(0.0, now - look.due_since)
        return look

    async def _route(self, now: float) -> int:
        """Make the deliveries of alerts that were accepted without."""
        routed = await self._store.transact(
            route_accepted,
            self._settings.receivers,
            now,
            ROUTED_AT_ONCE,
            timeout=STORE_DEADLINE,
        )
        self._routed += routed
        return routed

    def _rest(self, look: Look, now: float) -> float:
        """Seconds until the queue has to be looked at again if nobody rings."""
        times = [each for each in (look.next_due_at, self._lanes.resumes_at(now)) if each is not None]
        return min(IDLE, max(0.0, min(times, default=now + IDLE) - now))

    async def _attempt(self, context: ActorContext, channels: Channels, delivery: Delivery) -> None:
        clock = context.clock
        began = clock.monotonic()
        if delivery.interruptions >= MOST_INTERRUPTIONS:
            (outcome, decision), now = GIVEN_UP, clock.now()
        else:
            outcome = await self._try(context, channels, delivery)
            now = clock.now()
            decision = decide(outcome, delivery.tries, delivery.alert.severity, now, self._random.random())
        attempt = Attempt(delivery, outcome, decision, now, clock.monotonic() - began)
        self._lanes.end(attempt)
        self._finished.append(attempt)
        self._to_record.ring()
        if self._more:
            self._bell.ring()
        _report(context, attempt)

    async def _try(self, context: ActorContext, channels: Channels, delivery: Delivery) -> Outcome:
        try:
            return await channels.attempt(delivery, context.clock.now())
        except Exception as error:  # whatever it is: see the module's last invariant
            self._faults += 1
            context.log.exception("attempt_broke", delivery=delivery.id, receiver=delivery.receiver.name)
            # Its type alone: the text may quote what is secret.
            return Outcome(Verdict.FAILED, None, f"The daemon met an error of its own ({type(error).__name__}).")

    async def _record(self, context: ActorContext) -> None:
        while not self._closing:
            await self._to_record.wait()
            while self._finished:
                self._recording = len(self._finished[:RECORDED_AT_ONCE])
                try:
                    await self._commit(self._recording)
                except StoreUnavailable as failure:
                    context.degraded(str(failure))
                    await trio.sleep(STORE_PAUSE)

    async def _commit(self, count: int) -> None:
        """Record the first `count` of those that have finished."""
        batch = self._finished[:count]
        await self._store.commit(record_attempts(batch, self._epoch, self._settings.receivers))
        del self._finished[:count]
        self._recording = 0
        for attempt in batch:
            del self._open[attempt.delivery.id]
            self._verdicts[attempt.outcome.verdict] += 1
            self._attempt_seconds += attempt.latency
            if attempt.decision.due_at is None:
                self._ended[attempt.decision.state] += 1
        if self._more or any(attempt.decision.state not in _REACHED for attempt in batch):
            self._bell.ring()  # a later step that waited, a new due time, or an alert about a broken channel

    async def _farewell(self, context: ActorContext) -> None:
        """Record what has finished, so that stopping in good order sends nothing twice.

        A commit that the stop came upon may have happened, or still be on its way: then its own part is refused
        here, which is as well, and must not take with it what has finished since.
        """
        with trio.move_on_after(FAREWELL, shield=True):
            for under_way in (True, False):
                count = self._recording if under_way else len(self._finished)
                if not count:
                    continue
                try:
                    await self._commit(count)
                except WriteConflict as conflict:
                    del self._finished[:count]
                    if not under_way:
                        context.log.warning("attempts_unrecorded", count=count, reason=str(conflict))
                except Failure as failure:  # the next life takes them up again, under the same ids
                    context.log.warning("attempts_unrecorded", count=len(self._finished), reason=str(failure))
                    return


_REACHED = (DeliveryState.DELIVERED, DeliveryState.ACCEPTED)


def _report(context: ActorContext, attempt: Attempt) -> None:
    delivery, outcome = attempt.delivery, attempt.outcome
    log = context.log.bind(
        delivery=delivery.id,
        alert=delivery.alert.id,
        receiver=delivery.receiver.name,
        attempt=delivery.attempt,
        outcome=outcome.verdict.value,
        seconds=round(attempt.latency, 4),
    )
    if attempt.decision.state in _REACHED:
        log.debug("delivery_made")
    elif attempt.decision.due_at is not None:
        log.warning("delivery_failed", detail=outcome.detail, due_at=attempt.decision.due_at)
    else:
        log.error("delivery_given_up", detail=outcome.detail, state=attempt.decision.state.value)
