"""What is scraped: every primitive's and actor's statistics, told in Prometheus' words.

Nothing is counted here. Actors count within one life, so their counters fall to zero at a restart, which
Prometheus' `rate` understands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fusion_daemon import __version__
from fusion_daemon.actor_metrics import (
    alerting_families,
    hint_families,
    message_families,
    oracle_families,
    quarantine_families,
    retention_families,
    transaction_families,
)
from fusion_daemon.aio import BUCKETS, Aio
from fusion_daemon.chain_metrics import chain_families
from fusion_daemon.composition import House
from fusion_daemon.http.metrics import (
    AnyFamily,
    HistogramFamily,
    HistogramSample,
    Metrics,
    Sample,
    counter,
    gauge,
)
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.server_metrics import http_families
from fusion_daemon.judge import Judge
from fusion_daemon.runtime import HealthLevel, MailboxStatistics, Reason, Supervisor
from fusion_daemon.standby import lease_families
from fusion_daemon.store import LeaseStanding, Store


def add_process_sources(
    metrics: Metrics, aio: Aio, store: Store, admin: AdminServer, lease: Callable[[], LeaseStanding]
) -> None:
    """What every daemon tells, also one that stands by."""
    metrics.add("build", _build)
    metrics.add("aio", lambda: _aio(aio))
    metrics.add("store", lambda: _store(store))
    metrics.add("lease", lambda: lease_families(lease()))
    metrics.add("http", lambda: http_families({"admin": admin.statistics()}))


def add_house_sources(metrics: Metrics, house: House, tree: Supervisor, judge: Judge) -> None:
    """What a daemon tells once its actors run: at rest they would look like stopped ones."""
    metrics.add("truths", lambda: _truths(judge))
    metrics.add("actors", lambda: _actors(tree))
    metrics.add("topics", lambda: _topics(house))
    metrics.add("mailboxes", lambda: _mailboxes(house))
    metrics.add("chains", lambda: chain_families(house))
    metrics.add("oracle", lambda: oracle_families(house))
    metrics.add("alerting", lambda: alerting_families(house))
    metrics.add("retention", lambda: retention_families(house))
    metrics.add("hints", lambda: hint_families(house))
    metrics.add("messages", lambda: message_families(house))
    metrics.add("transactions", lambda: transaction_families(house))
    metrics.add("quarantine", lambda: quarantine_families(house))


def _build() -> Iterable[AnyFamily]:
    version = [Sample(1, (__version__,))]
    yield gauge("fusion_build_info", "1, labelled with the running version.", version, ("version",))


def _aio(aio: Aio) -> Iterable[AnyFamily]:
    seen = aio.statistics()
    ways = (("to_asyncio", seen.calls), ("to_trio", seen.portal))
    way = ("way",)
    yield gauge("fusion_aio_in_flight", "Crossings under way.", [Sample(s.in_flight, (w,)) for w, s in ways], way)
    yield counter(
        "fusion_aio_failures_total",
        "Crossings ended by an error.",
        [Sample(s.failures, (w,)) for w, s in ways],
        way,
    )
    yield counter(
        "fusion_aio_timeouts_total",
        "Crossings past their deadline.",
        [Sample(s.timeouts, (w,)) for w, s in ways],
        way,
    )
    yield HistogramFamily(
        "fusion_aio_crossing_duration_seconds",
        "Time from the call to its result.",
        BUCKETS,
        [HistogramSample(s.latency.counts, s.latency.total, (w,)) for w, s in ways],
        way,
    )
    yield counter(
        "fusion_aio_swallowed_cancellations_total",
        "Calls that outlived their cancellation.",
        [Sample(count, (callee,)) for callee, count in seen.swallowed.items()],
        ("callee",),
    )
    yield counter(
        "fusion_aio_background_failures_total",
        "Errors on the asyncio loop that no caller would hear.",
        [Sample(seen.background_failures)],
    )
    loops = (("asyncio", seen.asyncio_loop), ("trio", seen.trio_loop))
    yield HistogramFamily(
        "fusion_loop_lag_seconds",
        "How late a loop ran what was due.",
        BUCKETS,
        [HistogramSample(loop.lags.counts, loop.lags.total, (name,)) for name, loop in loops],
        ("loop",),
    )
    yield counter(
        "fusion_loop_stalls_total",
        "Times a loop ran nothing for a quarter of a second; the log says where its thread stood.",
        [Sample(loop.stalls, (name,)) for name, loop in loops],
        ("loop",),
    )
    yield gauge(
        "fusion_loop_beat_age_seconds",
        "Time since a loop's last beat.",
        [Sample(loop.beat_age, (name,)) for name, loop in loops],
        ("loop",),
    )


def _store(store: Store) -> Iterable[AnyFamily]:
    seen = store.statistics()
    yield counter("fusion_store_commits_total", "Commits that returned.", [Sample(seen.commits)])
    yield counter(
        "fusion_store_commit_seconds_total",
        "Time spent in commits, retries included.",
        [Sample(seen.commit_seconds)],
    )
    yield counter(
        "fusion_store_unknown_outcomes_total",
        "COMMITs whose answer was lost and was found out again.",
        [Sample(seen.unknown_outcomes)],
    )
    yield counter("fusion_store_fenced_total", "Writes refused to an older epoch.", [Sample(seen.fenced)])
    yield counter("fusion_store_conflicts_total", "Commits refused as stale.", [Sample(seen.conflicts)])
    state = None if seen.trouble is None else seen.trouble.state
    yield gauge("fusion_store_disk_full", "1 while the database's disk is full.", [Sample(state == "disk full")])
    yield gauge("fusion_store_away", "1 while the database does not answer.", [Sample(state == "away")])
    pools = (("actors", seen.actors), ("http", seen.http))
    yield gauge("fusion_store_connections", "Open connections.", [Sample(p.size, (n,)) for n, p in pools], ("pool",))
    yield gauge(
        "fusion_store_idle_connections",
        "Connections at rest.",
        [Sample(p.idle, (n,)) for n, p in pools],
        ("pool",),
    )
    yield counter(
        "fusion_store_retries_total",
        "Operations tried again.",
        [Sample(p.retries, (n,)) for n, p in pools],
        ("pool",),
    )


def _truths(judge: Judge) -> Iterable[AnyFamily]:
    seen = judge.components()
    label = ("component",)
    yield gauge(
        "fusion_ready", "1 while the component counts as ready.", [Sample(c.ready, (c.name,)) for c in seen], label
    )
    yield gauge(
        "fusion_healthy",
        "1 while the component counts as healthy: its own check passes and its data are young enough.",
        [Sample(c.healthy, (c.name,)) for c in seen],
        label,
    )


def _actors(tree: Supervisor) -> Iterable[AnyFamily]:
    present = [each for each in tree.tree() if not each.is_supervisor]
    label = ("actor",)
    yield gauge(
        "fusion_actor_running",
        "1 while the actor runs.",
        [Sample(float(each.state.value == "running"), (each.name,)) for each in present],
        label,
    )
    yield gauge(
        "fusion_actor_health",
        "2 ok, 1 degraded, 0 unhealthy.",
        [Sample(_LEVELS[each.health.level], (each.name,)) for each in present],
        label,
    )
    yield counter(
        "fusion_actor_restarts_total",
        "Restarts.",
        [Sample(each.restarts, (each.name,)) for each in present],
        label,
    )
    yield gauge(
        "fusion_actor_beat_age_seconds",
        "Time since the actor's last sign of progress.",
        [Sample(each.beat_age, (each.name,)) for each in present if each.beat_age is not None],
        label,
    )
    yield gauge(
        "fusion_actor_data_age_seconds",
        "How old what the actor knows is.",
        [Sample(each.data_age, (each.name,)) for each in present if each.data_age is not None],
        label,
    )
    yield gauge(
        "fusion_actor_data_limit_seconds",
        "How old it may be.",
        [Sample(each.data_limit, (each.name,)) for each in present if each.data_limit is not None],
        label,
    )
    yield gauge("fusion_zombies", "Actors that would not stop.", [Sample(len(tree.zombies()))])


_LEVELS = {HealthLevel.OK: 2.0, HealthLevel.DEGRADED: 1.0, HealthLevel.UNHEALTHY: 0.0}


def _topics(house: House) -> Iterable[AnyFamily]:
    seen = [topic.statistics() for topic in house.topics]
    yield gauge(
        "fusion_topic_head",
        "Number of the stream's last entry.",
        [Sample(t.head, (t.stream,)) for t in seen],
        ("stream",),
    )
    subscriptions = [(each, topic.stream) for topic in seen for each in topic.subscriptions]
    label = ("stream", "consumer")
    named = [(each, (stream, each.consumer)) for each, stream in subscriptions]
    yield gauge(
        "fusion_topic_lag_entries",
        "Entries that a consumer has yet to take.",
        [Sample(s.lag, n) for s, n in named],
        label,
    )
    yield gauge(
        "fusion_topic_lag_seconds",
        "For how long the oldest entry has been announced that a consumer has yet to take.",
        [Sample(s.lag_seconds, n) for s, n in named],
        label,
    )
    yield counter(
        "fusion_topic_dropped_total",
        "Entries that found the buffer full and are read from the store.",
        [Sample(s.dropped, n) for s, n in named],
        label,
    )
    yield counter(
        "fusion_topic_filled_total",
        "Entries read from the store.",
        [Sample(s.filled, n) for s, n in named],
        label,
    )


_MAILBOX_GAUGES: Sequence[tuple[str, str, Callable[[MailboxStatistics], float]]] = (
    ("fusion_mailbox_queued", "Messages that wait for their server.", lambda s: s.queued),
    ("fusion_mailbox_senders_waiting", "Senders that wait for room.", lambda s: s.waiting),
)
_MAILBOX_COUNTERS: Sequence[tuple[str, str, Callable[[MailboxStatistics], float]]] = (
    ("fusion_mailbox_accepted_total", "Messages accepted.", lambda s: s.accepted),
    ("fusion_mailbox_refused_total", "Messages refused: full, closed or not served.", lambda s: s.refused),
    ("fusion_mailbox_handled_total", "Messages handled.", lambda s: s.handled),
    ("fusion_mailbox_redelivered_total", "Messages put back after their handler's end.", lambda s: s.redelivered),
)


def _mailboxes(house: House) -> Iterable[AnyFamily]:
    seen = [house.fixtures.requests.statistics()]
    for name, text, figure in _MAILBOX_GAUGES:
        yield gauge(name, text, [Sample(figure(s), (s.name,)) for s in seen], ("mailbox",))
    for name, text, figure in _MAILBOX_COUNTERS:
        yield counter(name, text, [Sample(figure(s), (s.name,)) for s in seen], ("mailbox",))
    counts = house.fixtures.dead_letters.statistics().counts
    yield counter(
        "fusion_dead_letters_total",
        "Messages that nobody handled, and replies that nobody heard, by reason.",
        # From zero on: `increase` cannot see a series whose first value is already 1.
        [Sample(counts.get((s.name, reason), 0), (s.name, reason.value)) for s in seen for reason in Reason],
        ("mailbox", "reason"),
    )
