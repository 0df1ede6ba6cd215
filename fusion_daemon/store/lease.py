"""The lease of a database: what is known of it, and whether a candidate may take it.

A session of the holder keeps an advisory lock, so its death frees the lease at once: the kernel closes the
socket, the server releases the lock. A holder that is frozen or cut off keeps its session but renews nothing;
after its time, by the server's clock alone, a candidate ends that session.

INVARIANT: terms only grow, and whoever's term is not the newest writes nothing any more (`hold_lease`). The lock
only tells who may begin the next term; that two daemons never write is the term's doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import trio

from fusion_daemon.domain.failure import Failure

START_PATIENCE = 2.0
"""Seconds that a start gives the server to notice the end of the daemon's own predecessor."""


class LeaseHeld(Failure):
    """A daemon works on the database, so it is no one else's to fill."""


class LeaseNotEnded(Failure):
    """The silent holder's session could not be ended."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A daemon that wants the lease."""

    instance: str
    configuration: str
    """Hash of what decides."""
    seconds: float
    """What it promises as holder: a longer silence frees the lease."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A server process that can't be taken for a later one with the same number."""

    pid: int
    start: str
    """The server's text of its start, to the microsecond."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The newest term as one look at the database found it; every time is the server's."""

    term: int
    instance: str
    configuration: str
    since: float
    """Unix seconds."""
    seconds: float
    """What the holder promised."""
    silence: float
    """Seconds since the last renewal, or since the server's start when that was later."""
    released: bool
    server_restarted: bool
    """Since the last renewal: so the holder may have lost its session without having died."""
    locked: bool
    """Some session holds the lock."""
    backend: Backend

    @property
    def overdue(self) -> bool:
        return not self.released and self.silence > self.seconds


class Course(Enum):
    """What a candidate does after a look."""

    QUEUE = "queue"
    """Wait for the lock, and take it when the server gives it."""
    OUST = "oust"
    """The same, and end the holder's session."""
    OTHER_CONFIGURATION = "other configuration"
    """Do not take it: the holder decides by another configuration, and nobody has told this one to."""
    AWAIT_RETURN = "await return"
    """Do not take it yet: the server restarted, and the holder may come back for its lease."""


def course(mine: Candidate, seen: Sight | None, *, starting: bool, told: bool, silent_before: bool) -> Course:
    """What to do after a look.

    `starting`: the daemon has just been started, so a person wants what its configuration says; it may follow
    one that gave the lease back, or its own predecessor, with another configuration. Once it stands by it may not,
    unless it is `told`. `silent_before`: the look before found this term overdue too. One alone does not count:
    a server that stood still makes everyone look silent until the holder has had its turn.
    """
    if seen is None:
        return Course.QUEUE
    if told:
        return Course.OUST if seen.locked else Course.QUEUE
    follows = starting and (seen.released or seen.instance == mine.instance)
    if seen.configuration != mine.configuration and not follows:
        return Course.OTHER_CONFIGURATION
    if seen.overdue and silent_before and seen.locked:
        return Course.OUST
    if seen.server_restarted and not (seen.released or seen.overdue or seen.instance == mine.instance):
        return Course.AWAIT_RETURN
    return Course.QUEUE


class Taken(Enum):
    """How a term began; the words of the table's column."""

    FREE = "free"
    ENDED = "ended"
    SILENT = "silent"
    TOLD = "told"


def how_taken(before: Sight | None, ousted: Course | None, *, told: bool) -> Taken:
    """`ousted`: OUST when this candidate has ended the holder's session."""
    if told:
        return Taken.TOLD
    if ousted is Course.OUST:
        return Taken.SILENT
    return Taken.FREE if before is None or before.released else Taken.ENDED


class Lease:
    """The term that this daemon holds. `lost` is set once a newer one has begun, never by an outage alone: while
    the database is away nobody can begin one."""

    def __init__(self, term: int) -> None:
        self.term = term
        self.lost = trio.Event()
