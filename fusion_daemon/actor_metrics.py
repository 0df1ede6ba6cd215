"""What is scraped of each room's actors, in Prometheus' words; see `metric_sources`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from actors.alert_dispatcher import AlertDispatcher
from actors.chain_listener import ChainListener
from actors.listener_statistics import ListenerStatistics
from actors.message_census import CensusFigures
from actors.message_tracker import MessageTrackerActor
from actors.oracle_poller import OraclePoller
from actors.quarantine_keeper import QuarantineKeeper
from actors.retention_keeper import RetentionKeeper
from actors.transaction_sender import TransactionSender
from fusion_daemon.aio import BUCKETS
from fusion_daemon.alerting.retry import DeliveryState, Verdict
from fusion_daemon.chain.endpoint_state import State as EndpointState
from fusion_daemon.chain.rpc_endpoints import EndpointStatistics
from fusion_daemon.composition import House
from fusion_daemon.crosschain.hints import Outcome, Source
from fusion_daemon.domain.margin import MARGIN_STREAM
from fusion_daemon.http.metrics import AnyFamily, HistogramFamily, HistogramSample, Sample, counter, gauge
from fusion_daemon.transactions.records import OPEN, Answer, Kind, State

_LISTENER_COUNTERS: Sequence[tuple[str, str, Callable[[ListenerStatistics], float]]] = (
    ("fusion_chain_blocks_total", "Blocks committed.", lambda s: s.blocks),
    ("fusion_chain_logs_total", "Logs committed.", lambda s: s.logs),
    (
        "fusion_chain_undecodable_logs_total",
        "Logs stored raw because their arguments were odd.",
        lambda s: s.undecodable,
    ),
    ("fusion_chain_repaired_blocks_total", "Blocks whose logs a node had left out.", lambda s: s.repaired),
    ("fusion_chain_dense_blocks_total", "Steps that ended at a block whose logs no way gave.", lambda s: s.dense),
    ("fusion_chain_announced_heads_total", "New heads announced over a WebSocket.", lambda s: s.announced.heads),
    ("fusion_chain_socket_losses_total", "WebSockets lost, or not opened.", lambda s: s.announced.losses),
    ("fusion_chain_reorgs_total", "Reorganisations followed.", lambda s: s.reorgs),
    ("fusion_chain_orphaned_blocks_total", "Blocks that reorganisations took away.", lambda s: s.orphaned),
    ("fusion_chain_orphaned_logs_total", "Logs that reorganisations took back.", lambda s: s.orphaned_logs),
    (
        "fusion_chain_reorg_handling_seconds_total",
        "Time from noticing a reorganisation to its commit, all together.",
        lambda s: s.reorg_seconds,
    ),
    ("fusion_chain_rate_limits_total", "Requests that a provider limited.", lambda s: s.rate_limits),
    ("fusion_chain_faults_total", "Steps that failed on an endpoint.", lambda s: s.faults),
)
_LISTENER_GAUGES: Sequence[tuple[str, str, Callable[[ListenerStatistics], float | None]]] = (
    ("fusion_chain_tip_block", "Number of the last committed block.", lambda s: s.tip),
    ("fusion_chain_head_block", "Number of the endpoint's head.", lambda s: s.head),
    ("fusion_chain_finalized_block", "Number of the highest final block.", lambda s: s.finalized),
    ("fusion_chain_deepest_reorg_blocks", "Depth of the deepest reorganisation.", lambda s: s.deepest_reorg),
    (
        "fusion_chain_missing_blocks",
        "Blocks up to the tip whose logs of some contract were not read, counted for each filter version.",
        lambda s: s.missing,
    ),
    (
        "fusion_chain_behind_blocks",
        "Blocks between the endpoint's head and the last committed one.",
        lambda s: None if s.head is None or s.tip is None else max(s.head - s.tip, 0),
    ),
    (
        "fusion_chain_behind_seconds",
        "Time between these two, as the chain itself tells it.",
        lambda s: None
        if s.head_timestamp is None or s.tip_timestamp is None
        else max(s.head_timestamp - s.tip_timestamp, 0),
    ),
    (
        "fusion_chain_tip_age_seconds",
        "Age of the last committed block by its own time.",
        lambda s: None if s.tip_timestamp is None else time.time() - s.tip_timestamp,
    ),
)


def chain_families(house: House) -> Iterable[AnyFamily]:
    seen = [
        (actor.name.partition(":")[2], actor.statistics())
        for actor in tuple(house.fixtures.alive.values())
        if isinstance(actor, ChainListener)
    ]
    for name, text, number in _LISTENER_COUNTERS:
        yield counter(name, text, [Sample(number(s), (chain,)) for chain, s in seen], ("chain",))
    for name, text, figure in _LISTENER_GAUGES:
        told = [(chain, figure(s)) for chain, s in seen]
        yield gauge(name, text, [Sample(value, (chain,)) for chain, value in told if value is not None], ("chain",))
    yield counter(
        "fusion_chain_range_splits_total",
        "Ranges that an endpoint refused or did not answer, by reason and by the rule that knew the error.",
        [Sample(n, (chain, reason, rule)) for chain, s in seen for (reason, rule), n in s.splits.items()],
        ("chain", "reason", "rule"),
    )
    yield from _endpoint_families([(chain, str(place), e) for chain, s in seen for place, e in enumerate(s.endpoints)])


def _endpoint_families(endpoints: Sequence[tuple[str, str, EndpointStatistics]]) -> Iterable[AnyFamily]:
    label = ("chain", "endpoint")
    yield gauge(
        "fusion_rpc_endpoint_state",
        "1 for the state that the endpoint is in.",
        [Sample(e.state is state, (c, p, state.value)) for c, p, e in endpoints for state in EndpointState],
        (*label, "state"),
    )
    yield counter(
        "fusion_rpc_endpoint_transitions_total",
        "Changes of an endpoint's state, by what made it change.",
        [
            Sample(n, (c, p, before.value, after.value, reason))
            for c, p, e in endpoints
            for (before, after, reason), n in e.transitions.items()
        ],
        (*label, "from", "to", "reason"),
    )
    yield gauge(
        "fusion_rpc_calls_per_second_allowed",
        "Calls a second that the endpoint is asked at most; it falls when the provider limits us.",
        [Sample(e.rate, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield HistogramFamily(
        "fusion_rpc_request_duration_seconds",
        "Time from sending an HTTP request to the end of its answer, of those that were answered whole.",
        BUCKETS,
        [HistogramSample(tuple(e.durations), e.seconds, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield counter(
        "fusion_rpc_null_results_total",
        "JSON-RPC answers that said: no such thing.",
        [Sample(e.nulls, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield counter(
        "fusion_rpc_errors_total",
        "JSON-RPC answers with an error other than a limit of our rate.",
        [Sample(e.errors, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield counter(
        "fusion_rpc_requests_total",
        "HTTP requests.",
        [Sample(e.requests, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield counter(
        "fusion_rpc_faults_total",
        "Requests that failed.",
        [Sample(e.faults, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield counter(
        "fusion_rpc_receipt_escapes_total",
        "Single blocks whose logs were refused, so that their receipts were read.",
        [Sample(e.escapes, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield gauge(
        "fusion_rpc_requests_in_flight",
        "HTTP requests that were sent and not answered yet.",
        [Sample(e.in_flight, (c, p)) for c, p, e in endpoints],
        label,
    )
    yield counter(
        "fusion_rpc_received_bytes_total",
        "Bytes received.",
        [Sample(e.octets, (c, p)) for c, p, e in endpoints],
        label,
    )


def oracle_families(house: House) -> Iterable[AnyFamily]:
    poller = house.fixtures.alive.get("oracle_poller")
    seen = poller.statistics() if isinstance(poller, OraclePoller) else ()
    label = ("source",)
    yield counter(
        "fusion_feed_readings_total", "Good readings.", [Sample(s.readings, (s.source,)) for s in seen], label
    )
    yield counter(
        "fusion_feed_rejections_total",
        "Answers that failed a check.",
        [Sample(s.rejections, (s.source,)) for s in seen],
        label,
    )
    yield counter(
        "fusion_feed_silences_total",
        "Questions without an answer.",
        [Sample(s.silences, (s.source,)) for s in seen],
        label,
    )
    yield gauge(
        "fusion_feed_age_seconds",
        "Age of a source's last good reading by the source's own time.",
        [Sample(time.time() - s.observed_at, (s.source,)) for s in seen if s.observed_at is not None],
        label,
    )
    yield gauge(
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


def alerting_families(house: House) -> Iterable[AnyFamily]:
    dispatcher = house.fixtures.alive.get("alert_dispatcher")
    if not isinstance(dispatcher, AlertDispatcher):
        return
    seen = dispatcher.statistics()
    yield counter(
        "fusion_delivery_attempts_total",
        "Attempts by outcome.",
        [Sample(seen.attempts.get(verdict, 0), (verdict.value,)) for verdict in Verdict],
        ("outcome",),
    )
    yield counter(
        "fusion_deliveries_ended_total",
        "Deliveries by final state.",
        [Sample(seen.ended.get(state, 0), (state.value,)) for state in _ENDS],
        ("state",),
    )
    yield counter(
        "fusion_delivery_faults_total", "Attempts that ended in an error of the daemon's own.", [Sample(seen.faults)]
    )
    yield counter("fusion_delivery_attempt_seconds_total", "Time spent in attempts.", [Sample(seen.attempt_seconds)])
    yield counter("fusion_alerts_routed_total", "Alerts that were given their deliveries.", [Sample(seen.routed)])
    yield counter(
        "fusion_deliveries_interrupted_total",
        "Deliveries taken up again after an earlier life.",
        [Sample(seen.interrupted)],
    )
    yield gauge(
        "fusion_deliveries_unrecorded", "Attempts that ended and are not yet stored.", [Sample(seen.unrecorded)]
    )
    yield gauge("fusion_deliveries_in_flight", "Attempts under way.", [Sample(seen.in_flight)])
    yield gauge(
        "fusion_delivery_overdue_seconds",
        "For how long the oldest due delivery has waited.",
        [Sample(seen.overdue_seconds)],
    )


_PARTITIONED = ("chain_blocks", "chain_journal", "chain_logs", "deliveries", "delivery_attempts", "prices")


def retention_families(house: House) -> Iterable[AnyFamily]:
    keeper = house.fixtures.alive.get("retention_keeper")
    if not isinstance(keeper, RetentionKeeper):
        return
    seen = keeper.statistics()
    yield counter(
        "fusion_retention_dropped_partitions_total",
        "Partitions dropped because the configuration keeps them no longer.",
        [Sample(seen.dropped.get(table, 0), (table,)) for table in _PARTITIONED],
        ("table",),
    )
    yield counter(
        "fusion_retention_dropped_rows_total",
        "Rows dropped of tables that are not parted, because the configuration keeps them no longer.",
        [Sample(count, (table,)) for table, count in sorted(seen.rows.items())],
        ("table",),
    )
    yield counter(
        "fusion_retention_put_off_total", "Drops left for later: the table was in use.", [Sample(seen.put_off)]
    )
    yield gauge(
        "fusion_retention_held", "1 while nothing is dropped because the wall clock jumped.", [Sample(seen.held)]
    )


def quarantine_families(house: House) -> Iterable[AnyFamily]:
    keeper = house.fixtures.alive.get("quarantine_keeper")
    held = keeper.statistics().held if isinstance(keeper, QuarantineKeeper) else {}
    consumed = (topic.stream for topic in house.topics if topic.stream != MARGIN_STREAM)
    sources = {house.fixtures.requests.name, *consumed, *held}
    yield gauge(
        "fusion_quarantined",
        "Messages that killed their handler twice and wait for an operator, by mailbox or stream.",
        [Sample(held.get(source, 0), (source,)) for source in sorted(sources)],
        ("source",),
    )
    yield gauge(
        "fusion_quarantine_unwritten",
        "Of what was set aside, how many are not in the database yet.",
        [Sample(len(house.fixtures.ward.unwritten))],
    )
    yield counter(
        "fusion_quarantine_lost_total",
        "Messages that were to be set aside while there was no room: the database had been away.",
        [Sample(house.fixtures.ward.lost)],
    )


def transaction_families(house: House) -> Iterable[AnyFamily]:
    sender = house.fixtures.alive.get("transaction_sender")
    if not isinstance(sender, TransactionSender):
        return
    seen = sender.statistics()
    present = [Sample(count, (str(chain), state)) for (chain, state), count in sorted(seen.open.items())]
    yield gauge("fusion_transactions_open", "Transactions that have not ended.", present, ("chain", "state"))
    ended = [Sample(seen.ended.get(state, 0), (state.value,)) for state in State if state not in OPEN]
    yield counter("fusion_transactions_ended_total", "Transactions that ended.", ended, ("state",))
    signed = [Sample(seen.signed.get(kind, 0), (kind.value,)) for kind in Kind]
    yield counter(
        "fusion_transactions_signed_total", "Signatures: of intents, and of nothing in their place.", signed, ("kind",)
    )
    answers = [Sample(seen.answers.get(answer, 0), (answer.value,)) for answer in Answer]
    yield counter("fusion_transactions_broadcasts_total", "Answers of nodes to raw bytes.", answers, ("answer",))
    yield counter(
        "fusion_transactions_foreign_nonces_total",
        "Nonces that somebody else used: who else holds the key?",
        [Sample(seen.renonced)],
    )


def hint_families(house: House) -> Iterable[AnyFamily]:
    counts = house.fixtures.opinions.statistics()
    yield counter(
        "fusion_message_hints_total",
        "Requests to explorers for a second opinion on a message.",
        [Sample(counts.get((s, o), 0), (s.value, o.value)) for s in Source for o in Outcome],
        ("source", "outcome"),
    )


def _census_families(seen: CensusFigures) -> Iterable[AnyFamily]:
    lane = ("source", "destination")
    yield gauge(
        "fusion_messages_stuck",
        "Messages that wait too long, by what for.",
        [Sample(count, (str(s), str(d), stage)) for (s, d, stage), count in sorted(seen.stuck.items())],
        (*lane, "stage"),
    )
    yield gauge(
        "fusion_messages_value_usd",
        "Credit that left its source and did not arrive, USD.",
        [Sample(amount / 10**8, (str(s), str(d))) for (s, d), amount in sorted(seen.credit.items())],
        lane,
    )
    yield gauge(
        "fusion_messages_waiting_since_seconds",
        "Unix second since when the message that waits longest stands where it does; nothing where none waits.",
        [Sample(since, (str(s), str(d))) for (s, d), since in sorted(seen.waiting_since.items())],
        lane,
    )
    flagged = [Sample(count, (flag,)) for flag, count in sorted(seen.flagged.items())]
    yield counter("fusion_messages_flagged_total", "Messages that got a flag.", flagged, ("flag",))


def message_families(house: House) -> Iterable[AnyFamily]:
    tracker = house.fixtures.alive.get("message_tracker")
    if not isinstance(tracker, MessageTrackerActor):
        return
    seen = tracker.statistics()
    yield gauge(
        "fusion_messages",
        "Cross-chain messages by state; the chains are 0 where no envelope of ours is known, or forgers alone show it.",
        [Sample(count, (str(s), str(d), state)) for (s, d, state), count in sorted(seen.census.lanes.items())],
        ("source", "destination", "state"),
    )
    yield from _census_families(seen.census)
    yield counter(
        "fusion_message_evidence_total", "Facts about messages that were read of logs.", [Sample(seen.evidence)]
    )
    dropped = (("ended", seen.pruned), ("strangers", seen.strangers), ("crowded", seen.crowded))
    yield counter(
        "fusion_message_evidence_pruned_total",
        "Evidence that is kept no longer: of ended messages, strangers', and those of strangers that were too many.",
        [Sample(count, (of,)) for of, count in dropped],
        ("of",),
    )
    yield counter(
        "fusion_message_unreadable_logs_total",
        "Logs of our bridges' contracts that could not be read.",
        [Sample(seen.unreadable)],
    )
