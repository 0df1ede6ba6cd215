"""What is known of each endpoint of one chain, and which of them is asked next. Pure: the time and the dice are given.

LAWS
* Somebody is always chosen: the last endpoint is never dropped, whatever it did. While one is alive, one that is alive.
* One that limits our rate is not asked before it said, unless nothing else is left; then the wait is told, not broken.
* One that is not alive is tried again (half-open), ever more seldom but at least every LONGEST_WAIT, and one that is
  alive is looked at every IDLE_SECONDS: none is given up, none starves.
* One step, one complaint: ten requests that fail together are one fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum

DEADLY_FAULTS = 3
"""So many steps in a row that failed on an endpoint: it is dead until a try succeeds."""
LAG_BLOCKS = 5
"""An endpoint whose head is more than so many blocks below the best one's lags."""
SHORTEST_WAIT = 0.5
LONGEST_WAIT = 60.0
"""Seconds between the tries of an endpoint that is not alive; doubled after each that failed."""
IDLE_SECONDS = 60.0
"""An endpoint that nobody asked for so long is looked at: it might be needed at any moment."""
_JITTER = 0.25
"""Of a wait, at most: many daemons must not come back in the same moment."""


class State(StrEnum):
    ALIVE = "alive"
    LAGGING = "lagging"
    """It tells the truth, late."""
    RATE_LIMITED = "rate_limited"
    FORKED = "forked"
    """It was contradicted by the others about a final block."""
    WRONG_CHAIN = "wrong_chain"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Answered:
    """Something usable came."""


@dataclass(frozen=True, slots=True)
class Headed:
    """It said what its head is, and its chain id was seen."""

    number: int


@dataclass(frozen=True, slots=True)
class Faulted:
    what: str


@dataclass(frozen=True, slots=True)
class Limited:
    retry_after: float | None
    """Seconds; None: it did not say."""


@dataclass(frozen=True, slots=True)
class OnOtherChain:
    found: int


@dataclass(frozen=True, slots=True)
class Behind:
    """It lacks what it should have."""

    what: str
    needs: int | None
    """The head with which it is alive again; None: only time tells, for it claims a head that it does not have."""


@dataclass(frozen=True, slots=True)
class Contradicted:
    """By the other endpoints, about a final block."""

    what: str


@dataclass(frozen=True, slots=True)
class Restored:
    """It shows that final block again."""


Event = Answered | Headed | Faulted | Limited | OnOtherChain | Behind | Contradicted | Restored


class _Step(Enum):
    """What came of the step under way."""

    NOTHING = 0
    ANSWER = 1
    COMPLAINT = 2


@dataclass(frozen=True, slots=True)
class Condition:
    """Of one endpoint. Times in seconds of a monotonic clock."""

    state: State = State.ALIVE
    reason: str = ""
    """Why it is not alive, for an operator."""
    since: float = 0.0
    again: float = 0.0
    """When it may, or should, be asked again."""
    wait: float = 0.0
    """Before the last try; doubles with every complaint."""
    faults: int = 0
    """Steps in a row that failed on it."""
    head: int | None = None
    needs: int | None = None
    """Of one that lags: see `Behind`."""
    step: _Step = _Step.NOTHING

    def blamed(self, now: float, jitter: float) -> Condition:
        wait = self.wait
        if self.step is not _Step.COMPLAINT:
            wait = min(max(SHORTEST_WAIT, 2 * wait), LONGEST_WAIT)
        again = now + wait * (1 - _JITTER * jitter)
        return replace(self, step=_Step.COMPLAINT, wait=wait, again=again)

    def turned(self, state: State, reason: str, now: float) -> Condition:
        since = self.since if state is self.state else now
        return replace(self, state=state, reason=reason, since=since)

    def faulted(self, what: str, now: float, jitter: float) -> Condition:
        faults = self.faults + (self.step is not _Step.COMPLAINT)
        new = replace(self.blamed(now, jitter), faults=faults)
        new = replace(new, again=max(new.again, self._promised()))
        if self.state in {State.FORKED, State.WRONG_CHAIN} or faults < DEADLY_FAULTS:
            return new
        return new.turned(State.DEAD, what, now)

    def limited(self, retry_after: float | None, now: float, jitter: float) -> Condition:
        new = self.blamed(now, jitter)
        again = new.again if retry_after is None else now + retry_after
        new = replace(new, again=max(again, self._promised()))
        return new if self.state is State.FORKED else new.turned(State.RATE_LIMITED, "It limits our request rate.", now)

    def _promised(self) -> float:
        """Until then it asked to be left alone."""
        return self.again if self.state is State.RATE_LIMITED else 0.0

    def headed(self, number: int, best: int | None, now: float, jitter: float) -> Condition:
        new = replace(self, head=number)
        if self.state is State.FORKED:
            return replace(new, again=now + IDLE_SECONDS)
        if best is not None and best - number > LAG_BLOCKS:
            what = f"Its head {number} is {best - number} blocks below another endpoint's."
            return replace(new.blamed(now, jitter).turned(State.LAGGING, what, now), needs=0)
        if self.state is State.LAGGING:
            caught_up = self.again <= now if self.needs is None else number >= self.needs
            if not caught_up:
                return new if self.needs is None else new.blamed(now, jitter)
        return replace(new.turned(State.ALIVE, "", now), again=now + IDLE_SECONDS, needs=None)

    def ended(self, now: float) -> Condition:
        """A step that it was chosen for is over."""
        if self.step is not _Step.ANSWER or self.state in {State.FORKED, State.WRONG_CHAIN}:
            return self
        if self.state is State.LAGGING:
            return replace(self, faults=0)
        return replace(self.turned(State.ALIVE, "", now), faults=0, wait=0.0, again=now + IDLE_SECONDS)

    def rank(self, now: float) -> tuple[int, float]:
        match self.state:
            case State.ALIVE:
                return (0, 0.0)
            case State.RATE_LIMITED:
                return (1, 0.0) if self.again <= now else (4, self.again)
            case State.LAGGING:
                return (2, 0.0)
            case State.DEAD:
                return (3, self.again)
            case State.FORKED:
                return (5, self.again)
            case State.WRONG_CHAIN:
                return (6, self.again)


@dataclass(frozen=True, slots=True)
class Pool:
    conditions: tuple[Condition, ...]
    current: int = 0
    """Who is asked as long as nothing speaks against it."""

    def chosen(self, now: float) -> int:
        """Who is to be asked now: the current one, or the next of those who are in the best state."""
        count = len(self.conditions)
        order = [(self.current + step) % count for step in range(count)]
        return min(order, key=lambda number: self.conditions[number].rank(now))

    def wait(self, number: int, now: float) -> float:
        """Seconds for which that one asked to be left alone, still."""
        condition = self.conditions[number]
        return max(0.0, condition.again - now) if condition.state is State.RATE_LIMITED else 0.0

    def begun(self, number: int, now: float) -> Pool:
        """A step with that endpoint begins: what the last one came to counts."""
        ended = self._with(self.current, self.conditions[self.current].ended(now))
        return replace(ended.tried(number), current=number)

    def tried(self, number: int) -> Pool:
        """A step aside begins, whose only purpose is to see how that endpoint is."""
        return self._with(number, replace(self.conditions[number], step=_Step.NOTHING))

    def due(self, now: float) -> Sequence[int]:
        """Those to be tried aside."""
        return [
            number
            for number, condition in enumerate(self.conditions)
            if number != self.current and condition.state is not State.FORKED and condition.again <= now
        ]

    def after(self, number: int, event: Event, now: float, jitter: float) -> Pool:
        """`jitter` from 0 to 1 shortens the next wait."""
        old = self.conditions[number]
        new = self._condition(number, event, now, jitter)
        if new is old:
            return self
        pool = self._with(number, new)
        left = new.step is _Step.COMPLAINT and old.step is not _Step.COMPLAINT and number == self.current
        return replace(pool, current=(number + 1) % len(self.conditions)) if left else pool

    def _condition(self, number: int, event: Event, now: float, jitter: float) -> Condition:
        old = self.conditions[number]
        match event:
            case Answered():
                return replace(old, step=_Step.ANSWER) if old.step is _Step.NOTHING else old
            case Headed(head):
                return old.headed(head, self._best_but(number), now, jitter)
            case Faulted(what):
                return old.faulted(what, now, jitter)
            case Limited(retry_after):
                return old.limited(retry_after, now, jitter)
            case OnOtherChain(found):
                what = f"It serves chain {found}."
                return old.blamed(now, jitter).turned(State.WRONG_CHAIN, what, now)
            case Behind(what, needs):
                blamed = replace(old.blamed(now, jitter), needs=needs)
                kept = old.state in {State.FORKED, State.WRONG_CHAIN}
                return blamed if kept else blamed.turned(State.LAGGING, what, now)
            case Contradicted(what):
                return old.blamed(now, jitter).turned(State.FORKED, what, now)
            case Restored():
                return old.turned(State.ALIVE, "", now) if old.state is State.FORKED else old

    def _best_but(self, number: int) -> int | None:
        heads = [
            condition.head
            for each, condition in enumerate(self.conditions)
            if each != number and condition.state is State.ALIVE and condition.head is not None
        ]
        return max(heads, default=None)

    def _with(self, number: int, condition: Condition) -> Pool:
        return replace(self, conditions=(*self.conditions[:number], condition, *self.conditions[number + 1 :]))


def fresh_pool(count: int, now: float) -> Pool:
    """All alive until they show otherwise."""
    return Pool((Condition(since=now, again=now + IDLE_SECONDS),) * count)
