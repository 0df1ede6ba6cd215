"""What the admin port tells an operator about the living process, as it goes over the wire: the daemon writes these,
the command line reads them. Times are RFC 3339, ages and durations seconds, positions numbers of stream entries."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fusion_daemon.chain.order_views import SkipView


class View(msgspec.Struct, frozen=True):
    """One of them."""


class ActorView(View, frozen=True):
    """An actor, or a supervisor, as one of many."""

    name: str
    supervisor: str
    ready: bool
    healthy: bool
    state: str
    """As in readiness: `degraded` and `unhealthy` go before `running` and `paused`."""
    since: datetime
    reason: str | None
    restarts: int
    health: str
    pause_requested: bool
    last_beat: datetime | None
    beat_age: float | None
    beat_limit: float | None
    data_age: float | None
    data_limit: float | None
    queued: int
    """Messages in the mailboxes that it serves, or served last."""


class ActorsView(View, frozen=True):
    actors: tuple[ActorView, ...]


class BudgetView(View, frozen=True):
    """Restarts in the present window, and how many are allowed."""

    used: int
    limit: int
    period: float


class SupervisorView(View, frozen=True):
    name: str
    strategy: str
    restarts: BudgetView
    failed_starts: BudgetView
    stop_seconds: float
    """That an ordered stop takes at most."""
    children: tuple[BranchView, ...]


class BranchView(View, frozen=True):
    actor: ActorView
    below: SupervisorView | None
    """Of a supervisor that has begun."""


class MailboxView(View, frozen=True):
    name: str
    policy: str
    capacity: int
    serving: bool
    server: str
    control: int
    supervision: int
    work: int
    """Queued in each lane."""
    in_hand: int
    waiting: int
    accepted: int
    handled: int
    dropped: int
    dead: int
    refused: int
    late_replies: int
    redelivered: int
    peak_queued: int

    @property
    def queued(self) -> int:
        return self.control + self.supervision + self.work


class DeadView(View, frozen=True):
    mailbox: str
    reason: str
    count: int


class MailboxesView(View, frozen=True):
    mailboxes: tuple[MailboxView, ...]
    dead_letters: tuple[DeadView, ...]


class SubscriptionView(View, frozen=True):
    consumer: str
    position: int
    lag: int
    lag_seconds: float
    buffered: int
    delivered: int
    dropped: int
    filled: int


class TopicView(View, frozen=True):
    stream: str
    head: int
    published: int
    capacity: int
    subscriptions: tuple[SubscriptionView, ...]


class TopicsView(View, frozen=True):
    topics: tuple[TopicView, ...]


class WritesView(View, frozen=True):
    stream: str
    head: int


class ReadsView(View, frozen=True):
    stream: str
    committed: int | None
    """None when the database did not say at once."""
    taken: int | None
    """From the topic, by this life; None when it has not subscribed."""
    head: int
    lag: int | None
    lag_seconds: float | None


class DetailView(View, frozen=True):
    """All that is known of one actor."""

    actor: ActorView
    last_error: str
    last_error_at: datetime | None
    epoch: int | None
    """Under which its present life writes; None when it claims nothing."""
    writes: tuple[WritesView, ...]
    reads: tuple[ReadsView, ...]
    mailboxes: tuple[MailboxView, ...]
    statistics: object
    """What the actor itself counts, since the start of its present life; null when it counts nothing."""
    whereabouts: tuple[str, ...]
    """Where its tasks wait, outermost first; empty when it does not live."""


class EventView(View, frozen=True, omit_defaults=True):
    number: int
    at: datetime
    kind: str
    subject: str = ""
    text: str = ""
    first: int | None = None
    last: int | None = None
    seconds: float | None = None


class TraceView(View, frozen=True):
    actor: str
    events: tuple[EventView, ...]
    missed: int
    """Events that happened since the last look and are not kept any more."""
    next: int
    """Ask for what comes after this."""


class ItemView(View, frozen=True):
    position: int
    value: object


class TapView(View, frozen=True):
    stream: str
    items: tuple[ItemView, ...]
    missed: int
    next: int


class ObeyedView(View, frozen=True):
    actor: str
    done: str
    """The command."""
    settled: bool
    """Whether the actor has come to stand as it was told, or will yet."""
    state: str
    since: datetime


class StoppingView(View, frozen=True):
    instance: str
    pid: int
    seconds: float
    """That it takes at most."""


class RangeView(View, frozen=True):
    """Blocks, both ends included."""

    first: int
    last: int


class ContractView(View, frozen=True):
    address: str
    since_block: int
    origin: str | None
    """The factory that created it; None: the configuration named it."""


class FilterView(View, frozen=True):
    """Contracts that are read from the same moment on."""

    filter_version: int
    contracts: tuple[ContractView, ...]
    covered: tuple[RangeView, ...]
    missing: tuple[RangeView, ...]
    """Still to be read."""
    skipped: tuple[RangeView, ...]
    """Left out by an operator's order, and not read by now."""


class CoverageView(View, frozen=True):
    chain_id: int
    tip: int | None
    filters: tuple[FilterView, ...]
    skips: tuple[SkipView, ...]
    """The oldest first."""


class CoveragesView(View, frozen=True):
    chains: tuple[CoverageView, ...]
