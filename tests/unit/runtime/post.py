"""Senders and servers of one mailbox, for scenes on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable

import trio

from fusion_daemon.runtime import (
    Codec,
    DeadLetters,
    DeliveryFailed,
    Deposed,
    Mailbox,
    ManualClock,
    Poison,
    Policy,
    Priority,
    Reason,
)


class Boom(Exception):
    """What these handlers die of."""


class Isolation:
    """A quarantine in memory."""

    def __init__(self) -> None:
        self.kept: list[Poison] = []

    def set_aside(self, poison: Poison, /) -> None:
        self.kept.append(poison)


def last_digit(message: int) -> Hashable:
    """A key."""
    return message % 10


class Post:
    """A mailbox with its office and its quarantine. Message n is n; its reply is `str(n)`."""

    def __init__(
        self,
        policy: Policy[int],
        capacity: int = 4,
        codec: Codec[int] | None = None,
    ) -> None:
        self.clock = ManualClock(1_000.0)
        self.isolation = Isolation()
        self.office = DeadLetters(self.clock, self.isolation)
        self.box = Mailbox[int, str]("margin", capacity, policy, self.office, codec)

    def why(self) -> dict[Reason, int]:
        """How many dead letters, by reason."""
        return {reason: count for (_, reason), count in self.office.statistics().counts.items()}

    def check(self) -> None:
        """The law of conservation."""
        seen = self.box.statistics()
        assert seen.accepted == seen.handled + seen.dropped + seen.dead + seen.queued + seen.in_hand
        assert seen.refused + seen.dropped + seen.dead + seen.late_replies == sum(self.why().values())


class Sender:
    """One tell or ask in the background, and how it ended."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.over = False
        self.reply: str | None = None
        self.error: DeliveryFailed | None = None

    @classmethod
    def asks(
        cls,
        post: Post,
        nursery: trio.Nursery,
        message: int,
        timeout: float = 60.0,
        priority: Priority = Priority.USER,
    ) -> Sender:
        sender = cls()

        async def ask() -> None:
            sender.reply = await post.box.ask(message, timeout, priority)

        nursery.start_soon(sender._run, ask)
        return sender

    @classmethod
    def tells(
        cls, post: Post, nursery: trio.Nursery, message: int, priority: Priority = Priority.USER
    ) -> Sender:
        sender = cls()

        async def tell() -> None:
            await post.box.tell(message, priority)

        nursery.start_soon(sender._run, tell)
        return sender

    async def _run(self, send: Callable[[], Awaitable[None]]) -> None:
        try:
            with self.scope:
                await send()
        except DeliveryFailed as error:
            self.error = error
        finally:
            self.over = True


class Server:
    """One life: takes a message into its hand and does with it what the test says."""

    def __init__(self, post: Post, nursery: trio.Nursery) -> None:
        self.scope = trio.CancelScope()
        self.taken: list[int] = []
        self.error: Exception | None = None
        self.over = False
        self._done = 0
        self._post = post
        self._told = trio.Event()
        self._crash = False
        nursery.start_soon(self._run)

    @property
    def busy(self) -> bool:
        """Whether it holds a message."""
        return not self.over and len(self.taken) > self._done

    def finish(self) -> None:
        """Reply to what it holds, and take the next."""
        self._done = len(self.taken)
        self._told.set()

    def crash(self) -> None:
        self._crash = True
        self._told.set()

    async def _handle(self, message: int) -> str:
        self.taken.append(message)
        self._told = trio.Event()
        await self._told.wait()
        if self._crash:
            raise Boom(f"over {message}")
        return str(message)

    async def _run(self) -> None:
        try:
            with self.scope:
                await self._post.box.serve(self._handle)
        except (Boom, Deposed) as error:
            self.error = error
        finally:
            self.over = True
