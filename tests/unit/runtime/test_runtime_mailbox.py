"""Mailboxes: bounded, in order of urgency, fair to others, and never an ask that hangs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    AskTimeout,
    Bell,
    Block,
    Codec,
    Conflate,
    Deposed,
    Desk,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    Overflow,
    Priority,
    Reason,
    TargetDied,
    Undecodable,
)
from fusion_daemon.runtime.mailbox import FAIR_MESSAGES, FAIR_TELLS, URGENT_CAPACITY
from tests.unit.runtime.post import Boom, Post, Sender, Server, last_digit

CONTROL, SUPERVISION = Priority.CONTROL, Priority.SUPERVISION


async def told(post: Post, *messages: int) -> None:
    for message in messages:
        await post.box.tell(message)


async def drained(post: Post) -> list[int]:
    """Serve until nothing is left; what was handled, in order."""
    taken: list[int] = []

    async def handle(message: int) -> str:
        taken.append(message)
        return str(message)

    with post.box.attended(Bell()) as desk:
        while post.box.statistics().queued:
            await desk.drain(handle)
            await trio.lowlevel.checkpoint()
    post.check()
    return taken


# Asking


async def test_a_reply_reaches_its_asker(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        one, two = Sender.asks(post, nursery, 1), Sender.asks(post, nursery, 2)
        await wait_all_tasks_blocked()
        server.finish()
        await wait_all_tasks_blocked()
        server.finish()
        await wait_all_tasks_blocked()
        assert (one.reply, two.reply) == ("1", "2")
        assert post.box.statistics().handled == 2
        post.check()
        nursery.cancel_scope.cancel()


async def test_an_ask_fails_at_once_when_nobody_serves(autojump_clock: MockClock) -> None:
    post = Post(Block(5.0))
    with pytest.raises(TargetDied, match=r"margin: nobody serves it now\."):
        await post.box.ask(1, 60.0)
    assert post.why() == {Reason.NO_SERVER: 1}
    post.check()


async def test_every_ask_fails_at_once_when_its_server_dies(autojump_clock: MockClock) -> None:
    # One in hand, one queued, one waiting for room: none of them waits for its deadline.
    post = Post(Block(50.0), capacity=1)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        asks = []
        for message in (1, 2, 3):
            asks.append(Sender.asks(post, nursery, message))
            await wait_all_tasks_blocked()
        seen = post.box.statistics()
        assert (seen.in_hand, seen.queued, seen.waiting, seen.policy) == (1, 1, 1, "block(50 s)")
        began = trio.current_time()
        server.crash()
        await wait_all_tasks_blocked()
        assert [type(each.error) for each in asks] == [TargetDied] * 3
        assert trio.current_time() == began
        seen = post.box.statistics()
        assert (seen.dead, seen.refused, seen.queued, seen.waiting, seen.in_hand) == (2, 1, 0, 0, 0)
        post.check()


async def test_a_deadline_or_a_cancel_withdraws_the_ask(autojump_clock: MockClock) -> None:
    # 1 keeps the server busy; 2 is queued, 3 and 4 wait for room. 2 and 3 are late, 4 is cancelled.
    post = Post(Block(50.0), capacity=1)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        asks = []
        for message, timeout in ((1, 60.0), (2, 2.0), (3, 2.0), (4, 60.0)):
            asks.append(Sender.asks(post, nursery, message, timeout))
            await wait_all_tasks_blocked()
        await trio.sleep(1.0)
        asks[3].scope.cancel()
        await trio.sleep(2.0)
        assert [str(each.error) for each in asks[1:3]] == ["margin: no reply within 2 s."] * 2
        assert isinstance(asks[1].error, AskTimeout)
        assert post.why() == {Reason.EXPIRED: 3}
        post.check()
        server.finish()
        await wait_all_tasks_blocked()
        assert server.taken == [1]
        nursery.cancel_scope.cancel()


async def test_a_late_reply_is_a_dead_letter(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        late = Sender.asks(post, nursery, 1, timeout=1.0)
        await trio.sleep(2.0)
        assert isinstance(late.error, AskTimeout)
        assert post.box.statistics().in_hand == 1, "its server still works on it"
        server.finish()
        await wait_all_tasks_blocked()
        seen = post.box.statistics()
        assert (seen.handled, seen.late_replies, post.why()) == (1, 1, {Reason.LATE_REPLY: 1})
        post.check()
        nursery.cancel_scope.cancel()


async def in_the_same_moment(first: Callable[[Sender], None]) -> tuple[Post, Sender]:
    """An ask whose reply comes after `first`, and before the asker can run."""
    post = Post(Overflow.FAIL)
    replied = trio.Event()

    async def handle(message: int) -> str:
        await replied.wait()
        first(asker)
        return str(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.box.serve, handle)
        await wait_all_tasks_blocked()
        asker = Sender.asks(post, nursery, 1)
        await wait_all_tasks_blocked()
        replied.set()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return post, asker


async def test_a_reply_in_the_moment_of_a_cancel_is_not_lost_silently(autojump_clock: MockClock) -> None:
    post, asker = await in_the_same_moment(lambda asker: asker.scope.cancel())
    assert asker.reply is None
    assert post.why() == {Reason.LATE_REPLY: 1}
    assert post.box.statistics().handled == 1
    post.check()


async def test_a_reply_in_the_moment_of_the_deadline_is_heard_or_late(mock_clock: MockClock) -> None:
    # Server and asker wake in one tick, in trio's random order: either the asker hears it, or it is a late reply.
    post = Post(Overflow.FAIL)

    async def handle(message: int) -> str:
        await trio.sleep(1.0)
        return str(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.box.serve, handle)
        for message in range(30):
            asker = Sender.asks(post, nursery, message, timeout=1.0)
            await wait_all_tasks_blocked()
            late = post.box.statistics().late_replies
            mock_clock.jump(1.0)
            await wait_all_tasks_blocked()
            assert (asker.reply == str(message)) == (post.box.statistics().late_replies == late)
            assert (asker.reply is None) == isinstance(asker.error, AskTimeout)
            post.check()
        nursery.cancel_scope.cancel()


# Telling, and what becomes of it at a full mailbox


async def test_what_is_told_waits_for_the_next_life_in_order(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL)
    await told(post, 1, 2)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        await wait_all_tasks_blocked()
        server.finish()
        await told(post, 3)
        await wait_all_tasks_blocked()
        server.scope.cancel()  # an orderly stop with 2 in its hand
        await wait_all_tasks_blocked()
    assert post.box.statistics().redelivered == 1
    assert await drained(post) == [2, 3]


async def test_a_teller_waits_for_room_across_lives(autojump_clock: MockClock) -> None:
    # 1 is queued, the tell of 2 and the ask of 3 wait for room. The server leaves: only the ask fails.
    post = Post(Block(50.0), capacity=1)
    async with trio.open_nursery() as nursery:
        with post.box.attended(Bell()):
            await told(post, 1)
            tell = Sender.tells(post, nursery, 2)
            await wait_all_tasks_blocked()
            ask = Sender.asks(post, nursery, 3)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert isinstance(ask.error, TargetDied)
        assert not tell.over
        assert await drained(post) == [1, 2]
    assert tell.error is None


async def test_fail_refuses_what_finds_no_room(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL, capacity=2)
    await told(post, 1, 2)
    with pytest.raises(MailboxFull, match=r"margin: it holds 2 message\(s\), its limit\."):
        await told(post, 3)
    assert post.why() == {Reason.FULL: 1}
    assert post.box.statistics().peak_queued == 2
    assert await drained(post) == [1, 2]


async def test_drop_newest_drops_the_newcomer_and_tells_only_an_asker(autojump_clock: MockClock) -> None:
    post = Post(Overflow.DROP_NEWEST, capacity=2)
    async with trio.open_nursery() as nursery:
        with post.box.attended(Bell()):
            await told(post, 1, 2, 3)
            ask = Sender.asks(post, nursery, 4)
            await wait_all_tasks_blocked()
    assert isinstance(ask.error, MessageDropped)
    assert post.why() == {Reason.DROPPED: 2}
    assert await drained(post) == [1, 2]


async def test_drop_oldest_makes_room_for_the_newcomer(autojump_clock: MockClock) -> None:
    post = Post(Overflow.DROP_OLDEST, capacity=2)
    async with trio.open_nursery() as nursery:
        with post.box.attended(Bell()):
            ask = Sender.asks(post, nursery, 1)
            await wait_all_tasks_blocked()
            await told(post, 2, 3)
            await wait_all_tasks_blocked()
            assert str(ask.error) == "margin: dropped by its policy, drop_oldest."
    assert await drained(post) == [2, 3]


async def test_conflate_keeps_the_newest_of_a_key_in_the_place_of_the_first(
    autojump_clock: MockClock,
) -> None:
    # Keys are last digits: 11 takes the place of 1, 22 that of 2. A third key finds no room.
    post = Post(Conflate(last_digit), capacity=2)
    await told(post, 1, 2, 11, 22)
    with pytest.raises(MailboxFull):
        await told(post, 3)
    assert post.box.statistics().policy == "conflate(last_digit)"
    assert post.why() == {Reason.SUPERSEDED: 2, Reason.FULL: 1}
    assert await drained(post) == [11, 22]


async def test_a_superseded_ask_fails_and_a_withdrawn_one_leaves_its_key(autojump_clock: MockClock) -> None:
    post = Post(Conflate(last_digit), capacity=2)
    async with trio.open_nursery() as nursery:
        with post.box.attended(Bell()):
            first = Sender.asks(post, nursery, 1)
            await wait_all_tasks_blocked()
            second = Sender.asks(post, nursery, 11, timeout=1.0)
            await trio.sleep(2.0)
            assert isinstance(first.error, MessageDropped)
            assert isinstance(second.error, AskTimeout)
            await told(post, 21)
    assert await drained(post) == [21]


async def test_a_policy_without_a_name_shows_its_type() -> None:
    class Digit:
        def __call__(self, message: int) -> int:
            return message % 10

    assert str(Conflate(Digit())) == "conflate(Digit)"


async def test_block_waits_for_room_in_turn_and_lets_in_at_half(autojump_clock: MockClock) -> None:
    # Capacity 4, half is 2. 5 and 6 wait; nobody is let in at 3, both are at 2.
    post = Post(Block(5.0), capacity=4)
    await told(post, 1, 2, 3, 4)
    async with trio.open_nursery() as nursery:
        five = Sender.tells(post, nursery, 5)
        await wait_all_tasks_blocked()
        six = Sender.tells(post, nursery, 6)
        await wait_all_tasks_blocked()
        server = Server(post, nursery)
        await wait_all_tasks_blocked()
        assert (five.over, six.over, post.box.statistics().queued) == (False, False, 3)
        server.finish()
        await wait_all_tasks_blocked()
        assert (five.over, six.over, post.box.statistics().queued) == (True, True, 4)
        for _ in range(4):
            server.finish()
            await wait_all_tasks_blocked()
        assert server.taken == [1, 2, 3, 4, 5, 6]
        post.check()
        nursery.cancel_scope.cancel()


async def test_block_does_not_wait_longer_than_it_says(autojump_clock: MockClock) -> None:
    post = Post(Block(5.0), capacity=1)
    await told(post, 1)
    began = trio.current_time()
    with pytest.raises(MailboxFull):
        await told(post, 2)
    assert trio.current_time() - began == 5.0
    assert post.why() == {Reason.FULL: 1}
    assert await drained(post) == [1]


async def test_room_in_the_moment_of_giving_up_is_room_or_none(mock_clock: MockClock) -> None:
    # Patience ends in the tick in which the only queued message is taken: the sender knows whether it was sent.
    for _ in range(30):
        post = Post(Block(1.0), capacity=1)
        await told(post, 1)
        taken: list[int] = []

        async def take(post: Post = post, taken: list[int] = taken) -> None:
            await trio.sleep(1.0)
            taken += await drained(post)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await wait_all_tasks_blocked()
            sender = Sender.tells(post, nursery, 2)
            await wait_all_tasks_blocked()
            mock_clock.jump(1.0)
        taken += await drained(post)
        assert taken == ([1, 2] if sender.error is None else [1])


# Lanes and turns


async def test_control_before_supervision_before_the_work_of_a_full_mailbox(
    autojump_clock: MockClock,
) -> None:
    post = Post(Overflow.FAIL, capacity=1_000)
    await told(post, *range(1_000))
    await post.box.tell(-2, SUPERVISION)
    await post.box.tell(-1, CONTROL)
    assert (await drained(post))[:4] == [-1, -2, 0, 1]


async def test_a_control_message_is_next_however_long_the_queue(autojump_clock: MockClock) -> None:
    # In the midst of draining, each message taking 5 ms: it waits for the one in hand, and for no other.
    post = Post(Overflow.FAIL, capacity=1_000)
    await told(post, *range(1_000))
    handled: dict[int, float] = {}

    async def handle(message: int) -> str:
        await trio.sleep(0.005)
        handled[message] = trio.current_time()
        return ""

    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.box.serve, handle)
        await trio.sleep(0.0575)
        sent = trio.current_time()
        await post.box.ask(-1, 1.0, CONTROL)
        assert handled[-1] - sent < 0.01
        nursery.cancel_scope.cancel()


async def test_urgent_lanes_are_bounded_whatever_the_policy(autojump_clock: MockClock) -> None:
    post = Post(Overflow.DROP_OLDEST, capacity=1)
    for _ in range(URGENT_CAPACITY):
        await post.box.tell(0, CONTROL)
    with pytest.raises(MailboxFull, match=r"it holds 64 message\(s\)"):
        await post.box.tell(1, CONTROL)
    post.check()


async def others_turns(work: Callable[[Post], Awaitable[None]], post: Post) -> int:
    """How often another task had its turn meanwhile."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await work(post)
        nursery.cancel_scope.cancel()
    return turns


async def test_senders_give_way_every_so_many_messages(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL, capacity=20 * FAIR_TELLS)

    async def send(post: Post) -> None:
        await told(post, *range(20 * FAIR_TELLS))

    assert await others_turns(send, post) >= 16


async def test_a_server_gives_way_every_so_many_messages(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL, capacity=20 * FAIR_MESSAGES)
    await told(post, *range(20 * FAIR_MESSAGES))

    async def receive(post: Post) -> None:
        await drained(post)

    assert await others_turns(receive, post) >= 16


async def test_a_server_with_slow_messages_gives_way_sooner(mock_clock: MockClock) -> None:
    # Each message keeps the processor for 1 ms: after 4 of them the others have their turn.
    post = Post(Overflow.FAIL, capacity=32)
    await told(post, *range(16))
    batches: list[int] = []

    async def handle(message: int) -> str:
        mock_clock.jump(0.001)
        batches[-1] += 1
        return ""

    with post.box.attended(bell := Bell()) as desk:
        while post.box.statistics().queued:
            with trio.fail_after(1.0):
                await bell.wait()
            batches.append(0)
            await desk.drain(handle)
    assert batches == [4, 4, 4, 4]


# Death


async def test_a_message_that_kills_its_handler_comes_back_once(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL, codec=Codec(lambda message: b"%d" % message, int))
    await told(post, 1, 2)
    async with trio.open_nursery() as nursery:
        for life in (1, 2):
            server = Server(post, nursery)
            await wait_all_tasks_blocked()
            assert server.taken == [1], "at the front, before 2"
            server.crash()
            await wait_all_tasks_blocked()
            assert isinstance(server.error, Boom)
            assert len(post.isolation.kept) == life - 1
            post.check()
    (poison,) = post.isolation.kept
    assert (poison.mailbox, poison.message, poison.payload, poison.at) == ("margin", "int", b"1", 1_000.0)
    assert "Boom: over 1" in poison.traceback
    assert post.why() == {Reason.QUARANTINED: 1}
    assert await drained(post) == [2]


async def test_what_was_set_aside_can_be_told_once_more(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL, codec=Codec(lambda message: b"%d" % message, int))
    await dies_of(post, 7, deaths=2)
    (poison,) = post.isolation.kept
    assert poison.payload is not None
    await post.box.replay(poison.payload)
    assert await drained(post) == [7]


async def test_a_payload_that_is_no_message_is_refused(autojump_clock: MockClock) -> None:
    for post in (Post(Overflow.FAIL), Post(Overflow.FAIL, codec=Codec(lambda message: b"%d" % message, int))):
        with pytest.raises(Undecodable):
            await post.box.replay(b"seven")
        assert post.box.statistics().queued == 0


async def test_an_encoder_that_fails_costs_the_payload_only(autojump_clock: MockClock) -> None:
    def encode(message: int) -> bytes:
        raise TypeError("no bytes for this one")

    post = Post(Overflow.FAIL, codec=Codec(encode, int))
    await dies_of(post, 1, deaths=2)
    (poison,) = post.isolation.kept
    assert poison.payload is None
    assert "Boom" in poison.traceback


async def dies_of(post: Post, message: int, deaths: int) -> None:
    await post.box.tell(message)
    async with trio.open_nursery() as nursery:
        for _ in range(deaths):
            server = Server(post, nursery)
            await wait_all_tasks_blocked()
            server.crash()
            await wait_all_tasks_blocked()


async def test_an_order_to_stop_is_not_the_messages_fault(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL)
    await told(post, 1)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            server = Server(post, nursery)
            await wait_all_tasks_blocked()
            server.scope.cancel()
            await wait_all_tasks_blocked()
    assert post.isolation.kept == []
    assert await drained(post) == [1]


@pytest.mark.parametrize(
    ("error", "guilty"),
    [
        (BaseExceptionGroup("", [KeyboardInterrupt(), ExceptionGroup("", [Boom()])]), True),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), False),
        (KeyboardInterrupt(), False),
    ],
    ids=["crash beside it", "group", "interrupt"],
)
async def test_an_interrupt_is_not_the_messages_fault_but_a_crash_beside_it_is(
    autojump_clock: MockClock, error: BaseException, guilty: bool
) -> None:
    post = Post(Overflow.FAIL)
    await told(post, 1)

    async def handle(message: int) -> str:
        raise error

    for _ in range(2):
        with pytest.raises(type(error)), post.box.attended(Bell()) as desk:
            await desk.drain(handle)
    assert len(post.isolation.kept) == guilty
    post.check()


async def test_what_comes_back_yields_to_a_newer_one_of_its_key(autojump_clock: MockClock) -> None:
    post = Post(Conflate(last_digit))
    await told(post, 1, 2)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        await wait_all_tasks_blocked()
        await told(post, 11)
        server.crash()
        await wait_all_tasks_blocked()
        assert post.why() == {Reason.SUPERSEDED: 1}
        server = Server(post, nursery)
        await wait_all_tasks_blocked()
        server.crash()
        await wait_all_tasks_blocked()
    assert await drained(post) == [2, 11], "2 came back, before 11"


async def test_a_zombie_is_deposed_and_its_message_goes_to_the_next_life(autojump_clock: MockClock) -> None:
    # The old life holds ask 1 and would not stop. The new one takes over: 1 fails at once, its reply comes too late.
    post = Post(Overflow.FAIL)
    async with trio.open_nursery() as nursery:
        old = Server(post, nursery)
        ask = Sender.asks(post, nursery, 1)
        await wait_all_tasks_blocked()
        new = Server(post, nursery)
        await wait_all_tasks_blocked()
        assert isinstance(ask.error, TargetDied)
        await told(post, 2)
        await wait_all_tasks_blocked()
        old.finish()
        await wait_all_tasks_blocked()
        assert isinstance(old.error, Deposed)
        assert new.taken == [2]
        assert post.box.statistics().serving
        assert post.why() == {Reason.TARGET_DIED: 1, Reason.LATE_REPLY: 1}
        newest = Server(post, nursery)
        await wait_all_tasks_blocked()
        assert newest.taken == [2]
        new.crash()  # its hand is empty: this is nobody's death
        await wait_all_tasks_blocked()
        newest.crash()
        await wait_all_tasks_blocked()
        post.check()
        assert [poison.message for poison in post.isolation.kept] == ["int"]


async def test_a_desk_that_was_left_takes_nothing(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL)
    await told(post, 1)

    async def handle(message: int) -> str:
        raise AssertionError

    with post.box.attended(Bell()) as desk:
        kept: Desk[int, str] = desk
    with pytest.raises(Deposed, match="serves it no more"):
        await kept.drain(handle)
    assert await drained(post) == [1]


# The end


async def test_closing_ends_everything_with_a_reason(autojump_clock: MockClock) -> None:
    # 1 is in hand, 2 (asked) queued, 3 (asked) and 4 (told) wait for room.
    post = Post(Block(50.0), capacity=1)
    async with trio.open_nursery() as nursery:
        server = Server(post, nursery)
        await told(post, 1)
        await wait_all_tasks_blocked()
        senders = []
        for send, message in ((Sender.asks, 2), (Sender.asks, 3), (Sender.tells, 4)):
            senders.append(send(post, nursery, message))
            await wait_all_tasks_blocked()
        post.box.close()
        post.box.close()
        await wait_all_tasks_blocked()
        assert [type(each.error) for each in senders] == [MailboxClosed] * 3
        for send in (Sender.asks, Sender.tells):
            sender = send(post, nursery, 5)
            await wait_all_tasks_blocked()
            assert str(sender.error) == "margin: it is closed."
        server.crash()  # 1 has nowhere to go back to
        await wait_all_tasks_blocked()
        assert post.why() == {Reason.CLOSED: 6}
        assert post.box.statistics().closed
        post.check()


def test_a_mailbox_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="needs room for a message, not 0"):
        Post(Overflow.FAIL, capacity=0)


async def test_a_bell_rings_for_what_waits_already(autojump_clock: MockClock) -> None:
    post = Post(Overflow.FAIL)
    await told(post, 1)
    bell = Bell()
    with post.box.attended(bell), trio.fail_after(1.0):
        await bell.wait()
