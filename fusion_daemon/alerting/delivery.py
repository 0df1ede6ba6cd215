"""A claimed delivery, and what one attempt at it gave."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.alerting.retry import Decision, Outcome
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.alert import Alert


@dataclass(frozen=True, slots=True)
class Delivery:
    """One alert for one receiver, claimed for its `attempt`-th attempt."""

    id: str
    alert: Alert
    receiver: Receiver
    destination: str
    attempt: int
    interruptions: int
    """How many of the attempts before it the daemon did not live to see the end of."""
    claimed_at: float
    """Unix seconds."""

    @property
    def tries(self) -> int:
        """What counts against the schedule: attempts that came to an end, and this one."""
        return self.attempt - self.interruptions


@dataclass(frozen=True, slots=True)
class Attempt:
    delivery: Delivery
    outcome: Outcome
    decision: Decision
    finished_at: float
    """Unix seconds."""
    latency: float
    """Seconds, monotonic."""
