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
    claimed_at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Attempt:
    delivery: Delivery
    outcome: Outcome
    decision: Decision
    finished_at: float
    """Unix seconds."""
    latency: float
    """Seconds, monotonic."""
