"""What a mailbox does when it is full, and who goes first."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Priority(IntEnum):
    """Lanes of a mailbox. The lower number is always handled first."""

    CONTROL = 0
    """The operator's hand."""
    SUPERVISION = 1
    """News of other actors."""
    USER = 2
    """The work."""


class Overflow(StrEnum):
    """What becomes of a message that finds the mailbox full."""

    FAIL = "fail"
    """It is refused: its sender gets `MailboxFull`."""
    DROP_NEWEST = "drop_newest"
    """It is dropped; a teller does not hear of it, an asker gets `MessageDropped`."""
    DROP_OLDEST = "drop_oldest"
    """The message that has waited longest is dropped in its place."""


@dataclass(frozen=True, slots=True)
class Block:
    """The sender waits for room, `seconds` at most, and then gets `MailboxFull`.

    Room is made when half of the mailbox has been handled, for as many senders as fit, in the order in which
    they came: one wake-up for many messages.
    """

    seconds: float

    def __str__(self) -> str:
        return f"block({self.seconds:g} s)"


@dataclass(frozen=True, slots=True)
class Conflate(Generic[Message]):
    """Of the queued messages with one key only the newest is kept, in the place of the first.

    A message with a new key that finds the mailbox full is refused: give it room for every key.
    """

    key: Callable[[Message], Hashable]

    def __str__(self) -> str:
        return f"conflate({getattr(self.key, '__name__', type(self.key).__name__)})"


Policy = Overflow | Block | Conflate[Message]
