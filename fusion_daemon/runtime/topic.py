"""Wake-ups and durable topics.

A topic is the fast way of facts that are already committed: it may lose every item it carries, but
never the knowledge of how far the stream has got. Its writer never waits.

INVARIANTS
* `Topic.head` never goes down and is never above what the writer has committed.
* A subscription's `position` moves by exactly the items that `take` returned, in the order of the
  stream, each once. What the buffer lost comes from the store through `fill`.
* `ready` is a level (`head > position`), not an event: whatever was dropped, and even when nothing
  is published afterwards, a consumer that looks finds out that it is behind.

A topic does not conflate: every consumer sees every committed item. What may be superseded is conflated before it is
committed, as the oracle does with its readings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from fusion_daemon.runtime.ages import Ages
from fusion_daemon.runtime.clock import Clock, SystemClock
from fusion_daemon.runtime.trace import TraceKind, present_trace
from fusion_daemon.runtime.window import Look, Window

T = TypeVar("T")

TAPPED = 1_000
"""Items that are kept for who taps too seldom."""

Fill = Callable[[int, int], Awaitable[Sequence[T]]]
"""`fill(after, limit)`: the items numbered after+1, after+2 … without a gap, at least one and at most
`limit`, read from the store. Trio side."""


class TopicGap(Exception):
    """The store has no item where the committed head says there is one."""

    def __init__(self, stream: str, consumer: str, position: int, head: int, asked: int, got: int) -> None:
        self.stream = stream
        self.consumer = consumer
        self.position = position
        self.head = head
        super().__init__(
            f"{consumer} asked the store for {asked} item(s) of {stream!r} after {position} and got {got}, "
            f"although the committed head is {head}. The stream's rows and its head disagree; "
            f"compare them in the database before anything is deleted there."
        )


class Bell:
    """One re-armable wake-up for all inputs of one actor.

    INVARIANT: a ring is never lost: `wait` returns at once when somebody rang since the last
    return of `wait`. Many rings are one wake-up, so the actor looks at all its inputs after each.
    """

    __slots__ = ("_rung", "_sleeper")

    def __init__(self) -> None:
        self._rung = False
        self._sleeper: trio.Event | None = None

    def ring(self) -> None:
        """Wake the waiting actor, or let its next `wait` return at once. Trio side; never blocks."""
        self._rung = True
        if self._sleeper is not None:
            self._sleeper.set()

    async def wait(self) -> None:
        """Wait for a ring. Trio side, a checkpoint; cancelled, it leaves a ring for the next `wait`.

        Only one task may wait; a second one gets `trio.BusyResourceError`.
        """
        if self._sleeper is not None:
            raise trio.BusyResourceError("another task waits for this bell")
        self._sleeper = trio.Event()
        try:
            if self._rung:
                await trio.lowlevel.checkpoint()
            else:
                await self._sleeper.wait()
            self._rung = False
        finally:
            self._sleeper = None


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    """One consumer of a topic, counted in items since it subscribed."""

    consumer: str
    position: int
    lag: int
    """Items that it has yet to take."""
    lag_seconds: float
    """For how long the oldest of them has been announced in this process; 0 when there is none."""
    buffered: int
    peak_buffered: int
    delivered: int
    dropped: int
    """Published items that found the buffer full; they were or will be read from the store."""
    filled: int
    """Delivered items that came from the store."""


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """A topic and its present subscribers."""

    stream: str
    head: int
    published: int
    capacity: int
    subscriptions: tuple[SubscriptionStatistics, ...]


@dataclass(frozen=True, slots=True)
class _Batch(Generic[T]):
    first: int
    items: Sequence[T]

    @property
    def last(self) -> int:
        return self.first + len(self.items) - 1


class Subscription(Generic[T]):
    """One consumer's place in a topic. Made by `Topic.subscribe`."""

    def __init__(self, topic: Topic[T], consumer: str, position: int, fill: Fill[T], bell: Bell) -> None:
        self.consumer = consumer
        self.position = position
        self._topic = topic
        self._fill = fill
        self.bell = bell
        self._buffer: deque[_Batch[T]] = deque()
        self._buffered = self._peak = self._delivered = self._dropped = self._filled = 0
        self._closed = False
        self._trace = present_trace()

    @property
    def lag(self) -> int:
        """Items of the stream that `take` has not returned yet."""
        return self._topic.head - self.position

    @property
    def age(self) -> float:
        """For how long the oldest of them has been announced in this process, in seconds; 0 when there is none."""
        return self._topic.age(self.position + 1)

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        return self.lag > 0

    async def take(self, limit: int) -> Sequence[T]:
        """The next 1..`limit` items of the stream, in order; empty only when not `ready`.

        Trio side, always a checkpoint; cancelled, or when the store fails, the position has not
        moved and the next call returns the same items. Raises `TopicGap` when the store lacks
        committed items, `trio.ClosedResourceError` after `close`.
        """
        if limit < 1:
            raise ValueError(f"take at least one item, not {limit}")
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError(f"{self.consumer}'s subscription is closed")
        if not self.ready:
            return ()
        if self._buffer and self._buffer[0].first == self.position + 1:
            items = self._from_buffer(limit)
        else:
            items = await self._from_store(limit)
        self.position += len(items)
        self._delivered += len(items)
        if self._trace.on:
            first = self.position - len(items) + 1
            self._trace.note(TraceKind.TAKEN, self._topic.stream, first=first, last=self.position)
        return items

    def close(self) -> None:
        """Leave the topic; buffered items are forgotten. Idempotent."""
        self._closed = True
        self._buffer.clear()
        self._buffered = 0
        self._topic.leave(self)

    def statistics(self) -> SubscriptionStatistics:
        return SubscriptionStatistics(
            consumer=self.consumer,
            position=self.position,
            lag=self.lag,
            lag_seconds=self.age,
            buffered=self._buffered,
            peak_buffered=self._peak,
            delivered=self._delivered,
            dropped=self._dropped,
            filled=self._filled,
        )

    def offer(self, batch: _Batch[T], capacity: int) -> None:
        """For the topic."""
        # A full buffer drops the newcomer: what it holds is next in line, and stays useful.
        if self._buffered + len(batch.items) > capacity:
            self._dropped += len(batch.items)
        else:
            self._buffer.append(batch)
            self._buffered += len(batch.items)
            self._peak = max(self._peak, self._buffered)
        self.bell.ring()

    def _from_buffer(self, limit: int) -> Sequence[T]:
        # What is buffered is never passed otherwise: the store is read up to it, not beyond.
        taken: list[T] = []
        after = self.position
        while self._buffer and len(taken) < limit and self._buffer[0].first == after + 1:
            batch = self._buffer.popleft()
            part = batch.items[: limit - len(taken)]
            taken.extend(part)
            after += len(part)
            rest = batch.items[len(part) :]
            if rest:
                self._buffer.appendleft(_Batch(after + 1, rest))
            self._buffered -= len(part)
        return taken

    async def _from_store(self, limit: int) -> Sequence[T]:
        head = self._topic.head
        until = self._buffer[0].first - 1 if self._buffer else head
        asked = min(limit, until - self.position)
        items = await self._fill(self.position, asked)
        if not 1 <= len(items) <= asked:
            raise TopicGap(self._topic.stream, self.consumer, self.position, head, asked, len(items))
        self._filled += len(items)
        return items


_MACHINE = SystemClock()


class Topic(Generic[T]):
    """One durable stream inside this process. Trio side, except `statistics` and `tap`: any thread that may use the
    clock. No method waits.

    `capacity` bounds each subscriber's buffer, in items; `clock` tells how long a consumer lags.
    """

    def __init__(self, stream: str, capacity: int, clock: Clock = _MACHINE) -> None:
        if capacity < 1:
            raise ValueError(f"the buffer of {stream!r} needs room for an item, not {capacity}")
        self.stream = stream
        self.head = 0
        self._capacity = capacity
        self._clock = clock
        self._ages = Ages()
        self._published = 0
        self._window = Window[T](TAPPED, clock)
        self._subscriptions: dict[str, Subscription[T]] = {}

    def publish(self, first: int, items: Sequence[T]) -> None:
        """Announce committed items numbered `first`, `first`+1 …, which must stay unchanged.

        Never blocks. Items at or below the head were announced before and are not carried again.
        """
        known = min(max(self.head + 1 - first, 0), len(items))
        batch = _Batch(first + known, items[known:] if known else items)
        if not batch.items:
            return
        self._window.put(batch.first, batch.items)
        self._move(batch.last)
        present_trace().note(TraceKind.PUBLISHED, self.stream, first=batch.first, last=batch.last)
        self._published += len(batch.items)
        for subscription in self._subscriptions.values():
            subscription.offer(batch, self._capacity)

    def advance(self, head: int) -> None:
        """Announce the committed head without items, as a writer does at its start; a lower head than
        the known one changes nothing. Subscribers read the items from the store."""
        if head > self.head:
            self._move(head)
            for subscription in self._subscriptions.values():
                subscription.bell.ring()

    def tap(self, after: int | None, limit: int) -> Look[T]:
        """The next items after the one numbered `after`, as they are published; with None it begins. Any thread.

        Nobody waits for a tap, and its memory is bounded: what it did not see in time it counts as missed, and so what
        was announced without items. It ends LEASE seconds after the last look.
        """
        return self._window.look(self.head, after, limit)

    def age(self, number: int) -> float:
        """Seconds since the item was announced; 0 for one that was not."""
        since = self._ages.since(number)
        return 0.0 if since is None else self._clock.monotonic() - since

    def subscribe(self, consumer: str, position: int, fill: Fill[T], bell: Bell) -> Subscription[T]:
        """Follow the stream from `position` (the last item the consumer has committed).

        The committed position proves a head at least as high. A consumer has one subscription: an
        earlier one of the same name, left by a crashed actor, is closed.
        """
        if position < 0:
            raise ValueError(f"{consumer} cannot stand at {position} in {self.stream!r}")
        earlier = self._subscriptions.get(consumer)
        if earlier is not None:
            earlier.close()
        self.advance(position)
        subscription = Subscription(self, consumer, position, fill, bell)
        self._subscriptions[consumer] = subscription
        if subscription.ready:
            bell.ring()
        return subscription

    def statistics(self) -> TopicStatistics:
        return TopicStatistics(
            stream=self.stream,
            head=self.head,
            published=self._published,
            capacity=self._capacity,
            subscriptions=tuple(each.statistics() for each in tuple(self._subscriptions.values())),
        )

    def leave(self, subscription: Subscription[T]) -> None:
        """For a subscription that closes."""
        if self._subscriptions.get(subscription.consumer) is subscription:
            del self._subscriptions[subscription.consumer]

    def _move(self, head: int) -> None:
        passed = min((each.position for each in self._subscriptions.values()), default=self.head)
        self.head = head
        self._ages.announced(head, self._clock.monotonic(), passed)
