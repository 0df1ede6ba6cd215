"""Actors, their supervision, topics, mailboxes, clocks, health and the systemd protocol.

Knows no chain and no money, and imports nothing of the project.
"""

from __future__ import annotations

from fusion_daemon.runtime.actor import Actor, ActorContext, Ignore
from fusion_daemon.runtime.branch import Outline, SupervisorStatistics
from fusion_daemon.runtime.clock import Clock, ManualClock, SystemClock, TrioClock
from fusion_daemon.runtime.codec import Codec
from fusion_daemon.runtime.dead_letters import (
    DeadLetter,
    DeadLetters,
    DeadLetterStatistics,
    Poison,
    Quarantine,
    Reason,
)
from fusion_daemon.runtime.desk import Desk, Handler
from fusion_daemon.runtime.failures import (
    ActorBusy,
    ActorStuck,
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
    stale,
    stalled,
)
from fusion_daemon.runtime.hysteresis import Patience, Truth
from fusion_daemon.runtime.lane import StartTimeout
from fusion_daemon.runtime.ledger import MailboxStatistics
from fusion_daemon.runtime.letter import (
    AskTimeout,
    DeliveryFailed,
    Deposed,
    MailboxClosed,
    MailboxFull,
    MessageDropped,
    TargetDied,
    Undecodable,
)
from fusion_daemon.runtime.life import Departure, StopReport, Zombie
from fusion_daemon.runtime.mailbox import Mailbox
from fusion_daemon.runtime.policy import Block, Conflate, Overflow, Policy, Priority
from fusion_daemon.runtime.restart import AutoShutdown, Backoff, Intensity, Restart, Strategy
from fusion_daemon.runtime.spec import ChildSpec, SupervisorSpec
from fusion_daemon.runtime.strikes import Condemned, Strikes, Suspect
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
from fusion_daemon.runtime.trace import Trace, TraceEvent, TraceKind
from fusion_daemon.runtime.window import Look

__all__ = [
    "Actor",
    "ActorBusy",
    "ActorContext",
    "ActorState",
    "ActorStatus",
    "ActorStuck",
    "AskTimeout",
    "AutoShutdown",
    "Backoff",
    "Bell",
    "Block",
    "ChildSpec",
    "Clock",
    "Codec",
    "Condemned",
    "Conflate",
    "DeadLetter",
    "DeadLetterStatistics",
    "DeadLetters",
    "DeliveryFailed",
    "Departure",
    "Deposed",
    "Desk",
    "Fill",
    "Finding",
    "Handler",
    "Health",
    "HealthLevel",
    "Ignore",
    "Intensity",
    "Look",
    "Mailbox",
    "MailboxClosed",
    "MailboxFull",
    "MailboxStatistics",
    "ManualClock",
    "MessageDropped",
    "NameTaken",
    "NotRunning",
    "Notifier",
    "NotifierStatistics",
    "Outline",
    "Overflow",
    "Patience",
    "Poison",
    "Policy",
    "Priority",
    "Quarantine",
    "Reason",
    "Restart",
    "RestartLimitExceeded",
    "StartFailed",
    "StartTimeout",
    "StopReport",
    "Strategy",
    "Strikes",
    "Subscription",
    "SubscriptionStatistics",
    "SupervisionError",
    "Supervisor",
    "SupervisorSpec",
    "SupervisorStatistics",
    "Suspect",
    "SystemClock",
    "TargetDied",
    "Topic",
    "TopicGap",
    "TopicStatistics",
    "Trace",
    "TraceEvent",
    "TraceKind",
    "TrioClock",
    "Truth",
    "Undecodable",
    "UnknownActor",
    "Zombie",
    "feed_watchdog",
    "stale",
    "stalled",
]
