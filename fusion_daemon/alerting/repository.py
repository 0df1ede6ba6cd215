"""The dispatcher's own SQL: claiming due deliveries, making those of accepted alerts, taking up interrupted
ones.

All functions run on the asyncio side, each inside one transaction that the store holds; cancelling one
rolls it back, or leaves a claim that is found again.

INVARIANTS
* Whoever looks for lost claims sees all of them. A claim whose COMMIT is still on its way holds the queue's
  lock, and both who would release it and who would take it up wait for that lock first.
* The last step of an episode that a receiver hears of is the last one there was. A step waits while an earlier
  one of its severity is in, or due for, its first try to the same receiver; and one that is due after a later
  one has arrived is superseded: it is not sent any more. So what is urgent waits for no warning and for no
  retry, and two steps that fell due together arrive in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fusion_daemon.accounts.decisions import record_of
from fusion_daemon.accounts.repository import load_known
from fusion_daemon.alerting.acceptance import INSERT_DELIVERIES, delivery_columns, moment
from fusion_daemon.alerting.delivery import Delivery
from fusion_daemon.alerting.lanes import LaneLimit
from fusion_daemon.alerting.routing import receivers_of
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.account import Channel
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.store import Reader, Row


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the queue found."""

    claimed: tuple[Delivery, ...]
    next_due_at: float | None
    """Unix seconds: when the next delivery that is not yet due becomes so."""
    due_since: float | None
    """Unix seconds: since when the longest overdue one that was not claimed has been due."""
    superseded: int
    """Due deliveries that ended because their receiver has a later step of the episode already."""
    unrouted: bool
    """Accepted alerts wait for their deliveries to be made."""


_CLAIM = """
WITH RECURSIVE lanes (severity, destination) AS (
    (SELECT severity, destination FROM deliveries WHERE state IN ('pending', 'retrying')
     ORDER BY severity DESC, destination DESC LIMIT 1)
    UNION ALL
    SELECT following.severity, following.destination
    FROM lanes CROSS JOIN LATERAL (
        SELECT severity, destination FROM deliveries
        WHERE state IN ('pending', 'retrying')
          AND (severity, destination) < (lanes.severity, lanes.destination)
        ORDER BY severity DESC, destination DESC LIMIT 1) AS following
), limits AS (
    SELECT * FROM unnest($3::text[], $4::smallint[], $5::integer[]) AS given (destination, severity, free)
), chosen AS (
    SELECT due.id
    FROM lanes
    LEFT JOIN limits USING (severity, destination)
    CROSS JOIN LATERAL (
        SELECT id, due_at FROM deliveries
        WHERE state IN ('pending', 'retrying') AND deliveries.severity = lanes.severity
          AND deliveries.destination = lanes.destination AND due_at <= $2
          AND NOT EXISTS (
              SELECT FROM deliveries AS earlier
              WHERE earlier.account = deliveries.account AND earlier.episode = deliveries.episode
                AND earlier.step < deliveries.step AND earlier.severity = deliveries.severity
                AND earlier.channel = deliveries.channel AND earlier.target = deliveries.target
                AND (earlier.state = 'in_flight' AND earlier.attempts = earlier.interruptions + 1
                     OR earlier.state = 'pending' AND earlier.attempts = earlier.interruptions
                        AND earlier.due_at <= $2))
        ORDER BY due_at, id LIMIT coalesce(limits.free, $6)) AS due
    ORDER BY lanes.severity DESC, due.due_at, due.id LIMIT $7
), locked AS (
    SELECT id FROM deliveries
    WHERE id = ANY (ARRAY(SELECT id FROM chosen)) AND state IN ('pending', 'retrying')
    FOR UPDATE SKIP LOCKED
), superseded AS (
    UPDATE deliveries SET state = 'superseded', due_at = $2
    WHERE deliveries.id = ANY (ARRAY(SELECT id FROM locked)) AND EXISTS (
        SELECT FROM deliveries AS later
        WHERE later.account = deliveries.account AND later.episode = deliveries.episode
          AND later.step > deliveries.step AND later.channel = deliveries.channel
          AND later.target = deliveries.target AND later.state IN ('delivered', 'accepted') OFFSET 0)
    RETURNING deliveries.id
), claimed AS (
    UPDATE deliveries
    SET state = 'in_flight', claim_epoch = $1, attempts = deliveries.attempts + 1, due_at = $2
    FROM alerts
    WHERE deliveries.id = ANY (ARRAY(SELECT id FROM locked)) AND alerts.id = deliveries.alert_id
      AND deliveries.id NOT IN (SELECT id FROM superseded)
    RETURNING deliveries.id, deliveries.receiver, deliveries.channel, deliveries.target, deliveries.destination,
              deliveries.secret_name, deliveries.attempts, deliveries.interruptions, deliveries.severity,
              alerts.id AS alert_id, alerts.type, alerts.account,
              extract(epoch FROM alerts.occurred_at)::bigint AS occurred_at,
              alerts.summary, alerts.data::text AS data
)
SELECT ended.superseded, claimed.*
FROM (SELECT count(*) AS superseded FROM superseded) AS ended LEFT JOIN claimed ON true
"""
"""The due deliveries, critical ones first and the longest due first, but of no lane more than it has free.

The recursion steps from one lane to the next in the index, so a lane with a long backlog costs one step. Those chosen
are looked up one by one (`= ANY (ARRAY(...))`, and OFFSET 0 against a join): what the planner knows of a table lags
behind a flood by a minute, and until then it would read all of a long backlog for each claim. There is a row even
when nothing was claimed: it says how many were superseded.
"""

_OUTLOOK = """
SELECT (SELECT min(due_at) FROM deliveries WHERE state IN ('pending', 'retrying') AND due_at > $1) AS
next_due_at, (SELECT min(due_at) FROM deliveries WHERE state IN ('pending', 'retrying') AND due_at <= $1) AS
due_since, EXISTS (SELECT FROM alerts WHERE state = 'accepted') AS unrouted
"""


_LOCK = "SELECT pg_advisory_xact_lock(hashtext('deliveries'), 0)"

_RELEASE = """
UPDATE deliveries SET state = 'pending', attempts = attempts - 1
WHERE state = 'in_flight' AND claim_epoch = $1 AND id <> ALL ($2::text[])
"""


async def claim_due(
    reader: Reader,
    epoch: int,
    now: float,
    limits: Sequence[LaneLimit],
    per_lane: int,
    most: int,
    known: Sequence[str] | None = None,
) -> Look:
    """Claim up to `most` due deliveries under `epoch`, of each lane at most its limit or else `per_lane`.

    `known` is given when the answer to an earlier claim was lost: the ids that this life holds. Anything
    else in flight under its epoch was claimed by that one and never attempted, and is released first.
    """
    await reader.fetch(_LOCK)
    if known is not None:
        await reader.fetch(_RELEASE, epoch, known)
    rows = await reader.fetch(
        _CLAIM,
        epoch,
        moment(now),
        [each.destination for each in limits],
        [int(each.severity) for each in limits],
        [each.free for each in limits],
        per_lane,
        most,
    )
    outlook = await reader.fetch_one(_OUTLOOK, moment(now))
    assert outlook is not None  # a SELECT without FROM has one row
    next_due, due_since = outlook.optional_moment("next_due_at"), outlook.optional_moment("due_since")
    made = (_delivery(row, now) for row in rows if row.optional_text("id") is not None)
    claimed = sorted(made, key=lambda each: -each.alert.severity)
    return Look(
        claimed=tuple(claimed),
        next_due_at=None if next_due is None else next_due.timestamp(),
        due_since=None if due_since is None else due_since.timestamp(),
        superseded=rows[0].integer("superseded"),
        unrouted=outlook.boolean("unrouted"),
    )


_INTERRUPTED = """
WITH interrupted AS (
    SELECT id, alert_number, attempts, due_at AS claimed_at FROM deliveries
    WHERE state = 'in_flight' AND claim_epoch < $1
    FOR UPDATE
), noted AS (
    INSERT INTO delivery_attempts
        (delivery_id, alert_number, attempt, started_at, finished_at, outcome, detail, next_due_at)
    SELECT id, alert_number, attempts, claimed_at, $2, 'interrupted',
           'The daemon stopped before the answer was recorded; the receiver may have it.', $2
    FROM interrupted
)
UPDATE deliveries SET state = 'pending', due_at = $2, interruptions = deliveries.interruptions + 1
FROM interrupted WHERE deliveries.id = interrupted.id
RETURNING deliveries.id
"""


async def take_up_interrupted(reader: Reader, epoch: int, now: float) -> int:
    """Put what an earlier epoch claimed and never finished back into the queue, under the same id. How
    many."""
    await reader.fetch(_LOCK)
    return len(await reader.fetch(_INTERRUPTED, epoch, moment(now)))


_RECALL = """
UPDATE deliveries SET due_at = $1
WHERE state IN ('pending', 'retrying') AND due_at > $1 AND (created_at > $1 OR EXISTS (
    SELECT FROM delivery_attempts
    WHERE delivery_id = deliveries.id AND delivery_attempts.alert_number = deliveries.alert_number
      AND finished_at > $1))
RETURNING deliveries.id
"""


async def recall_from_future(reader: Reader, now: float) -> int:
    """After the wall clock was set back: what was made or tried in the future (of `now`, unix seconds) has a due
    time that means nothing, and is due now. How many. Others wait longer by less than they have waited since
    their last attempt."""
    return len(await reader.fetch(_RECALL, moment(now)))


_UNROUTED = """
SELECT id, account FROM alerts WHERE state = 'accepted'
ORDER BY accepted_at, id LIMIT $1 FOR UPDATE SKIP LOCKED
"""

_ROUTED = """
UPDATE alerts SET state = CASE WHEN addressed THEN 'routed' ELSE 'unaddressed' END
FROM unnest($1::text[], $2::boolean[]) AS given (id, addressed)
WHERE alerts.id = given.id
"""


async def route_accepted(reader: Reader, desk: Sequence[Receiver], at: float, most: int) -> int:
    """Make the deliveries of up to `most` alerts that were accepted without. How many alerts."""
    rows = await reader.fetch(_UNROUTED, most)
    if not rows:
        return 0
    alerts = [(row.text("id"), row.optional_text("account")) for row in rows]
    named = sorted({AccountId(account) for _, account in alerts if account is not None})
    known = (await load_known(reader, named, ())).accounts
    records = {account: record_of(each) for account, each in known.items()}
    receivers = {
        alert: receivers_of(desk, None if account is None else records.get(AccountId(account)))
        for alert, account in alerts
    }
    pairs = [(alert, receiver) for alert, each in receivers.items() for receiver in each]
    await reader.fetch(INSERT_DELIVERIES, *delivery_columns(pairs), moment(at), int(Severity.INFO))
    await reader.fetch(_ROUTED, [*receivers], [bool(each) for each in receivers.values()])
    return len(alerts)


def _delivery(row: Row, now: float) -> Delivery:
    account = row.optional_text("account")
    alert = Alert(
        id=row.text("alert_id"),
        type=row.text("type"),
        severity=Severity(row.integer("severity")),
        account=None if account is None else AccountId(account),
        occurred_at=row.integer("occurred_at"),
        summary=row.text("summary"),
        data=row.text("data").encode(),
    )
    receiver = Receiver(
        row.text("receiver"),
        Channel(row.text("channel")),
        row.text("target"),
        row.optional_text("secret_name"),
    )
    return Delivery(
        id=row.text("id"),
        alert=alert,
        receiver=receiver,
        destination=row.text("destination"),
        attempt=row.integer("attempts"),
        interruptions=row.integer("interruptions"),
        claimed_at=now,
    )
