"""Requests: bounded, always answered or failed, and every letter accounted for."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import (
    AskFailed,
    AskTimeout,
    Bell,
    Letter,
    Mailbox,
    MailboxFull,
    MailboxPolicy,
    MailboxStatistics,
    TargetDied,
)


def balanced(figures: MailboxStatistics) -> bool:
    settled = figures.answered + figures.refused + figures.died + figures.expired
    return figures.accepted == settled + figures.queued + figures.waiting + figures.in_hand


class Asker:
    """One ask in the background, and how it ended."""

    def __init__(
        self, box: Mailbox[int, str], nursery: trio.Nursery, request: int, timeout: float = 60.0
    ) -> None:
        self.scope = trio.CancelScope()
        self.reply: str | None = None
        self.error: Exception | None = None

        async def ask() -> None:
            with self.scope:
                try:
                    self.reply = await box.ask(request, timeout)
                except (AskFailed, LookupError) as error:
                    self.error = error

        nursery.start_soon(ask)


async def test_a_reply_and_a_refusal_reach_their_askers(autojump_clock: MockClock) -> None:
    box = Mailbox[int, str]("margin", 4, MailboxPolicy.FAIL)
    bell = Bell()
    async with trio.open_nursery() as nursery:
        with box.serve(bell):
            one, two = Asker(box, nursery, 1), Asker(box, nursery, 2)
            await bell.wait()
            await wait_all_tasks_blocked()
            letters = []
            while (letter := box.take()) is not None:
                letters.append(letter)
            by_request = {each.request: each for each in letters}
            by_request[1].reply("one")
            by_request[2].refuse(LookupError("no two"))
            await wait_all_tasks_blocked()
            assert one.reply == "one"
            assert isinstance(two.error, LookupError)
            assert balanced(box.statistics())


async def test_an_ask_fails_at_once_when_nobody_serves(autojump_clock: MockClock) -> None:
    box = Mailbox[int, str]("margin", 4, MailboxPolicy.BLOCK)
    with pytest.raises(TargetDied, match="margin: nobody serves it now"):
        await box.ask(1, 60.0)
    assert box.statistics().rejected == 1


async def test_every_ask_fails_at_once_when_its_server_dies(autojump_clock: MockClock) -> None:
    # One in hand, one queued, one waiting for room: none of them waits for its deadline.
    box = Mailbox[int, str]("margin", 1, MailboxPolicy.BLOCK)
    async with trio.open_nursery() as nursery:
        with pytest.raises(ZeroDivisionError), box.serve(Bell()):
            first = Asker(box, nursery, 1)
            await wait_all_tasks_blocked()
            letter = box.take()
            others = [Asker(box, nursery, 2), Asker(box, nursery, 3)]
            await wait_all_tasks_blocked()
            figures = box.statistics()
            assert (figures.in_hand, figures.queued, figures.waiting) == (1, 1, 1)
            raise ZeroDivisionError
        died_at = trio.current_time()
        await wait_all_tasks_blocked()
        assert all(isinstance(each.error, TargetDied) for each in (first, *others))
        assert trio.current_time() == died_at
        assert letter is not None
        letter.reply("too late")
        figures = box.statistics()
        assert (figures.died, figures.answered, figures.in_hand) == (3, 0, 0)
        assert balanced(figures)


async def test_a_full_mailbox_fails_or_waits_as_declared(autojump_clock: MockClock) -> None:
    for policy in MailboxPolicy:
        box = Mailbox[int, str]("margin", 1, policy)
        async with trio.open_nursery() as nursery:
            with box.serve(Bell()):
                first = Asker(box, nursery, 1)
                await wait_all_tasks_blocked()
                second = Asker(box, nursery, 2)
                await wait_all_tasks_blocked()
                assert isinstance(second.error, MailboxFull) == (policy is MailboxPolicy.FAIL)
                letter = box.take()
                assert letter is not None
                letter.reply("one")
                letter = box.take()
                assert (letter is None) == (policy is MailboxPolicy.FAIL)
                if letter is not None:
                    letter.reply("two")
                await wait_all_tasks_blocked()
                assert first.reply == "one"
                assert second.reply == (None if policy is MailboxPolicy.FAIL else "two")


async def test_a_deadline_or_a_cancel_withdraws_the_ask(autojump_clock: MockClock) -> None:
    box = Mailbox[int, str]("margin", 1, MailboxPolicy.BLOCK)
    async with trio.open_nursery() as nursery:
        with box.serve(Bell()):
            late, cancelled = Asker(box, nursery, 1, timeout=2.0), Asker(box, nursery, 1)
            await trio.sleep(1.0)
            cancelled.scope.cancel()
            await trio.sleep(2.0)
            assert isinstance(late.error, AskTimeout)
            assert str(late.error) == "margin: no reply within 2 s."
            assert box.take() is None
            figures = box.statistics()
            assert figures.expired == 2
            assert balanced(figures)


async def test_a_late_reply_is_dropped(autojump_clock: MockClock) -> None:
    box = Mailbox[int, str]("margin", 1, MailboxPolicy.BLOCK)
    async with trio.open_nursery() as nursery:
        with box.serve(Bell()):
            asker = Asker(box, nursery, 1, timeout=1.0)
            await wait_all_tasks_blocked()
            letter = box.take()
            await trio.sleep(2.0)
            assert letter is not None
            letter.reply("late")
            letter.refuse(LookupError())
            assert asker.reply is None
            assert box.statistics().answered == 0


@given(
    capacity=st.integers(1, 3),
    policy=st.sampled_from(MailboxPolicy),
    steps=st.lists(
        st.sampled_from(["ask", "take", "reply", "refuse", "cancel", "late", "die", "serve"]), max_size=40
    ),
)
def test_every_letter_is_accounted_for(capacity: int, policy: MailboxPolicy, steps: list[str]) -> None:
    async def play() -> None:
        box = Mailbox[int, str]("margin", capacity, policy)
        bell = Bell()
        server = box.serve(bell)
        server.__enter__()
        serving = True
        in_hand: list[Letter[int, str]] = []
        askers: list[Asker] = []
        async with trio.open_nursery() as nursery:
            for step in steps:
                if step == "ask":
                    askers.append(Asker(box, nursery, len(askers), 10.0))
                elif step == "take":
                    letter = box.take()
                    in_hand += [letter] if letter is not None else []
                elif step in ("reply", "refuse") and in_hand:
                    letter = in_hand.pop()
                    letter.reply("yes") if step == "reply" else letter.refuse(LookupError("no"))
                elif step == "cancel" and askers:
                    askers.pop().scope.cancel()
                elif step == "late":
                    await trio.sleep(10.0)
                elif step == "die" and serving:
                    server.__exit__(None, None, None)
                    serving = False
                elif step == "serve" and not serving:
                    server = box.serve(bell)
                    server.__enter__()
                    serving = True
                await wait_all_tasks_blocked()
                figures = box.statistics()
                assert balanced(figures)
                assert figures.queued <= capacity
                assert not figures.waiting or figures.queued == capacity
            if serving:
                server.__exit__(None, None, None)
        assert box.statistics().queued == box.statistics().waiting == box.statistics().in_hand == 0

    trio.run(play, clock=MockClock(autojump_threshold=0))


async def test_one_server_at_a_time(autojump_clock: MockClock) -> None:
    box = Mailbox[int, str]("margin", 1, MailboxPolicy.FAIL)
    with box.serve(Bell()), pytest.raises(trio.BusyResourceError), box.serve(Bell()):
        pass
