"""Recording finished attempts: one commit for all that are ready.

INVARIANT: an outcome is recorded by who claimed the delivery, and once. The UPDATE asks for this claim (epoch
and attempt number) on every row; if one was taken by a later epoch, the whole commit fails and this
dispatcher, which then is a zombie, stops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson

from fusion_daemon.alerting.acceptance import accept, moment
from fusion_daemon.alerting.delivery import Attempt
from fusion_daemon.alerting.retry import DeliveryState
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.store.writes import Commit, Execute, SqlValue, Write

CHANNEL_BROKEN = "alerting.channel_broken"

_SECONDS_A_DAY = 86_400

_INSERT_ATTEMPTS = """
INSERT INTO delivery_attempts (delivery_id, alert_number, attempt, started_at, finished_at, outcome, code,
                               latency_ms, detail, next_due_at)
SELECT deliveries.id, alert_number, attempt, started_at, finished_at, outcome, code, latency_ms, detail, next_due_at
FROM unnest($1::text[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::integer[],
            $7::double precision[], $8::text[], $9::timestamptz[])
     AS given (id, attempt, started_at, finished_at, outcome, code, latency_ms, detail, next_due_at)
JOIN deliveries ON deliveries.id = given.id
"""

_UPDATE_DELIVERIES = """
UPDATE deliveries SET state = given.state, due_at = given.due_at
FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[]) AS given (id, attempt, state, due_at)
WHERE deliveries.id = given.id AND deliveries.attempts = given.attempt AND deliveries.claim_epoch = $5
  AND deliveries.state = 'in_flight'
"""

_PROOF = "SELECT EXISTS (SELECT FROM delivery_attempts WHERE delivery_id = $1 AND attempt = $2)"


def record_attempts(attempts: Sequence[Attempt], epoch: int, desk: Sequence[Receiver]) -> Commit:
    """The commit of one or more finished attempts claimed under `epoch`; its witness is the first one's row.

    A delivery that ended undelivered takes an operational alert to the other desk receivers with it.
    """
    first = attempts[0]
    writes: list[Write] = [
        Execute(
            _UPDATE_DELIVERIES,
            (
                [each.delivery.id for each in attempts],
                [each.delivery.attempt for each in attempts],
                [each.decision.state.value for each in attempts],
                [moment(each.decision.due_at or each.finished_at) for each in attempts],
                epoch,
            ),
            expect=len(attempts),
        ),
        Execute(_INSERT_ATTEMPTS, _attempt_columns(attempts), expect=len(attempts)),
    ]
    for attempt in attempts:
        writes += _channel_broken(attempt, desk)
    return Commit(writes=tuple(writes), proof=Execute(_PROOF, (first.delivery.id, first.delivery.attempt)))


def _attempt_columns(attempts: Sequence[Attempt]) -> tuple[SqlValue, ...]:
    return (
        [each.delivery.id for each in attempts],
        [each.delivery.attempt for each in attempts],
        [moment(each.delivery.claimed_at) for each in attempts],
        [moment(each.finished_at) for each in attempts],
        [each.outcome.verdict.value for each in attempts],
        [each.outcome.code for each in attempts],
        [each.latency * 1000 for each in attempts],
        [each.outcome.detail.replace("\0", "") for each in attempts],
        [None if each.decision.due_at is None else moment(each.decision.due_at) for each in attempts],
    )


def _channel_broken(attempt: Attempt, desk: Sequence[Receiver]) -> Sequence[Write]:
    """Tell the desk through its other receivers that one is deaf.

    It cannot loop: undelivered alerts of this very type raise none, and a destination raises one a day.
    """
    delivery = attempt.delivery
    if attempt.decision.state not in (DeliveryState.REJECTED, DeliveryState.EXHAUSTED):
        return ()
    if delivery.alert.type == CHANNEL_BROKEN:
        return ()
    deaf = (delivery.receiver.channel, delivery.receiver.target)
    others = [each for each in desk if (each.channel, each.target) != deaf]
    return accept(channel_broken_alert(attempt), None, others, attempt.finished_at)


def channel_broken_alert(attempt: Attempt) -> Alert:
    delivery = attempt.delivery
    digest = hashlib.sha256(delivery.receiver.target.encode()).hexdigest()[:16]
    ended = "refused" if attempt.decision.state is DeliveryState.REJECTED else "could not be delivered"
    alert = f"chb_{digest}_{int(attempt.finished_at) // _SECONDS_A_DAY}"
    summary = (
        f"The {delivery.receiver.channel.value} receiver {delivery.receiver.name} is not reached: alert "
        f"{delivery.alert.id} {ended} after {delivery.attempt} attempts ({attempt.outcome.detail})."
    )
    data = {
        "alert": alert,
        "summary": summary,
        "receiver": delivery.receiver.name,
        "channel": delivery.receiver.channel.value,
        "delivery": delivery.id,
        "undelivered_alert": delivery.alert.id,
        "undelivered_summary": delivery.alert.summary[:2_000],
        "state": attempt.decision.state.value,
        "attempts": delivery.attempt,
        "code": attempt.outcome.code,
        "detail": attempt.outcome.detail,
    }
    return Alert(alert, CHANNEL_BROKEN, Severity.CRITICAL, None, int(attempt.finished_at), summary, orjson.dumps(data))
