"""What is scraped: every primitive's and actor's statistics, told in Prometheus' words.

Nothing is counted here. Actors count within one life, so their counters fall to zero at a restart, which
Prometheus' `rate` understands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from actors.alert_dispatcher import AlertDispatcher
from actors.chain_listener import ChainListener, ListenerStatistics
from actors.oracle_poller import OraclePoller
from actors.retention_keeper import RetentionKeeper
from fusion_daemon import __version__
from fusion_daemon.aio import BUCKETS, Aio
from fusion_daemon.alerting.retry import DeliveryState, Verdict
from fusion_daemon.composition import House
from fusion_daemon.http.metrics import (
    AnyFamily,
    Family,
    HistogramFamily,
    HistogramSample,
    Kind,
    Metrics,
    Sample,
    Unit,
)
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.server_metrics import http_families
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


def add_house_sources(metrics: Metrics, house: House, tree: Supervisor) -> None:
    """What a daemon tells once its actors run: at rest they would look like stopped ones."""
    metrics.add("actors", lambda: _actors(tree))
    metrics.add("topics", lambda: _topics(house))
    metrics.add("mailboxes", lambda: _mailboxes(house))
    metrics.add("chains", lambda: _chains(house))
    metrics.add("oracle", lambda: _oracle(house))
    metrics.add("alerting", lambda: _alerting(house))
    metrics.add("retention", lambda: _retention(house))


def _gauge(name: str, text: str, samples: Sequence[Sample], labels: tuple[str, ...] = ()) -> Family:
    last = name.rsplit("_", 1)[-1]
    unit = next((each for each in Unit if each.value and each.value == last), Unit.NONE)
    return Family(name, Kind.GAUGE, text, samples, labels, unit)


def _counter(name: str, text: str, samples: Sequence[Sample], labels: tuple[str, ...] = ()) -> Family:
    bare = name.removesuffix("_total").rsplit("_", 1)[-1]
    unit = next((each for each in Unit if each.value and each.value == bare), Unit.NONE)
    return Family(name, Kind.COUNTER, text, samples, labels, unit)


def _build() -> Iterable[AnyFamily]:
    version = [Sample(1, (__version__,))]
    yield _gauge("fusion_build_info", "1, labelled with the running version.", version, ("version",))


def _aio(aio: Aio) -> Iterable[AnyFamily]:
    seen = aio.statistics()
    ways = (("to_asyncio", seen.calls), ("to_trio", seen.portal))
    way = ("way",)
    yield _gauge("fusion_aio_in_flight", "Crossings under way.", [Sample(s.in_flight, (w,)) for w, s in ways], way)
    yield _counter(
        "fusion_aio_failures_total",
        "Crossings ended by an error.",
        [Sample(s.failures, (w,)) for w, s in ways],
        way,
    )
    yield _counter(
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
    yield _counter(
        "fusion_aio_swallowed_cancellations_total",
        "Calls that outlived their cancellation.",
        [Sample(count, (callee,)) for callee, count in seen.swallowed.items()],
        ("callee",),
    )
    yield _counter(
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
    yield _counter(
        "fusion_loop_stalls_total",
        "Times a loop ran nothing for a quarter of a second; the log says where its thread stood.",
        [Sample(loop.stalls, (name,)) for name, loop in loops],
        ("loop",),
    )
    yield _gauge(
        "fusion_loop_beat_age_seconds",
        "Time since a loop's last beat.",
        [Sample(loop.beat_age, (name,)) for name, loop in loops],
        ("loop",),
    )


def _store(store: Store) -> Iterable[AnyFamily]:
    seen = store.statistics()
    yield _counter("fusion_store_commits_total", "Commits that returned.", [Sample(seen.commits)])
    yield _counter(
        "fusion_store_commit_seconds_total",
        "Time spent in commits, retries included.",
        [Sample(seen.commit_seconds)],
    )
    yield _counter(
        "fusion_store_unknown_outcomes_total",
        "COMMITs whose answer was lost and was found out again.",
        [Sample(seen.unknown_outcomes)],
    )
    yield _counter("fusion_store_fenced_total", "Writes refused to an older epoch.", [Sample(seen.fenced)])
    yield _counter("fusion_store_conflicts_total", "Commits refused as stale.", [Sample(seen.conflicts)])
    state = None if seen.trouble is None else seen.trouble.state
    yield _gauge("fusion_store_disk_full", "1 while the database's disk is full.", [Sample(state == "disk full")])
    yield _gauge("fusion_store_away", "1 while the database does not answer.", [Sample(state == "away")])
    pools = (("actors", seen.actors), ("http", seen.http))
    yield _gauge("fusion_store_connections", "Open connections.", [Sample(p.size, (n,)) for n, p in pools], ("pool",))
    yield _gauge(
        "fusion_store_idle_connections",
        "Connections at rest.",
        [Sample(p.idle, (n,)) for n, p in pools],
        ("pool",),
    )
    yield _counter(
        "fusion_store_retries_total",
        "Operations tried again.",
        [Sample(p.retries, (n,)) for n, p in pools],
        ("pool",),
    )


def _actors(tree: Supervisor) -> Iterable[AnyFamily]:
    present = [each for each in tree.tree() if not each.is_supervisor]
    label = ("actor",)
    yield _gauge(
        "fusion_actor_running",
        "1 while the actor runs.",
        [Sample(float(each.state.value == "running"), (each.name,)) for each in present],
        label,
    )
    yield _gauge(
        "fusion_actor_health",
        "2 ok, 1 degraded, 0 unhealthy.",
        [Sample(_LEVELS[each.health.level], (each.name,)) for each in present],
        label,
    )
    yield _counter(
        "fusion_actor_restarts_total",
        "Restarts.",
        [Sample(each.restarts, (each.name,)) for each in present],
        label,
    )
    yield _gauge(
        "fusion_actor_beat_age_seconds",
        "Time since the actor's last sign of progress.",
        [Sample(each.beat_age, (each.name,)) for each in present if each.beat_age is not None],
        label,
    )
    yield _gauge("fusion_zombies", "Actors that would not stop.", [Sample(len(tree.zombies()))])


_LEVELS = {HealthLevel.OK: 2.0, HealthLevel.DEGRADED: 1.0, HealthLevel.UNHEALTHY: 0.0}


def _topics(house: House) -> Iterable[AnyFamily]:
    seen = [topic.statistics() for topic in house.topics]
    yield _gauge(
        "fusion_topic_head",
        "Number of the stream's last entry.",
        [Sample(t.head, (t.stream,)) for t in seen],
        ("stream",),
    )
    subscriptions = [(each, topic.stream) for topic in seen for each in topic.subscriptions]
    label = ("stream", "consumer")
    named = [(each, (stream, each.consumer)) for each, stream in subscriptions]
    yield _gauge(
        "fusion_topic_lag_entries",
        "Entries that a consumer has yet to take.",
        [Sample(s.lag, n) for s, n in named],
        label,
    )
    yield _gauge(
        "fusion_topic_lag_seconds",
        "For how long the oldest entry has been announced that a consumer has yet to take.",
        [Sample(s.lag_seconds, n) for s, n in named],
        label,
    )
    yield _counter(
        "fusion_topic_dropped_total",
        "Entries that found the buffer full and are read from the store.",
        [Sample(s.dropped, n) for s, n in named],
        label,
    )
    yield _counter(
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
        yield _gauge(name, text, [Sample(figure(s), (s.name,)) for s in seen], ("mailbox",))
    for name, text, figure in _MAILBOX_COUNTERS:
        yield _counter(name, text, [Sample(figure(s), (s.name,)) for s in seen], ("mailbox",))
    counts = house.fixtures.dead_letters.statistics().counts
    yield _counter(
        "fusion_dead_letters_total",
        "Messages that nobody handled, and replies that nobody heard, by reason.",
        # From zero on: `increase` cannot see a series whose first value is already 1.
        [Sample(counts.get((s.name, reason), 0), (s.name, reason.value)) for s in seen for reason in Reason],
        ("mailbox", "reason"),
    )


_LISTENER_COUNTERS: Sequence[tuple[str, str, Callable[[ListenerStatistics], float]]] = (
    ("fusion_chain_blocks_total", "Blocks committed.", lambda s: s.blocks),
    ("fusion_chain_logs_total", "Logs committed.", lambda s: s.logs),
    (
        "fusion_chain_undecodable_logs_total",
        "Logs stored raw because their arguments were odd.",
        lambda s: s.undecodable,
    ),
    ("fusion_chain_repaired_blocks_total", "Blocks whose logs a node had left out.", lambda s: s.repaired),
    ("fusion_chain_range_splits_total", "Ranges that a provider refused.", lambda s: s.splits),
    ("fusion_chain_reorgs_total", "Reorganisations followed.", lambda s: s.reorgs),
    ("fusion_chain_rate_limits_total", "Requests that a provider limited.", lambda s: s.rate_limits),
    ("fusion_chain_faults_total", "Steps that failed on an endpoint.", lambda s: s.faults),
)
_LISTENER_GAUGES: Sequence[tuple[str, str, Callable[[ListenerStatistics], float | None]]] = (
    ("fusion_chain_tip_block", "Number of the last committed block.", lambda s: s.tip),
    ("fusion_chain_head_block", "Number of the endpoint's head.", lambda s: s.head),
    ("fusion_chain_finalized_block", "Number of the highest final block.", lambda s: s.finalized),
    ("fusion_chain_deepest_reorg_blocks", "Depth of the deepest reorganisation.", lambda s: s.deepest_reorg),
    (
        "fusion_chain_behind_blocks",
        "Blocks between the endpoint's head and the last committed one.",
        lambda s: None if s.head is None or s.tip is None else max(s.head - s.tip, 0),
    ),
    (
        "fusion_chain_tip_age_seconds",
        "Age of the last committed block by its own time.",
        lambda s: None if s.tip_timestamp is None else time.time() - s.tip_timestamp,
    ),
)


def _chains(house: House) -> Iterable[AnyFamily]:
    seen = [
        (actor.name.partition(":")[2], actor.statistics())
        for actor in tuple(house.fixtures.alive.values())
        if isinstance(actor, ChainListener)
    ]
    for name, text, number in _LISTENER_COUNTERS:
        yield _counter(name, text, [Sample(number(s), (chain,)) for chain, s in seen], ("chain",))
    for name, text, figure in _LISTENER_GAUGES:
        told = [(chain, figure(s)) for chain, s in seen]
        yield _gauge(name, text, [Sample(value, (chain,)) for chain, value in told if value is not None], ("chain",))
    endpoints = [(chain, str(place), e) for chain, s in seen for place, e in enumerate(s.endpoints)]
    label = ("chain", "endpoint")
    yield _counter(
        "fusion_rpc_requests_total",
        "HTTP requests.",
        [Sample(e.requests, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield _counter(
        "fusion_rpc_faults_total",
        "Requests that failed.",
        [Sample(e.faults, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield _counter(
        "fusion_rpc_received_bytes_total",
        "Bytes received.",
        [Sample(e.octets, (c, p)) for c, p, e in endpoints],
        label,
    )


def _oracle(house: House) -> Iterable[AnyFamily]:
    poller = house.fixtures.alive.get("oracle_poller")
    seen = poller.statistics() if isinstance(poller, OraclePoller) else ()
    label = ("source",)
    yield _counter(
        "fusion_feed_readings_total", "Good readings.", [Sample(s.readings, (s.source,)) for s in seen], label
    )
    yield _counter(
        "fusion_feed_rejections_total",
        "Answers that failed a check.",
        [Sample(s.rejections, (s.source,)) for s in seen],
        label,
    )
    yield _counter(
        "fusion_feed_silences_total",
        "Questions without an answer.",
        [Sample(s.silences, (s.source,)) for s in seen],
        label,
    )
    yield _gauge(
        "fusion_feed_age_seconds",
        "Age of a source's last good reading by the source's own time.",
        [Sample(time.time() - s.observed_at, (s.source,)) for s in seen if s.observed_at is not None],
        label,
    )
    yield _gauge(
        "fusion_feed_allowed_age_seconds",
        "Age beyond which that reading is not used: the source's heartbeat and slack.",
        [Sample(s.lifetime, (s.source,)) for s in seen if s.lifetime is not None],
        label,
    )


_ENDS = (
    DeliveryState.DELIVERED,
    DeliveryState.ACCEPTED,
    DeliveryState.REJECTED,
    DeliveryState.EXHAUSTED,
    DeliveryState.SUPERSEDED,
)
"""Told from zero on: `increase` cannot see a series whose first value is already 1."""


def _alerting(house: House) -> Iterable[AnyFamily]:
    dispatcher = house.fixtures.alive.get("alert_dispatcher")
    if not isinstance(dispatcher, AlertDispatcher):
        return
    seen = dispatcher.statistics()
    yield _counter(
        "fusion_delivery_attempts_total",
        "Attempts by outcome.",
        [Sample(seen.attempts.get(verdict, 0), (verdict.value,)) for verdict in Verdict],
        ("outcome",),
    )
    yield _counter(
        "fusion_deliveries_ended_total",
        "Deliveries by final state.",
        [Sample(seen.ended.get(state, 0), (state.value,)) for state in _ENDS],
        ("state",),
    )
    yield _counter(
        "fusion_delivery_faults_total", "Attempts that ended in an error of the daemon's own.", [Sample(seen.faults)]
    )
    yield _counter("fusion_delivery_attempt_seconds_total", "Time spent in attempts.", [Sample(seen.attempt_seconds)])
    yield _counter("fusion_alerts_routed_total", "Alerts that were given their deliveries.", [Sample(seen.routed)])
    yield _counter(
        "fusion_deliveries_interrupted_total",
        "Deliveries taken up again after an earlier life.",
        [Sample(seen.interrupted)],
    )
    yield _gauge(
        "fusion_deliveries_unrecorded", "Attempts that ended and are not yet stored.", [Sample(seen.unrecorded)]
    )
    yield _gauge("fusion_deliveries_in_flight", "Attempts under way.", [Sample(seen.in_flight)])
    yield _gauge(
        "fusion_delivery_overdue_seconds",
        "For how long the oldest due delivery has waited.",
        [Sample(seen.overdue_seconds)],
    )


_PARTITIONED = ("chain_blocks", "chain_journal", "chain_logs", "deliveries", "delivery_attempts", "prices")


def _retention(house: House) -> Iterable[AnyFamily]:
    keeper = house.fixtures.alive.get("retention_keeper")
    if not isinstance(keeper, RetentionKeeper):
        return
    seen = keeper.statistics()
    yield _counter(
        "fusion_retention_dropped_partitions_total",
        "Partitions dropped because the configuration keeps them no longer.",
        [Sample(seen.dropped.get(table, 0), (table,)) for table in _PARTITIONED],
        ("table",),
    )
    yield _counter(
        "fusion_retention_put_off_total", "Drops left for later: the table was in use.", [Sample(seen.put_off)]
    )
    yield _gauge(
        "fusion_retention_held", "1 while nothing is dropped because the wall clock jumped.", [Sample(seen.held)]
    )
