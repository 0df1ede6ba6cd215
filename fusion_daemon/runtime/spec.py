"""The description of a supervision tree: values that the composition root writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fusion_daemon.runtime.actor import Actor
from fusion_daemon.runtime.restart import Backoff, Intensity, Restart, Strategy

SETTLING = 1.0
"""Seconds a supervisor child gets beyond the sum of its children's budgets: it has no budget of its own
that could be too short for them, so a stop cannot orphan a grandchild."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. Times in seconds."""

    name: str
    """Unique in the whole tree: operators address children by it."""
    start: Callable[[], Actor] | SupervisorSpec
    """Builds a new actor for every life, or describes a supervisor below this one."""
    restart: Restart = Restart.PERMANENT
    start_timeout: float = 30.0
    """Until `started()`; a supervisor child has the sum of its children's instead, if that is more."""
    stop_timeout: float = 5.0
    """From the cancel to the report as zombie; a supervisor child's is derived from its children."""
    backoff: Backoff = field(default_factory=Backoff)
    beat_limit: float | None = None
    """Critical actor: the systemd watchdog is fed only while it beats at least this often."""

    def stop_budget(self) -> float:
        """The longest that stopping this child can take."""
        if isinstance(self.start, SupervisorSpec):
            return self.start.stop_budget() + SETTLING
        return self.stop_timeout

    def start_budget(self) -> float:
        """The longest that one start of this child can take."""
        if isinstance(self.start, SupervisorSpec):
            return max(self.start_timeout, sum(child.start_budget() for child in self.start.children))
        return self.start_timeout


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """Children in start order, and how they are kept."""

    children: tuple[ChildSpec, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = field(default=Intensity(5, 60.0))
    """Restarts of children that had started. More end this supervisor with `RestartLimitExceeded`."""
    start_intensity: Intensity = field(default=Intensity(20, 600.0))
    """Failed starts while restarting, likewise. (A failed start at boot fails the supervisor at once.)"""

    def stop_budget(self) -> float:
        """The longest that an ordered stop can take: children are stopped one after the other."""
        return sum(child.stop_budget() for child in self.children)

    def names(self) -> Iterator[str]:
        """Every child below, depth first, in start order."""
        for child in self.children:
            yield child.name
            if isinstance(child.start, SupervisorSpec):
                yield from child.start.names()
