"""Accepting alerts: the rows that a producer commits together with the fact that it found.

INVARIANTS
* Accepted is durable: an alert exists once the producer's transaction has committed, and for a CRITICAL one
  so do its deliveries, in that same transaction. There is no instant at which the fact is known and its
  alert can be lost.
* Accepting an alert again changes nothing: alert ids follow from (account, episode, step), delivery ids from
  the alert and the target.
* Once an episode has been critical, everything after in it is critical: whoever heard of a margin call hears
  of its correction, improvement and end. Earlier steps of the same batch are known here; those of earlier
  transactions are looked up by the INSERT itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fusion_daemon.alerting.rendering import margin_alert
from fusion_daemon.alerting.routing import delivery_id, destination, receivers_of
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import MarginEvent, MarginState
from fusion_daemon.store.writes import Execute, SqlScalar, SqlValue, Write

INSERT_ALERTS = """
INSERT INTO alerts (id, type, severity, account, episode, step, occurred_at, accepted_at, summary, data, state)
SELECT id, type, severity, account, episode, step, occurred_at, $7, summary, data::json,
       CASE WHEN severity < 2 THEN 'accepted' WHEN addressed THEN 'routed' ELSE 'unaddressed' END
FROM (
    SELECT given.id, given.type, given.account, given.episode, given.step, given.occurred_at, given.summary,
           given.data, given.addressed,
           CASE WHEN EXISTS (
               SELECT FROM alerts AS told
               WHERE told.account = given.account AND told.episode = given.episode AND told.severity = 2
           ) THEN 2 ELSE given.severity END AS severity
    FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bigint[], $6::timestamptz[],
                $8::text[], $9::text[], $10::boolean[], $11::integer[])
         AS given (id, type, severity, account, episode, occurred_at, summary, data, addressed, step)
) AS judged
ON CONFLICT (id) DO NOTHING
"""

INSERT_DELIVERIES = """
INSERT INTO deliveries (id, alert_id, alert_number, receiver, channel, target, destination, secret_name,
                        severity, account, episode, step, state, created_at, due_at)
SELECT given.id, alerts.id, alerts.number, given.receiver, given.channel, given.target, given.destination,
       given.secret_name, alerts.severity, alerts.account, alerts.episode, alerts.step, 'pending', $8, $8
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     AS given (id, alert_id, receiver, channel, target, destination, secret_name)
JOIN alerts ON alerts.id = given.alert_id
WHERE alerts.severity >= $9
ON CONFLICT (id, alert_number) DO NOTHING
"""
"""$9: the least severity that gets its deliveries now."""


@dataclass(frozen=True, slots=True)
class _Accepted:
    alert: Alert
    episode: int | None
    step: int | None
    receivers: tuple[Receiver, ...]
    may_be_critical: bool


def accept_margin_events(
    events: Sequence[MarginEvent],
    accounts: Mapping[AccountId, AccountRecord],
    receivers: Sequence[Receiver],
    at: float,
) -> Sequence[Write]:
    """The alerts of margin events, in the events' order, and the deliveries of those that may not wait.

    `accounts` holds the records of the registered ones among the events' accounts; `receivers` are the
    desk's; `at` is the time of acceptance in unix seconds. Commit them in the transaction of the events.
    """
    critical: set[tuple[AccountId, int]] = set()
    accepted = []
    for event in events:
        episode = (event.account, event.episode)
        if max(event.before, event.after) >= MarginState.MARGIN_CALL:
            critical.add(episode)
        severity = Severity.CRITICAL if episode in critical else Severity.WARNING
        record = accounts.get(event.account)
        accepted.append(
            _Accepted(
                margin_alert(event, record, severity),
                event.episode,
                event.step,
                receivers_of(receivers, record),
                may_be_critical=severity is Severity.CRITICAL or event.step > 1,
            )
        )
    return _writes(accepted, at)


def accept(alert: Alert, record: AccountRecord | None, receivers: Sequence[Receiver], at: float) -> Sequence[Write]:
    """Any other producer's alert (a chain stalled, a feed is stale), and its deliveries if it may not wait.

    `record` is that of the alert's account, None when it has none; `at` is in unix seconds.
    """
    targets = receivers_of(receivers, record)
    return _writes([_Accepted(alert, None, None, targets, alert.severity is Severity.CRITICAL)], at)


def delivery_columns(pairs: Iterable[tuple[str, Receiver]]) -> tuple[list[SqlScalar], ...]:
    """The seven column arrays of INSERT_DELIVERIES for (alert id, receiver) pairs; empty ones for none."""
    columns: tuple[list[SqlScalar], ...] = ([], [], [], [], [], [], [])
    for alert, receiver in pairs:
        row = (
            delivery_id(alert, receiver),
            alert,
            receiver.name,
            receiver.channel.value,
            receiver.target,
            destination(receiver),
            receiver.secret,
        )
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return columns


def moment(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)


def _writes(accepted: Sequence[_Accepted], at: float) -> Sequence[Write]:
    if not accepted:
        return ()
    pairs = [(each.alert.id, receiver) for each in accepted if each.may_be_critical for receiver in each.receivers]
    writes: list[Write] = [Execute(INSERT_ALERTS, _alert_arguments(accepted, at))]
    if pairs:
        arguments: tuple[SqlValue, ...] = (*delivery_columns(pairs), moment(at), int(Severity.CRITICAL))
        writes.append(Execute(INSERT_DELIVERIES, arguments))
    return tuple(writes)


def _alert_arguments(accepted: Sequence[_Accepted], at: float) -> tuple[SqlValue, ...]:
    alerts = [each.alert for each in accepted]
    return (
        [alert.id for alert in alerts],
        [alert.type for alert in alerts],
        [int(alert.severity) for alert in alerts],
        [alert.account for alert in alerts],
        [each.episode for each in accepted],
        [moment(alert.occurred_at) for alert in alerts],
        moment(at),
        # Postgres cannot hold NUL; a producer quoting a foreign error may, and must not fail over it.
        [alert.summary.replace("\0", "") for alert in alerts],
        [alert.data.decode() for alert in alerts],
        [bool(each.receivers) for each in accepted],
        [each.step for each in accepted],
    )
