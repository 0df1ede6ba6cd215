"""What the admin port shows of the living process: the runtime's statistics in the words of the wire.

INVARIANT: nothing here waits for an actor or for trio. Statistics are made to be read from any thread; a figure may be
a message older than its neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from fusion_daemon.http.operation_routes import unknown_actor, unknown_topic
from fusion_daemon.operation import component_of
from fusion_daemon.operation_views import (
    ActorsView,
    ActorView,
    BranchView,
    BudgetView,
    DeadView,
    DetailView,
    EventView,
    ItemView,
    MailboxesView,
    MailboxView,
    ReadsView,
    SubscriptionView,
    SupervisorView,
    TapView,
    TopicsView,
    TopicView,
    TraceView,
    WritesView,
)
from fusion_daemon.plain_values import plain
from fusion_daemon.runtime import (
    ActorStatus,
    DeadLetterStatistics,
    Look,
    MailboxStatistics,
    Outline,
    Supervisor,
    SupervisorStatistics,
    TopicStatistics,
    TraceEvent,
    UnknownActor,
)
from fusion_daemon.store import Claim, Store, StoreUnavailable


class AnyTopic(Protocol):
    """A topic of whatever."""

    stream: str

    def statistics(self) -> TopicStatistics: ...

    def tap(self, after: int | None, limit: int, /) -> Look[object]: ...


class Inspection:
    """http's Observer. Any thread, but `actor`: asyncio side."""

    def __init__(
        self,
        tree: Supervisor,
        topics: Sequence[AnyTopic],
        mailboxes: Callable[[], Sequence[MailboxStatistics]],
        dead_letters: Callable[[], DeadLetterStatistics],
        counted: Callable[[str], object],
        store: Store,
    ) -> None:
        """`counted`: what an actor's present life tells of itself by its `statistics`; None for nothing."""
        self._tree = tree
        self._topics = {topic.stream: topic for topic in topics}
        self._mailboxes = mailboxes
        self._dead_letters = dead_letters
        self._counted = counted
        self._store = store

    def actors(self) -> ActorsView:
        queued = self._queued()
        present = (status for status in self._tree.tree() if not status.is_supervisor)
        return ActorsView(tuple(_actor(status, queued) for status in present))

    def tree(self) -> SupervisorView:
        return _supervisor(self._tree.outline(), self._queued())

    async def actor(self, name: str) -> DetailView:
        status, claim = self._status(name), self._store.claim_of(name)
        committed = await self._committed(name) if claim is not None and claim.positions else {}
        return DetailView(
            actor=_actor(status, self._queued()),
            last_error=status.last_error,
            last_error_at=None if status.last_error_at is None else _time(status.last_error_at),
            epoch=None if claim is None else claim.epoch,
            writes=tuple(WritesView(stream, self._head(stream, head)) for stream, head in _written(claim)),
            reads=self._reads(name, claim, committed),
            mailboxes=tuple(_mailbox(each) for each in self._mailboxes() if each.server == name),
            statistics=plain(self._counted(name)),
            whereabouts=self._tree.whereabouts(name),
        )

    def mailboxes(self) -> MailboxesView:
        counts = sorted(self._dead_letters().counts.items())
        return MailboxesView(
            tuple(_mailbox(each) for each in self._mailboxes()),
            tuple(DeadView(mailbox, reason.value, count) for (mailbox, reason), count in counts),
        )

    def topics(self) -> TopicsView:
        return TopicsView(tuple(_topic(topic.statistics()) for topic in self._topics.values()))

    def trace(self, name: str, after: int | None, limit: int) -> TraceView:
        try:
            look = self._tree.trace(name).look(after, limit)
        except UnknownActor as error:
            raise unknown_actor(name) from error
        events = tuple(_event(number, event) for number, event in look.items)
        return TraceView(name, events, look.missed, look.next)

    def tap(self, stream: str, after: int | None, limit: int) -> TapView:
        topic = self._topics.get(stream)
        if topic is None:
            raise unknown_topic(stream)
        look = topic.tap(after, limit)
        items = tuple(ItemView(number, plain(item)) for number, item in look.items)
        return TapView(stream, items, look.missed, look.next)

    def _status(self, name: str) -> ActorStatus:
        try:
            return self._tree.find(name)
        except UnknownActor as error:
            raise unknown_actor(name) from error

    def _queued(self) -> Mapping[str, int]:
        """Messages by who serves their mailbox."""
        depths: dict[str, int] = {}
        for each in self._mailboxes():
            depths[each.server] = depths.get(each.server, 0) + each.queued
        return depths

    def _head(self, stream: str, claimed: int) -> int:
        topic = self._topics.get(stream)
        return claimed if topic is None else topic.statistics().head

    async def _committed(self, name: str) -> Mapping[str, int]:
        if self._store.statistics().trouble is not None:
            return {}
        try:
            return await self._store.cursors_of(name)
        except StoreUnavailable:
            return {}  # said by leaving them out; readiness tells about the database

    def _reads(self, name: str, claim: Claim | None, committed: Mapping[str, int]) -> tuple[ReadsView, ...]:
        seen = {topic.stream: topic.statistics() for topic in self._topics.values()}
        taken = {
            stream: each
            for stream, statistics in seen.items()
            for each in statistics.subscriptions
            if each.consumer == name
        }
        streams = dict.fromkeys([*(() if claim is None else claim.positions), *taken])
        return tuple(
            ReadsView(
                stream,
                committed.get(stream),
                taken[stream].position if stream in taken else None,
                seen[stream].head if stream in seen else 0,
                taken[stream].lag if stream in taken else None,
                taken[stream].lag_seconds if stream in taken else None,
            )
            for stream in streams
        )


def _written(claim: Claim | None) -> Sequence[tuple[str, int]]:
    return () if claim is None else tuple(claim.heads.items())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _actor(status: ActorStatus, queued: Mapping[str, int]) -> ActorView:
    component = component_of(status)
    return ActorView(
        name=status.name,
        supervisor=status.supervisor,
        ready=component.ready,
        healthy=component.healthy,
        state=component.state,
        since=_time(component.since),
        reason=component.reason,
        restarts=status.restarts,
        health=status.health.level.value,
        pause_requested=status.pause_requested,
        last_beat=None if status.last_beat is None else _time(status.last_beat),
        beat_age=status.beat_age,
        beat_limit=status.beat_limit,
        data_age=component.data_age,
        data_limit=component.data_limit,
        queued=queued.get(status.name, 0),
    )


def _supervisor(outline: Outline, queued: Mapping[str, int]) -> SupervisorView:
    seen = outline.supervisor
    return SupervisorView(
        seen.name,
        seen.strategy.value,
        *_budgets(seen),
        seen.stop_budget,
        tuple(
            BranchView(_actor(status, queued), None if below is None else _supervisor(below, queued))
            for status, below in outline.children
        ),
    )


def _budgets(seen: SupervisorStatistics) -> tuple[BudgetView, BudgetView]:
    """Restarts, and failed starts."""
    return (
        BudgetView(seen.recent_restarts, seen.intensity.limit, seen.intensity.period),
        BudgetView(seen.recent_failed_starts, seen.start_intensity.limit, seen.start_intensity.period),
    )


def _mailbox(seen: MailboxStatistics) -> MailboxView:
    control, supervision, work = seen.lanes
    return MailboxView(
        name=seen.name,
        policy=seen.policy,
        capacity=seen.capacity,
        serving=seen.serving,
        server=seen.server,
        control=control,
        supervision=supervision,
        work=work,
        in_hand=seen.in_hand,
        waiting=seen.waiting,
        accepted=seen.accepted,
        handled=seen.handled,
        dropped=seen.dropped,
        dead=seen.dead,
        refused=seen.refused,
        late_replies=seen.late_replies,
        redelivered=seen.redelivered,
        peak_queued=seen.peak_queued,
    )


def _topic(seen: TopicStatistics) -> TopicView:
    subscriptions = tuple(
        SubscriptionView(
            each.consumer,
            each.position,
            each.lag,
            each.lag_seconds,
            each.buffered,
            each.delivered,
            each.dropped,
            each.filled,
        )
        for each in seen.subscriptions
    )
    return TopicView(seen.stream, seen.head, seen.published, seen.capacity, subscriptions)


def _event(number: int, event: TraceEvent) -> EventView:
    return EventView(
        number, _time(event.at), event.kind.value, event.subject, event.text, event.first, event.last, event.seconds
    )
