"""A message on its way through a mailbox, and the ways in which it may not arrive."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec
import trio

from fusion_daemon.runtime.policy import Priority

Message = TypeVar("Message")
Reply = TypeVar("Reply")


class DeliveryFailed(Exception):
    """A message was not handled, or nobody knows whether it was."""

    def __init__(self, mailbox: str, why: str) -> None:
        self.mailbox = mailbox
        super().__init__(f"{mailbox}: {why}.")


class MailboxFull(DeliveryFailed):
    """Not accepted: the target does not act on it."""


class MailboxClosed(DeliveryFailed):
    """Nobody will serve the mailbox any more: the target does not act on it."""


class MessageDropped(DeliveryFailed):
    """Sacrificed to the mailbox's policy: the target does not act on it."""


class TargetDied(DeliveryFailed):
    """Nobody serves the mailbox, or its server ended before it replied; it may have acted."""


class AskTimeout(DeliveryFailed):
    """No reply by the deadline; the target may have acted, or may yet."""


class Undecodable(DeliveryFailed):
    """A payload from the quarantine is no message of this mailbox: the target does not act on it."""


class Deposed(Exception):
    """This life serves the mailbox no more."""

    def __init__(self, mailbox: str) -> None:
        super().__init__(
            f"{mailbox}: this life serves it no more. It has left, or another took over because it did not stop "
            f"when it was told to."
        )


class Door:
    """Where a sender waits for room."""

    __slots__ = ("error", "opened")

    def __init__(self) -> None:
        self.opened = trio.Event()
        self.error: DeliveryFailed | None = None


class Asker(Generic[Reply]):
    """Who waits for a reply.

    INVARIANT: it is answered or failed once at most, and neither after it gave up.
    """

    __slots__ = ("_error", "_heard", "_present", "_replies", "settled")

    def __init__(self) -> None:
        self.settled = trio.Event()
        self._present = True
        self._heard = False
        self._error: DeliveryFailed | None = None
        self._replies: list[Reply] = []

    def answer(self, reply: Reply) -> bool:
        """False: it gave up, or was failed."""
        if not self._present or self.settled.is_set():
            return False
        self._replies.append(reply)
        self.settled.set()
        return True

    def fail(self, error: DeliveryFailed) -> None:
        """For a letter that nobody has handled."""
        self._error = error
        self.settled.set()

    def outcome(self) -> Reply:
        """Once it is settled. Raises what it was failed with."""
        if self._error is not None:
            raise self._error
        self._heard = True
        return self._replies[0]

    def leave(self) -> bool:
        """It waits no more; whether a reply came that it did not hear."""
        self._present = False
        return bool(self._replies) and not self._heard


class Letter(msgspec.Struct, Generic[Message, Reply], eq=False, gc=False):
    """One message. One is built for every tell: as a struct of msgspec's, which the garbage collector does not look
    at, it costs half as much. (It keeps its message alive while it is queued or in hand, and nothing keeps it.)"""

    message: Message
    priority: Priority
    asker: Asker[Reply] | None = None
    """None: told, not asked."""
    queued: bool = False
    deaths: int = 0
    """How many handlers it has killed."""


def guilty(error: BaseException) -> bool:
    """Whether a handler failed. An order to stop, of the actor or of the program, is not its message's fault."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(Exception) is not None
    return isinstance(error, Exception)
