"""Entries of durable streams that kill their consumer: a mailbox counts the deaths of its own messages, but a stream
is read by a cursor, so the next life meets the same entry again.

INVARIANTS
* What is noted is noted in passing: the error goes on as it came, and an order to stop is nobody's fault.
* An entry is condemned at its second death, once; what follows begins to count anew.
* One place a stream is remembered. A stream is folded in order, so the entry that killed the last life is the one that
  the next one meets; a death over another entry of the same stream proves that the first was survived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fusion_daemon.runtime.clock import Clock
from fusion_daemon.runtime.dead_letters import traceback_of
from fusion_daemon.runtime.letter import guilty
from fusion_daemon.runtime.mailbox import DEATHS


@dataclass(frozen=True, slots=True)
class Suspect:
    """An entry in the hand of its consumer."""

    consumer: str
    stream: str
    seq: int
    resting: int
    """The last entry that can be folded without it."""
    phase: str
    """What the consumer does with it, in its own words."""
    message: str
    """The name of its type."""


@dataclass(frozen=True, slots=True)
class Condemned:
    """An entry that killed its consumer twice."""

    suspect: Suspect
    traceback: str
    """Of the second death."""
    at: float
    """Unix seconds."""


class Strikes:
    """The deaths of one process's consumers, which outlive their lives. Trio side.

    `condemn` takes over what has killed twice, while its consumer dies of it: it must neither wait nor raise.
    """

    def __init__(self, clock: Clock, condemn: Callable[[Condemned], None]) -> None:
        self._clock = clock
        self._condemn = condemn
        self._deaths: dict[tuple[str, str], tuple[int, int]] = {}
        """Of a consumer in a stream: over which entry, and how many."""

    @contextmanager
    def blame(self, suspect: Suspect, innocent: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Whatever the block raises is the entry's fault, unless it is one of `innocent`, and is raised on."""
        try:
            yield
        except BaseException as error:
            if guilty(error) and not isinstance(error, innocent):
                self._note(suspect, error)
            raise

    def _note(self, suspect: Suspect, error: BaseException) -> None:
        place = suspect.consumer, suspect.stream
        seq, before = self._deaths.get(place, (suspect.seq, 0))
        deaths = before + 1 if seq == suspect.seq else 1
        if deaths < DEATHS:
            self._deaths[place] = suspect.seq, deaths
            return
        self._deaths.pop(place, None)
        self._condemn(Condemned(suspect, traceback_of(error), self._clock.now()))
