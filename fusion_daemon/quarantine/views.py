"""What the admin port says about dead letters, and its clients read."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fusion_daemon.quarantine.rules import State


class DeadCount(msgspec.Struct, frozen=True):
    mailbox: str
    reason: str
    count: int


class DeadLetterView(msgspec.Struct, frozen=True):
    """A message that nobody handled, or a reply that nobody heard: described by its type."""

    number: int
    mailbox: str
    message: str
    reason: str
    at: datetime


class DeadLettersView(msgspec.Struct, frozen=True):
    """Since the daemon began; they are counted and described, never kept."""

    counts: tuple[DeadCount, ...]
    latest: tuple[DeadLetterView, ...]
    """Oldest first."""


class SetAsideView(msgspec.Struct, frozen=True):
    """A message that killed its handler twice: what it was, not what it held."""

    id: int
    at: datetime
    source: str
    """The mailbox, or the consumer of the stream."""
    stream: str | None
    seq: int | None
    message: str
    state: State
    settled_by: str | None
    settled_at: datetime | None


class ListView(msgspec.Struct, frozen=True):
    dead_letters: DeadLettersView
    set_aside: tuple[SetAsideView, ...]
    next_cursor: str | None


class SetAsideDetail(msgspec.Struct, frozen=True):
    """All of it."""

    set_aside: SetAsideView
    traceback: str
    payload: str | None
    """As text; of bytes that are none, what is left of them."""


class SettledView(msgspec.Struct, frozen=True):
    id: int
    state: State
    means: str
    """What follows."""
