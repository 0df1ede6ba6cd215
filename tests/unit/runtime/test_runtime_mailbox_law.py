"""A mailbox under whatever order of events: nothing is lost without a trace, nothing is handled twice, no ask hangs.

A hypothesis state machine plays senders, servers and the operator; the mailbox lives in a trio run of its own, on
virtual time, and stands still between two steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio.testing import MockClock, wait_all_tasks_blocked

from fusion_daemon.runtime import Block, Conflate, Overflow, Policy, Priority
from tests.unit.runtime.post import Post, Sender, Server, last_digit

T = TypeVar("T")

POLICIES: list[Policy[int]] = [*Overflow, Block(8.0), Conflate(last_digit)]


class Scene:
    """A trio run in another thread, entered step by step."""

    def __init__(self) -> None:
        self.clock = MockClock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._live,), kwargs={"clock": self.clock})
        self._thread.start()
        self._ready.wait()

    def play(self, step: Callable[[], T]) -> T:
        """Do it inside, and wait until it has had its effect."""

        async def inside() -> T:
            result = step()
            await wait_all_tasks_blocked()
            return result

        return trio.from_thread.run(inside, trio_token=self._token)

    def clear(self) -> None:
        """Cancel whoever is still there."""
        self.play(self.nursery.cancel_scope.cancel)

    def end(self) -> None:
        self._token.run_sync_soon(self._over.set)
        self._thread.join()

    async def _live(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._over = trio.Event()
        async with trio.open_nursery() as self.nursery:
            self._ready.set()
            await trio.sleep_forever()
        await self._over.wait()


class MailboxMachine(RuleBasedStateMachine):
    """The model is what each sender and each server saw; the mailbox has to agree with it."""

    @initialize(policy=st.sampled_from(POLICIES), capacity=st.integers(1, 3))
    def open(self, policy: Policy[int], capacity: int) -> None:
        self.scene = Scene()
        self.policy = policy
        self.capacity = capacity
        self.post = self.scene.play(lambda: Post(policy, capacity))
        self.asks: list[Sender] = []
        self.tells: list[Sender] = []
        self.server: Server | None = None
        self.zombies: list[Server] = []
        self.messages = 0
        self.told: set[int] = set()
        self.finished: list[int] = []
        self.deaths: dict[int, int] = {}

    @rule(digit=st.integers(0, 3), priority=st.sampled_from([*Priority, Priority.USER, Priority.USER]))
    def tell(self, digit: int, priority: Priority) -> None:
        number = self._number(digit)
        self.told.add(number)
        self.tells.append(
            self.scene.play(lambda: Sender.tells(self.post, self.scene.nursery, number, priority))
        )

    @rule(
        digit=st.integers(0, 3), priority=st.sampled_from([*Priority, Priority.USER]), timeout=st.sampled_from([2, 60])
    )
    def ask(self, digit: int, priority: Priority, timeout: int) -> None:
        number = self._number(digit)
        self.asks.append(
            self.scene.play(lambda: Sender.asks(self.post, self.scene.nursery, number, timeout, priority))
        )

    @precondition(lambda self: self.server is None or not self.zombies)
    @rule()
    def start(self) -> None:
        """A server where none is, or beside one that would not stop."""
        if self.server is not None:
            self.zombies.append(self.server)
            if self.server.busy:
                self._died(self.server.taken[-1])
        self.server = self.scene.play(lambda: Server(self.post, self.scene.nursery))

    @precondition(lambda self: self.server is not None and self.server.busy)
    @rule()
    def finish(self) -> None:
        assert self.server is not None
        self.finished.append(self.server.taken[-1])
        self.scene.play(self.server.finish)

    @precondition(lambda self: self.server is not None and self.server.busy)
    @rule()
    def crash(self) -> None:
        assert self.server is not None
        self._died(self.server.taken[-1])
        self.scene.play(self.server.crash)
        self.server = None

    @precondition(lambda self: self.server is not None)
    @rule()
    def stop(self) -> None:
        assert self.server is not None
        self.scene.play(self.server.scope.cancel)
        self.server = None

    @precondition(lambda self: any(each.busy for each in self.zombies))
    @rule()
    def zombie_finishes(self) -> None:
        zombie = next(each for each in self.zombies if each.busy)
        self.scene.play(zombie.finish)

    @rule()
    def time_passes(self) -> None:
        self.scene.play(lambda: self.scene.clock.jump(3.0))

    @precondition(lambda self: any(not each.over for each in self._senders()))
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        sender = data.draw(st.sampled_from([each for each in self._senders() if not each.over]))
        self.scene.play(sender.scope.cancel)
        assert sender.over

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "post"):
            self.post.check()
            seen = self.post.box.statistics()
            assert self.messages == seen.accepted + seen.refused + seen.waiting
            assert seen.serving == (self.server is not None)
            assert seen.waiting == 0 or isinstance(self.policy, Block)
            assert len(self.post.box._inbox.work) <= self.capacity + 1, "one more, if it came back"

    @invariant()
    def what_killed_two_is_set_aside(self) -> None:
        if hasattr(self, "post"):
            assert len(self.post.isolation.kept) == sum(deaths == 2 for deaths in self.deaths.values())
            assert all(deaths <= 2 for deaths in self.deaths.values())

    @invariant()
    def no_ask_outlives_its_server(self) -> None:
        if hasattr(self, "post") and self.server is None:
            assert all(each.over for each in self.asks)

    @invariant()
    def nothing_is_handled_twice(self) -> None:
        if hasattr(self, "post"):
            assert len(self.finished) == len(set(self.finished))
            assert self.post.box.statistics().handled == len(self.finished)

    def teardown(self) -> None:
        if not hasattr(self, "post"):
            return
        self.scene.play(self.post.box.close)
        self.scene.clear()
        self.scene.end()
        self.post.check()
        seen = self.post.box.statistics()
        assert (seen.queued, seen.waiting, seen.in_hand) == (0, 0, 0)
        assert all(each.over for each in self._senders())

    def _number(self, digit: int) -> int:
        self.messages += 1
        return 10 * self.messages + digit

    def _senders(self) -> list[Sender]:
        return [*self.asks, *self.tells]

    def _died(self, message: int) -> None:
        if message in self.told:
            self.deaths[message] = self.deaths.get(message, 0) + 1


MailboxMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
test_mailbox_machine = MailboxMachine.TestCase
