"""Bells and durable topics: a slow or absent consumer never costs the writer anything, and never an item."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import Bell, ManualClock, Subscription, Topic, TopicGap


class Shelf:
    """The store of one stream: item n is n itself."""

    def __init__(self) -> None:
        self.committed = 0
        self.reads: list[tuple[int, int]] = []
        self.shortest = False
        """Answer one item at a time."""
        self.missing = False
        self.hold: trio.Event | None = None

    async def fill(self, after: int, limit: int) -> Sequence[int]:
        await trio.lowlevel.checkpoint()
        if self.hold is not None:
            await self.hold.wait()
        self.reads.append((after, limit))
        if self.missing:
            return ()
        until = min(self.committed, after + (1 if self.shortest else limit))
        return range(after + 1, until + 1)

    def commit(self, count: int) -> tuple[int, range]:
        first = self.committed + 1
        self.committed += count
        return first, range(first, self.committed + 1)


def subscribed(capacity: int = 10, position: int = 0) -> tuple[Shelf, Topic[int], Bell, Subscription[int]]:
    shelf, topic, bell = Shelf(), Topic[int]("prices", capacity), Bell()
    return shelf, topic, bell, topic.subscribe("risk", position, shelf.fill, bell)


async def drained(subscription: Subscription[int], limit: int = 100) -> list[int]:
    items: list[int] = []
    while subscription.ready:
        items.extend(await subscription.take(limit))
    return items


async def test_items_in_sequence_come_from_the_buffer(autojump_clock: MockClock) -> None:
    shelf, topic, bell, subscription = subscribed()
    for count in (3, 2):
        topic.publish(*shelf.commit(count))
    await bell.wait()
    assert subscription.lag == 5
    assert list(await subscription.take(2)) == [1, 2]
    assert list(await subscription.take(100)) == [3, 4, 5]
    assert (subscription.position, subscription.ready, shelf.reads) == (5, False, [])
    assert list(await subscription.take(1)) == []


async def test_the_last_batch_dropped_and_nothing_after_it_is_still_delivered(
    autojump_clock: MockClock,
) -> None:
    # capacity 3: [1 2 3] kept, [4 5] dropped, silence. The head is a level: 4 and 5 come from the store.
    shelf, topic, bell, subscription = subscribed(capacity=3)
    topic.publish(*shelf.commit(3))
    await bell.wait()
    topic.publish(*shelf.commit(2))
    await bell.wait()  # the dropped batch rang as well
    assert await drained(subscription) == [1, 2, 3, 4, 5]
    assert shelf.reads == [(3, 2)]
    figures = subscription.statistics()
    assert (figures.dropped, figures.filled, figures.delivered, figures.peak_buffered) == (2, 2, 5, 3)


async def test_a_gap_in_the_middle_is_read_and_the_buffer_used_again(autojump_clock: MockClock) -> None:
    # [1 2] kept, [3 4] dropped, [1 2] taken, [5 6] kept: exactly 3 and 4 are read.
    shelf, topic, _, subscription = subscribed(capacity=3)
    topic.publish(*shelf.commit(2))
    topic.publish(*shelf.commit(2))
    assert list(await subscription.take(9)) == [1, 2]
    topic.publish(*shelf.commit(2))
    assert await drained(subscription) == [3, 4, 5, 6]
    assert shelf.reads == [(2, 2)]


async def test_a_consumer_that_starts_behind_reads_the_store_up_to_the_buffer(
    autojump_clock: MockClock,
) -> None:
    shelf, topic, bell, _ = subscribed()
    topic.publish(*shelf.commit(7))
    late = topic.subscribe("late", 2, shelf.fill, bell)
    await bell.wait()  # rung by the subscription itself: it is behind
    topic.publish(*shelf.commit(1))
    assert await drained(late) == [3, 4, 5, 6, 7, 8]
    assert shelf.reads == [(2, 5)]


async def test_a_restarted_writer_announces_its_head(autojump_clock: MockClock) -> None:
    # The writer died between its commit and its publish; its next life calls advance.
    shelf, topic, bell, subscription = subscribed()
    shelf.commit(4)
    topic.advance(4)
    await bell.wait()
    assert await drained(subscription) == [1, 2, 3, 4]
    topic.advance(2)
    assert topic.head == 4
    topic.publish(3, [3, 4])  # announced already
    assert (topic.head, subscription.ready, topic.statistics().published) == (4, False, 0)
    shelf.commit(2)
    topic.publish(4, [4, 5, 6])  # half of it
    assert await drained(subscription) == [5, 6]


async def test_publishing_does_not_wait_for_anybody(autojump_clock: MockClock) -> None:
    # A consumer stuck in its store read, another that never looks: 10,000 batches go through at once.
    shelf, topic, _, stuck = subscribed(capacity=16)
    topic.subscribe("absent", 0, shelf.fill, Bell())
    shelf.hold = trio.Event()
    shelf.commit(1)
    topic.advance(1)
    async with trio.open_nursery() as nursery:
        taken: list[int] = []

        async def consume() -> None:
            taken.extend(await drained(stuck))

        nursery.start_soon(consume)
        await wait_all_tasks_blocked()
        for _ in range(10_000):
            topic.publish(*shelf.commit(1))
        assert max(each.peak_buffered for each in topic.statistics().subscriptions) <= 16
        shelf.hold.set()
    assert taken == list(range(1, 10_002))


async def test_a_cancelled_or_failed_read_moves_nothing(autojump_clock: MockClock) -> None:
    shelf, topic, _, subscription = subscribed()
    shelf.commit(3)
    topic.advance(3)
    shelf.hold = trio.Event()
    with trio.move_on_after(1.0):
        await subscription.take(9)
    assert subscription.position == 0
    shelf.hold = None
    assert await drained(subscription) == [1, 2, 3]


async def test_a_store_without_the_committed_items_is_an_error_with_the_numbers(
    autojump_clock: MockClock,
) -> None:
    shelf, topic, _, subscription = subscribed()
    topic.advance(5)
    shelf.missing = True
    with pytest.raises(TopicGap, match=r"risk asked the store for 5 item\(s\) of 'prices' after 0 and got 0"):
        await subscription.take(9)
    assert subscription.position == 0


async def test_a_new_life_replaces_the_subscription_of_the_crashed_one(autojump_clock: MockClock) -> None:
    shelf, topic, bell, old = subscribed()
    new = topic.subscribe("risk", 0, shelf.fill, bell)
    topic.publish(*shelf.commit(1))
    assert await drained(new) == [1]
    with pytest.raises(trio.ClosedResourceError):
        await old.take(1)
    old.close()  # a late close of the old one does not remove the new one
    assert [each.consumer for each in topic.statistics().subscriptions] == ["risk"]
    new.close()
    assert topic.statistics().subscriptions == ()


async def test_a_committed_position_proves_the_head(autojump_clock: MockClock) -> None:
    _, topic, _, subscription = subscribed(position=12)
    assert (topic.head, subscription.lag) == (12, 0)


async def test_lag_in_seconds_is_the_age_of_the_oldest_item_not_taken(autojump_clock: MockClock) -> None:
    # [1 2] at 0 s, [3] at 10 s, and 4 only announced at 20 s; looked at after each take.
    clock, shelf = ManualClock(), Shelf()
    topic = Topic[int]("prices", 10, clock)
    slow, idle = (topic.subscribe(name, 0, shelf.fill, Bell()) for name in ("slow", "idle"))
    assert slow.statistics().lag_seconds == 0.0
    topic.publish(*shelf.commit(2))
    clock.advance(10.0)
    topic.publish(*shelf.commit(1))
    clock.advance(10.0)
    shelf.commit(1)
    topic.advance(4)
    clock.advance(5.0)
    lags = []
    while slow.ready:
        lags.append((slow.statistics().lag, slow.statistics().lag_seconds))
        await slow.take(1)
    assert lags == [(4, 25.0), (3, 25.0), (2, 15.0), (1, 5.0)]
    assert (slow.statistics().lag_seconds, idle.statistics().lag_seconds) == (0.0, 25.0)


async def test_a_dropped_item_ages_like_any_other(autojump_clock: MockClock) -> None:
    clock, shelf = ManualClock(), Shelf()
    topic = Topic[int]("prices", 1, clock)
    consumer = topic.subscribe("risk", 0, shelf.fill, Bell())
    for _ in range(2):
        topic.publish(*shelf.commit(1))
        clock.advance(10.0)
    await consumer.take(1)
    assert (consumer.statistics().dropped, consumer.statistics().lag_seconds) == (1, 10.0)


@given(
    capacity=st.integers(1, 8),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("publish"), st.integers(1, 6)),
            st.tuples(st.just("crash"), st.integers(1, 6)),
            st.tuples(st.just("take"), st.integers(1, 6)),
            st.tuples(st.just("resubscribe"), st.just(0)),
        ),
        max_size=60,
    ),
    shortest=st.booleans(),
)
def test_every_item_once_in_order_whatever_happens(
    capacity: int, steps: list[tuple[str, int]], shortest: bool
) -> None:
    # crash: the writer commits, dies before it publishes, and announces its head when it comes back.
    async def play() -> None:
        shelf, topic, bell, subscription = subscribed(capacity)
        shelf.shortest = shortest
        seen: list[int] = []
        for step, count in steps:
            if step == "publish":
                topic.publish(*shelf.commit(count))
            elif step == "crash":
                shelf.commit(count)
                topic.advance(shelf.committed)
            elif step == "take":
                seen.extend(await subscription.take(count))
            else:
                subscription = topic.subscribe("risk", subscription.position, shelf.fill, bell)
            assert subscription.statistics().buffered <= capacity
            assert seen == list(range(1, subscription.position + 1))
        seen.extend(await drained(subscription))
        assert seen == list(range(1, shelf.committed + 1))
        assert subscription.statistics().buffered == 0

    trio.run(play)


async def test_a_ring_before_or_during_the_wait_is_one_wake_up(autojump_clock: MockClock) -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    await bell.wait()
    with trio.move_on_after(1.0) as scope:
        await bell.wait()
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bell.wait)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await bell.wait()
        bell.ring()


async def test_a_cancelled_wait_keeps_the_ring(autojump_clock: MockClock) -> None:
    bell = Bell()
    bell.ring()
    with trio.CancelScope() as scope:
        scope.cancel()
        await bell.wait()
    assert scope.cancelled_caught
    with trio.fail_after(1.0):
        await bell.wait()


async def test_nonsense_is_refused(autojump_clock: MockClock) -> None:
    *_, subscription = subscribed()
    with pytest.raises(ValueError, match="at least one item, not 0"):
        await subscription.take(0)
    with pytest.raises(ValueError, match="room for an item"):
        Topic[int]("prices", 0)
    topic = Topic[int]("prices", 1)
    with pytest.raises(ValueError, match="cannot stand at -1"):
        topic.subscribe("risk", -1, Shelf().fill, Bell())
