"""What is scraped of each room's actors, in Prometheus' words; see `metric_sources`."""

from __future__ import annotations

import time
from collections.abc import Iterable

from actors.alert_dispatcher import AlertDispatcher
from actors.message_census import CensusFigures
from actors.message_tracker import MessageTrackerActor
from actors.oracle_poller import OraclePoller
from actors.quarantine_keeper import QuarantineKeeper
from actors.retention_keeper import RetentionKeeper
from actors.transaction_sender import TransactionSender
from fusion_daemon.alerting.retry import DeliveryState, Verdict
from fusion_daemon.composition import House
from fusion_daemon.crosschain.hints import Outcome, Source
from fusion_daemon.domain.margin import MARGIN_STREAM
from fusion_daemon.http.metrics import AnyFamily, Sample, counter, gauge
from fusion_daemon.transactions.records import OPEN, Answer, Kind, State


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
