"""Rule: who looks on sees each item once or is told how many they missed; who works neither waits nor pays for it."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.runtime import Bell, ManualClock, Topic
from fusion_daemon.runtime.window import LEASE, Look, Window

CAPACITY = 4


def window() -> tuple[Window[str], ManualClock]:
    clock = ManualClock()
    return Window[str](CAPACITY, clock), clock


def test_nothing_is_kept_before_somebody_looks_and_long_after() -> None:
    seen, clock = window()
    seen.put(1, ["a"])
    assert not seen.open
    assert seen.look(1, None, 10) == Look((), 0, 1)
    seen.put(2, ["b"])
    assert seen.look(2, 1, 10) == Look(((2, "b"),), 0, 2)
    clock.advance(LEASE)
    seen.put(3, ["c"])
    assert seen.open, "the last look has not run out yet"
    clock.advance(0.1)
    seen.put(4, ["d"])
    assert not seen.open
    assert seen.look(4, 3, 10) == Look((), 1, 4), "it was put for nobody"


def test_what_came_too_fast_is_counted() -> None:
    seen, _ = window()
    seen.look(0, None, 10)
    seen.put(1, list("abcdefghij"))
    assert seen.look(10, 0, 10) == Look(((7, "g"), (8, "h"), (9, "i"), (10, "j")), 6, 10)


def test_a_number_that_never_was_is_the_present() -> None:
    seen, _ = window()
    seen.look(3, None, 10)
    assert seen.look(3, 99, 10) == Look((), 0, 3)


@given(st.lists(st.tuples(st.integers(0, 7), st.booleans(), st.integers(1, 5)), max_size=40))
def test_seen_and_missed_are_all_there_was(steps: list[tuple[int, bool, int]]) -> None:
    seen, _ = window()
    shown: list[tuple[int, str]] = []
    head, missed, after = 0, 0, seen.look(0, None, 1).next
    for size, announced_only, limit in steps:
        if not announced_only:
            seen.put(head + 1, [str(head + 1 + each) for each in range(size)])
        head += size
        look = seen.look(head, after, limit)
        assert look.next >= after
        shown += look.items
        missed, after = missed + look.missed, look.next
    while after < head:
        look = seen.look(head, after, 100)
        shown += look.items
        missed, after = missed + look.missed, look.next
    numbers = [number for number, _ in shown]
    assert numbers == sorted(set(numbers))
    assert all(text == str(number) for number, text in shown)
    assert len(shown) + missed == head


def test_a_look_that_the_writer_moves_under_is_taken_again() -> None:
    seen = Window[int](1_000, ManualClock())
    seen.look(0, None, 1)
    over = threading.Event()

    def put() -> None:
        for number in range(1, 50_000):
            seen.put(number, (number,))
        over.set()

    thread = threading.Thread(target=put)
    thread.start()
    while not over.is_set():
        look = seen.look(50_000, 0, 10)
        assert all(number == item for number, item in look.items)
    thread.join()


class _Torn:
    """What a deque is while another thread puts something, for one look."""

    def __init__(self) -> None:
        self.looks = 0

    def __iter__(self) -> _Torn:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("deque mutated during iteration")
        return self

    def __next__(self) -> tuple[int, str]:
        raise StopIteration


def test_a_torn_look_is_no_error() -> None:
    seen, _ = window()
    seen.look(0, None, 1)
    torn = _Torn()
    seen._kept = torn  # type: ignore[assignment]
    assert seen.look(0, 0, 1) == Look((), 0, 0)
    assert torn.looks == 2


def test_a_window_that_closes_under_a_look_shows_nothing() -> None:
    class _Closes:
        def monotonic(self) -> float:
            seen._kept = None
            return 0.0

        def now(self) -> float:
            return 0.0

    seen = Window[str](CAPACITY, _Closes())
    assert seen.look(5, 3, 1) == Look((), 2, 5)
    seen._kept = None
    assert seen._present() == ()


async def test_a_tap_sees_what_is_published_and_what_was_only_announced_it_misses() -> None:
    topic = Topic[str]("prices", 8, ManualClock())
    topic.publish(1, ["a", "b"])
    start = topic.tap(None, 10)
    assert start == Look((), 0, 2)
    topic.publish(3, ["c"])
    topic.advance(5)
    topic.publish(5, ["known already", "f"])
    assert topic.tap(start.next, 10) == Look(((3, "c"), (6, "f")), 2, 6)
    assert topic.tap(6, 10) == Look((), 0, 6)


async def test_a_tap_does_not_hold_a_consumer_up() -> None:
    topic = Topic[int]("prices", 2_000, ManualClock())

    async def fill(after: int, limit: int) -> list[int]:
        raise AssertionError("everything was in memory")

    subscription = topic.subscribe("consumer", 0, fill, Bell())
    topic.tap(None, 1)
    topic.publish(1, range(1, 1_501))
    assert list(await subscription.take(2_000)) == list(range(1, 1_501))
    look = topic.tap(0, 10_000)
    assert (look.missed, len(look.items), look.next) == (500, 1_000, 1_500)
