"""Where messages end that nobody handled, each with a reason; and those that killed their handler.

INVARIANT: a dead letter is described by its type, never by what it holds: the office may be shown to
whoever may see the actors.
"""

from __future__ import annotations

import traceback
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from fusion_daemon.runtime.clock import Clock

KEPT = 100
"""Descriptions of each reason, so that a flood of one does not wash away the others."""
LONGEST_TRACEBACK = 16_000
"""Characters; the end is kept, where the error stands."""


class Reason(StrEnum):
    """Why a message, or a reply, reached nobody."""

    FULL = "full"
    """Refused: no room, or none within the sender's patience."""
    NO_SERVER = "no_server"
    """Refused: an ask of a mailbox that nobody serves."""
    CLOSED = "closed"
    """The mailbox was closed before it was handled."""
    DROPPED = "dropped"
    """By the mailbox's policy, to make room or for want of it."""
    SUPERSEDED = "superseded"
    """A newer message with the same key took its place."""
    EXPIRED = "expired"
    """Its sender gave up before anybody took it."""
    TARGET_DIED = "target_died"
    """An ask whose server ended first."""
    LATE_REPLY = "late_reply"
    """It was handled, but its asker had given up: the reply is lost."""
    QUARANTINED = "quarantined"
    """It killed its handler twice."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One of them, as an operator may see it."""

    number: int
    """1 for the first since the process began."""
    mailbox: str
    message: str
    """The name of its type."""
    reason: Reason
    at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class DeadLetterStatistics:
    """Since the process began."""

    counts: Mapping[tuple[str, Reason], int]
    """By mailbox and reason; what never happened is missing."""
    latest: tuple[DeadLetter, ...]
    """The last of each reason, oldest first."""


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that killed its handler twice."""

    mailbox: str
    message: str
    """The name of its type."""
    payload: bytes | None
    """As its mailbox encodes it; None when the mailbox does not, or its encoder failed too."""
    traceback: str
    """Of the second death."""
    at: float
    """Unix seconds."""


class Quarantine(Protocol):
    """Keeps poison for the operator."""

    def set_aside(self, poison: Poison, /) -> None:
        """Take it over. Trio side. Called while an actor dies of it: it must neither wait nor raise, so
        what has to be written elsewhere is written later, by somebody else."""
        ...


def traceback_of(error: BaseException) -> str:
    """As it is kept: at most LONGEST_TRACEBACK characters."""
    return "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:]


class DeadLetters:
    """One office for all mailboxes of a process. Trio side, except `statistics`: any thread.

    Without a quarantine, poison leaves no more than a dead letter.
    """

    def __init__(self, clock: Clock, quarantine: Quarantine | None = None) -> None:
        self._clock = clock
        self._quarantine = quarantine
        self._counts: Counter[tuple[str, Reason]] = Counter()
        self._latest = {reason: deque[DeadLetter](maxlen=KEPT) for reason in Reason}
        self._number = 0

    def record(self, mailbox: str, message: object, reason: Reason) -> None:
        """Never waits."""
        self._number += 1
        self._counts[mailbox, reason] += 1
        self._latest[reason].append(
            DeadLetter(self._number, mailbox, type(message).__name__, reason, self._clock.now())
        )

    def set_aside(self, mailbox: str, message: object, payload: bytes | None, error: BaseException) -> None:
        """Record it, and hand it to the quarantine. Never waits."""
        self.record(mailbox, message, Reason.QUARANTINED)
        if self._quarantine is not None:
            name = type(message).__name__
            self._quarantine.set_aside(Poison(mailbox, name, payload, traceback_of(error), self._clock.now()))

    def statistics(self) -> DeadLetterStatistics:
        latest = [letter for kept in self._latest.values() for letter in tuple(kept)]
        return DeadLetterStatistics(dict(self._counts), tuple(sorted(latest, key=lambda each: each.number)))
