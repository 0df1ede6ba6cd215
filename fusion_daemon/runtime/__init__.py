"""Actors, their supervision, topics, mailboxes, clocks, health and the systemd protocol.

Knows no chain and no money, and imports nothing of the project.
"""

from __future__ import annotations

from fusion_daemon.runtime.actor import Actor, ActorContext, Ignore
from fusion_daemon.runtime.branch import SupervisorStatistics
from fusion_daemon.runtime.clock import Clock, ManualClock, SystemClock, TrioClock
from fusion_daemon.runtime.failures import (
    ActorBusy,
    NameTaken,
    NotRunning,
    RestartLimitExceeded,
    StartFailed,
    SupervisionError,
    UnknownActor,
)
from fusion_daemon.runtime.health import (
    ActorState,
    ActorStatus,
    Finding,
    Health,
    HealthLevel,
    stalled,
)
from fusion_daemon.runtime.lane import StartTimeout
from fusion_daemon.runtime.life import Departure, StopReport, Zombie
from fusion_daemon.runtime.mailbox import (
    AskFailed,
    AskTimeout,
    Letter,
    Mailbox,
    MailboxFull,
    MailboxPolicy,
    MailboxStatistics,
    TargetDied,
)
from fusion_daemon.runtime.restart import AutoShutdown, Backoff, Intensity, Restart, Strategy
from fusion_daemon.runtime.spec import ChildSpec, SupervisorSpec
from fusion_daemon.runtime.supervisor import Supervisor
from fusion_daemon.runtime.systemd import Notifier, NotifierStatistics, feed_watchdog
from fusion_daemon.runtime.topic import (
    Bell,
    Fill,
    Subscription,
    SubscriptionStatistics,
    Topic,
    TopicGap,
    TopicStatistics,
)

__all__ = [
    "Actor",
    "ActorBusy",
    "ActorContext",
    "ActorState",
    "ActorStatus",
    "AskFailed",
    "AskTimeout",
    "AutoShutdown",
    "Backoff",
    "Bell",
    "ChildSpec",
    "Clock",
    "Departure",
    "Fill",
    "Finding",
    "Health",
    "HealthLevel",
    "Ignore",
    "Intensity",
    "Letter",
    "Mailbox",
    "MailboxFull",
    "MailboxPolicy",
    "MailboxStatistics",
    "ManualClock",
    "NameTaken",
    "NotRunning",
    "Notifier",
    "NotifierStatistics",
    "Restart",
    "RestartLimitExceeded",
    "StartFailed",
    "StartTimeout",
    "StopReport",
    "Strategy",
    "Subscription",
    "SubscriptionStatistics",
    "SupervisionError",
    "Supervisor",
    "SupervisorSpec",
    "SupervisorStatistics",
    "SystemClock",
    "TargetDied",
    "Topic",
    "TopicGap",
    "TopicStatistics",
    "TrioClock",
    "UnknownActor",
    "Zombie",
    "feed_watchdog",
    "stalled",
]
