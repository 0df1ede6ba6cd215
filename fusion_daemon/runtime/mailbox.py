"""Bounded mailboxes for requests that want a reply. Durable facts travel on topics instead.

INVARIANTS
* `ask` never hangs: it ends with the reply, the target's error, or an error of its own at the latest
  at its deadline, and at once when nobody serves the mailbox or its server dies.
* Every accepted letter is accounted for:
  accepted = answered + refused + died + expired + queued + waiting + in_hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import trio

from fusion_daemon.runtime.topic import Bell

Request = TypeVar("Request")
Reply = TypeVar("Reply")


class MailboxPolicy(StrEnum):
    """What an ask does at a full mailbox."""

    BLOCK = "block"
    """Waits for room, until its deadline."""
    FAIL = "fail"
    """Raises `MailboxFull` at once."""


class AskFailed(Exception):
    """No reply to an `ask`; whether the target acted on the request is unknown."""

    def __init__(self, mailbox: str, why: str) -> None:
        self.mailbox = mailbox
        super().__init__(f"{mailbox}: {why}.")


class MailboxFull(AskFailed):
    """Not accepted: the target does not act on it."""


class TargetDied(AskFailed):
    """Nobody serves the mailbox, or its server ended before it replied."""


class AskTimeout(AskFailed):
    """No reply by the deadline."""


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """Letters since the mailbox exists; the last three are present ones."""

    name: str
    policy: MailboxPolicy
    capacity: int
    serving: bool
    rejected: int
    """Asks that were not accepted: full, or nobody served."""
    accepted: int
    answered: int
    refused: int
    """Answered with an error."""
    died: int
    """Their server ended first."""
    expired: int
    """Their asker gave up first; a reply that comes later is dropped."""
    peak_queued: int
    queued: int
    waiting: int
    """Asks that wait for room."""
    in_hand: int
    """Taken and not answered yet."""


class Letter(Generic[Request, Reply]):
    """A request in its server's hand, to be answered once by `reply` or `refuse`."""

    __slots__ = ("_answered", "_box", "_error", "_replies", "request")

    def __init__(self, box: Mailbox[Request, Reply], request: Request) -> None:
        self.request = request
        self._box = box
        self._answered = trio.Event()
        self._error: Exception | None = None
        self._replies: list[Reply] = []

    def reply(self, reply: Reply) -> None:
        """Answer. Nothing happens when the asker gave up meanwhile."""
        if self._box.settle(self, "answered"):
            self._replies.append(reply)
            self._answered.set()

    def refuse(self, error: Exception) -> None:
        """Let the asker's `ask` raise `error`. Nothing happens when the asker gave up meanwhile."""
        if self._box.settle(self, "refused"):
            self._error = error
            self._answered.set()

    def bury(self, error: TargetDied) -> None:
        """For the mailbox."""
        if self._box.settle(self, "died"):
            self._error = error
            self._answered.set()

    async def outcome(self) -> Reply:
        """For the mailbox."""
        await self._answered.wait()
        if self._error is not None:
            raise self._error
        return self._replies[0]


class Mailbox(Generic[Request, Reply]):
    """Room for `capacity` requests. Trio side throughout."""

    def __init__(self, name: str, capacity: int, policy: MailboxPolicy) -> None:
        if capacity < 1:
            raise ValueError(f"mailbox {name!r} needs room for a request, not {capacity}")
        self.name = name
        self._capacity = capacity
        self._policy = policy
        self._bell: Bell | None = None
        self._queue: deque[Letter[Request, Reply]] = deque()
        self._waiting: deque[Letter[Request, Reply]] = deque()
        self._in_hand: set[Letter[Request, Reply]] = set()
        self._counts = {"answered": 0, "refused": 0, "died": 0, "expired": 0}
        self._accepted = self._rejected = self._peak = 0

    async def ask(self, request: Request, timeout: float) -> Reply:
        """The server's reply to `request`, or the error it refused with.

        Trio side; a checkpoint. Raises `MailboxFull`, `TargetDied`, or `AskTimeout` after `timeout`
        seconds. A cancelled or late ask that nobody has taken yet is withdrawn.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        letter = Letter(self, request)
        self._accept(letter)
        with trio.move_on_after(timeout):
            try:
                return await letter.outcome()
            finally:
                self.settle(letter, "expired")
        raise AskTimeout(self.name, f"no reply within {timeout:g} s")

    @contextmanager
    def serve(self, bell: Bell) -> Iterator[None]:
        """Be the server while the context lasts; `bell` rings when a letter arrives.

        Leaving it, however it happens, fails every ask that is not answered, at once.
        """
        if self._bell is not None:
            raise trio.BusyResourceError(f"mailbox {self.name!r} is served already")
        self._bell = bell
        try:
            yield
        finally:
            self._bell = None
            died = TargetDied(self.name, "its server ended before it replied")
            for letter in (*self._in_hand, *self._queue, *self._waiting):
                letter.bury(died)

    def take(self) -> Letter[Request, Reply] | None:
        """The oldest letter, or None. The server's side; never waits."""
        if not self._queue:
            return None
        letter = self._queue.popleft()
        self._in_hand.add(letter)
        self._let_in()
        return letter

    def statistics(self) -> MailboxStatistics:
        return MailboxStatistics(
            name=self.name,
            policy=self._policy,
            capacity=self._capacity,
            serving=self._bell is not None,
            rejected=self._rejected,
            accepted=self._accepted,
            answered=self._counts["answered"],
            refused=self._counts["refused"],
            died=self._counts["died"],
            expired=self._counts["expired"],
            peak_queued=self._peak,
            queued=len(self._queue),
            waiting=len(self._waiting),
            in_hand=len(self._in_hand),
        )

    def settle(self, letter: Letter[Request, Reply], how: str) -> bool:
        """For letters: count and forget a present one; False when it was settled before."""
        if letter in self._in_hand:
            self._in_hand.remove(letter)
        elif letter in self._queue:
            self._queue.remove(letter)
            self._let_in()
        elif letter in self._waiting:
            self._waiting.remove(letter)
        else:
            return False
        self._counts[how] += 1
        return True

    def _accept(self, letter: Letter[Request, Reply]) -> None:
        if self._bell is None:
            self._rejected += 1
            raise TargetDied(self.name, "nobody serves it now")
        if len(self._queue) < self._capacity:
            self._put(letter, self._bell)
        elif self._policy is MailboxPolicy.BLOCK:
            self._waiting.append(letter)
        else:
            self._rejected += 1
            raise MailboxFull(self.name, f"it holds {self._capacity} request(s), its limit")
        self._accepted += 1

    def _let_in(self) -> None:
        # While the server is gone the doors stay shut: everything here is about to be buried.
        if self._waiting and len(self._queue) < self._capacity and self._bell is not None:
            self._put(self._waiting.popleft(), self._bell)

    def _put(self, letter: Letter[Request, Reply], bell: Bell) -> None:
        self._queue.append(letter)
        self._peak = max(self._peak, len(self._queue))
        bell.ring()
