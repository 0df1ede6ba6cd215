"""The description of a supervision tree: values that the composition root writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fusion_daemon.runtime.actor import Actor
from fusion_daemon.runtime.restart import AutoShutdown, Backoff, Intensity, Restart, Strategy

SETTLING = 1.0
"""Seconds a supervisor child gets beyond the sum of its children's budgets: it has no budget of its own
that could be too short for them, so a stop cannot orphan a grandchild."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. Times in seconds; `math.inf` waits for ever."""

    name: str
    """Unique in the whole tree: operators address children by it."""
    start: Callable[[], Actor] | SupervisorSpec
    """Builds a new actor for every life, or describes a supervisor below this one."""
    restart: Restart = Restart.PERMANENT
    start_timeout: float = 30.0
    """Until `started()`; a supervisor child has the sum of its children's instead, if that is more."""
    stop_timeout: float = 5.0
    """From the cancel to the report as zombie; a supervisor child's is derived from its children."""
    drain_timeout: float = 0.0
    """On an ordered stop, from `ActorContext.draining` to the cancel: for an actor that finishes what it
    accepted and returns by itself. A supervisor child's children have their own."""
    backoff: Backoff = field(default_factory=Backoff)
    beat_limit: float | None = None
    """Critical actor: the systemd watchdog is fed only while it beats at least this often."""
    data_limit: float | None = None
    """The oldest that what the actor knows may be (`ActorContext.fresh`) while it counts as well."""
    required: bool = True
    """The whole is not ready while this child is not. A supervisor child is required if one of its own is."""
    significant: bool = False
    """When it ends by itself and does not come back, its supervisor may, as `AutoShutdown` says."""

    def __post_init__(self) -> None:
        times = (self.start_timeout, self.stop_timeout, self.drain_timeout)
        if not self.name or not all(each >= 0 for each in times):
            raise ValueError(f"a child needs a name and times of 0 s or more, not {self.name!r} with {times}")
        if self.significant and self.restart is Restart.PERMANENT:
            raise ValueError(f"{self.name} comes back always, so it cannot be significant")

    def stop_budget(self) -> float:
        """The longest that an ordered stop of this child can take."""
        if isinstance(self.start, SupervisorSpec):
            return self.start.stop_budget() + SETTLING
        return self.drain_timeout + self.stop_timeout

    def start_budget(self) -> float:
        """The longest that one start of this child can take."""
        if isinstance(self.start, SupervisorSpec):
            return max(self.start_timeout, sum(child.start_budget() for child in self.start.children))
        return self.start_timeout

    def is_required(self) -> bool:
        if isinstance(self.start, SupervisorSpec) and self.start.children:
            return self.required and any(child.is_required() for child in self.start.children)
        return self.required

    def names(self) -> Iterator[str]:
        """Its own, then those of every child below."""
        yield self.name
        if isinstance(self.start, SupervisorSpec):
            yield from self.start.names()


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """Children in start order, and how they are kept."""

    children: tuple[ChildSpec, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = field(default=Intensity(5, 60.0))
    """Restarts of children that had started. More end this supervisor with `RestartLimitExceeded`."""
    start_intensity: Intensity = field(default=Intensity(20, 600.0))
    """Failed starts while restarting, likewise. (A failed start at boot fails the supervisor at once.)"""
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    member: Callable[[str], ChildSpec] | None = None
    """Makes this a pool: children alike but for the name given, any number, added while it lives, each
    forgotten when it is over, and all stopped at the same time."""

    def __post_init__(self) -> None:
        if self.member is not None and (self.children or self.strategy is not Strategy.ONE_FOR_ONE):
            raise ValueError("a pool begins without children and is one_for_one")
        for child in self.children:
            self.refuse_idle_significance(child)

    def refuse_idle_significance(self, child: ChildSpec) -> None:
        """Raises ValueError for a significant child of a supervisor that would not care."""
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise ValueError(f"{child.name} is significant, but its supervisor's auto_shutdown is never")

    def stop_budget(self) -> float:
        """The longest that an ordered stop can take: children are stopped one after the other, those of
        a pool together."""
        if self.member is not None:
            return self.member("member").stop_budget()
        return sum(child.stop_budget() for child in self.children)

    def names(self) -> Iterator[str]:
        """Every child below, depth first, in start order."""
        for child in self.children:
            yield from child.names()
