"""A mailbox's accounts."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.runtime.dead_letters import DeadLetters, Reason


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """Messages since the mailbox exists; from `waiting` on, present ones.

    accepted = handled + dropped + dead + queued + in_hand.
    """

    name: str
    policy: str
    capacity: int
    serving: bool
    server: str
    """The actor that serves it, or did last; empty when no actor ever did."""
    closed: bool
    refused: int
    """Not accepted: full, closed, an ask that nobody serves, or a sender that gave up waiting for room."""
    accepted: int
    handled: int
    dropped: int
    """By the policy."""
    dead: int
    """Accepted, and neither handled nor dropped."""
    late_replies: int
    """Handled asks whose asker had given up."""
    redelivered: int
    """Put back because their handler failed, or was cancelled, over them."""
    peak_queued: int
    """The longest that a lane has been."""
    waiting: int
    """Senders that wait for room."""
    queued: int
    lanes: tuple[int, int, int]
    """Of those queued: control, supervision and work."""
    in_hand: int


class Ledger:
    """Counts, and tells the office of dead letters what nobody handled.

    INVARIANT: refused + dropped + dead + late_replies are what the office has of this mailbox.
    """

    def __init__(self, name: str, dead_letters: DeadLetters) -> None:
        self.name = name
        self.accepted = self.handled = self.redelivered = self.peak = 0
        self.refused = self.dropped = self.dead = self.late_replies = 0
        self._dead_letters = dead_letters

    def refuse(self, message: object, reason: Reason) -> None:
        self.refused += 1
        self._dead_letters.record(self.name, message, reason)

    def drop(self, message: object, reason: Reason) -> None:
        self.dropped += 1
        self._dead_letters.record(self.name, message, reason)

    def die(self, message: object, reason: Reason) -> None:
        self.dead += 1
        self._dead_letters.record(self.name, message, reason)

    def set_aside(self, message: object, payload: bytes | None, error: BaseException) -> None:
        self.dead += 1
        self._dead_letters.set_aside(self.name, message, payload, error)

    def late_reply(self, message: object) -> None:
        self.late_replies += 1
        self._dead_letters.record(self.name, message, Reason.LATE_REPLY)
