"""What an attempt's outcome means, and when the next attempt is made. Pure: time and chance are arguments.

| outcome   | webhook                          | mail               | then                             |
|-----------|----------------------------------|--------------------|----------------------------------|
| DELIVERED | 2xx                              |                    | done                             |
| ACCEPTED  |                                  | 250 after DATA     | done: no human has it yet        |
| THROTTLED | 429, 502, 504                    |                    | again, not before Retry-After    |
| FAILED    | any other non-2xx, no connection | 4xx, no connection | again                            |
| AMBIGUOUS | timeout, connection lost later   | the same           | again, under the same id         |
| REJECTED  | 410                              | 5xx                | never again, and someone is told |

A redirect counts as any other non-2xx: it is never followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

from fusion_daemon.domain.alert import Severity

URGENT_CEILINGS = (2, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 43200)
"""Seconds before attempt 2, 3 … of what may not wait: seven tries within the first minutes, about a day
in all."""

ROUTINE_CEILINGS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
"""The schedule that the Standard Webhooks specification proposes."""

LONGEST_RETRY_AFTER = 6 * 3600.0
"""A receiver may ask for peace, but not make us forget a margin call."""

SHORTEST_RETRY = 0.25
"""Full jitter may draw nothing at all; a receiver that just failed gets at least this long."""


MOST_INTERRUPTIONS = 50
"""Stops of the daemon in the middle of an attempt, beyond which the next attempt is not made. Interruptions use up
no retry: they say nothing of the receiver. But a delivery that ends the daemon each time has to end too."""


class Verdict(Enum):
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    THROTTLED = "throttled"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"


class DeliveryState(Enum):
    PENDING = "pending"
    """Waits for its first attempt, or for its next after the daemon stopped in the middle of one."""
    IN_FLIGHT = "in_flight"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """Refused for good."""
    EXHAUSTED = "exhausted"
    """The schedule is used up."""
    SUPERSEDED = "superseded"
    """The receiver has a later step of the same episode: this one would now mislead."""


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    code: int | None
    """HTTP or SMTP status; None when there was no answer."""
    detail: str
    """For the ledger. Holds no secret and no URL."""
    retry_after: float | None = None
    """Seconds, as the receiver asked."""


@dataclass(frozen=True, slots=True)
class Decision:
    state: DeliveryState
    due_at: float | None
    """Unix seconds of the next attempt; None when there is none."""


GIVEN_UP = (
    Outcome(Verdict.FAILED, None, f"Not tried again: {MOST_INTERRUPTIONS} attempts ended with the daemon."),
    Decision(DeliveryState.EXHAUSTED, None),
)
"""What becomes of a delivery after MOST_INTERRUPTIONS."""


def http_outcome(status: int, retry_after: str | None, detail: str, now: float) -> Outcome:
    """Read an HTTP answer (`now`: unix seconds, against which an HTTP date is measured)."""
    wait = None if retry_after is None else parse_retry_after(retry_after, now)
    if 200 <= status < 300:
        return Outcome(Verdict.DELIVERED, status, detail)
    if status == 410:
        return Outcome(Verdict.REJECTED, status, detail)
    if status in (429, 502, 504):
        return Outcome(Verdict.THROTTLED, status, detail, wait)
    return Outcome(Verdict.FAILED, status, detail, wait)


def smtp_outcome(code: int, detail: str) -> Outcome:
    """Read an SMTP refusal or, for 2xx, the acceptance after DATA."""
    if 200 <= code < 300:
        return Outcome(Verdict.ACCEPTED, code, detail)
    return Outcome(Verdict.REJECTED if 500 <= code < 600 else Verdict.FAILED, code, detail)


def parse_retry_after(text: str, now: float) -> float | None:
    """Seconds to wait, from delta-seconds or an HTTP date (RFC 9110, 10.2.3); None when it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        wait = moment.timestamp() - now
    except (ValueError, OverflowError):  # the latter for a zone or a year beyond what a date can hold
        return None
    return min(max(0.0, wait), LONGEST_RETRY_AFTER)


def decide(outcome: Outcome, tried: int, severity: Severity, now: float, jitter: float) -> Decision:
    """What becomes of a delivery after its `tried`-th attempt (counted from 1, interrupted ones left out) ended at
    `now`.

    `jitter` is drawn from [0, 1). Full jitter: the wait is anything up to the step's ceiling, so that
    receivers that failed together are not tried together. A Retry-After is waited out in full, the jitter
    comes on top.
    """
    if outcome.verdict is Verdict.DELIVERED:
        return Decision(DeliveryState.DELIVERED, None)
    if outcome.verdict is Verdict.ACCEPTED:
        return Decision(DeliveryState.ACCEPTED, None)
    if outcome.verdict is Verdict.REJECTED:
        return Decision(DeliveryState.REJECTED, None)
    ceilings = URGENT_CEILINGS if severity is Severity.CRITICAL else ROUTINE_CEILINGS
    if tried > len(ceilings):
        return Decision(DeliveryState.EXHAUSTED, None)
    ceiling = ceilings[tried - 1]
    if outcome.retry_after is None:
        return Decision(DeliveryState.RETRYING, now + max(SHORTEST_RETRY, jitter * ceiling))
    return Decision(DeliveryState.RETRYING, now + outcome.retry_after + jitter * min(ceiling, 5.0))
