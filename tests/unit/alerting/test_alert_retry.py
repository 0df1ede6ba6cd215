"""Rule: what an answer means, and that every delivery either arrives or ends where someone is told."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.alerting.retry import (
    LONGEST_RETRY_AFTER,
    ROUTINE_CEILINGS,
    SHORTEST_RETRY,
    URGENT_CEILINGS,
    DeliveryState,
    Outcome,
    Verdict,
    decide,
    http_outcome,
    parse_retry_after,
    smtp_outcome,
)
from fusion_daemon.domain.alert import Severity

NOW = 1_700_000_000.0
jitters = st.floats(0, 1, exclude_max=True)
severities = st.sampled_from(Severity)
again = st.sampled_from([Verdict.THROTTLED, Verdict.FAILED, Verdict.AMBIGUOUS])


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (202, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.FAILED),
        (302, Verdict.FAILED),
        (308, Verdict.FAILED),
        (400, Verdict.FAILED),
        (401, Verdict.FAILED),
        (404, Verdict.FAILED),
        (410, Verdict.REJECTED),
        (429, Verdict.THROTTLED),
        (500, Verdict.FAILED),
        (502, Verdict.THROTTLED),
        (503, Verdict.FAILED),
        (504, Verdict.THROTTLED),
    ],
)
def test_http_answers(status: int, verdict: Verdict) -> None:
    assert http_outcome(status, None, "", NOW).verdict is verdict


@given(st.integers(100, 599))
def test_only_2xx_is_success(status: int) -> None:
    assert (http_outcome(status, None, "", NOW).verdict is Verdict.DELIVERED) == (200 <= status < 300)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(250, Verdict.ACCEPTED), (421, Verdict.FAILED), (451, Verdict.FAILED), (550, Verdict.REJECTED)],
)
def test_smtp_answers_a_relays_yes_is_not_yet_delivery(code: int, verdict: Verdict) -> None:
    assert smtp_outcome(code, "").verdict is verdict


@given(again, st.integers(1, 100), severities, jitters)
def test_a_retry_waits_between_the_least_and_its_ceiling(
    verdict: Verdict, attempt: int, severity: Severity, jitter: float
) -> None:
    ceilings = URGENT_CEILINGS if severity is Severity.CRITICAL else ROUTINE_CEILINGS
    decision = decide(Outcome(verdict, None, ""), attempt, severity, NOW, jitter)
    if attempt > len(ceilings):
        assert (decision.state, decision.due_at) == (DeliveryState.EXHAUSTED, None)
    else:
        assert decision.state is DeliveryState.RETRYING
        assert decision.due_at is not None
        assert NOW + SHORTEST_RETRY <= decision.due_at <= NOW + ceilings[attempt - 1]


@given(again, st.integers(1, 9), severities, jitters, st.floats(0, LONGEST_RETRY_AFTER))
def test_never_before_what_the_receiver_asked_for(
    verdict: Verdict, attempt: int, severity: Severity, jitter: float, wait: float
) -> None:
    decision = decide(Outcome(verdict, 429, "", wait), attempt, severity, NOW, jitter)
    assert decision.due_at is not None
    assert NOW + wait <= decision.due_at <= NOW + wait + 5


def test_a_margin_call_is_tried_seven_times_within_four_minutes() -> None:
    assert sum(URGENT_CEILINGS[:6]) < 240


def test_both_schedules_end_within_four_days() -> None:
    assert max(sum(URGENT_CEILINGS), sum(ROUTINE_CEILINGS)) < 4 * 86_400


@given(severities, jitters, st.integers(1, 100))
def test_success_and_refusal_end_it(severity: Severity, jitter: float, attempt: int) -> None:
    ends = {
        Verdict.DELIVERED: DeliveryState.DELIVERED,
        Verdict.ACCEPTED: DeliveryState.ACCEPTED,
        Verdict.REJECTED: DeliveryState.REJECTED,
    }
    for verdict, state in ends.items():
        decision = decide(Outcome(verdict, None, ""), attempt, severity, NOW, jitter)
        assert (decision.state, decision.due_at) == (state, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),  # a date that has passed
        ("999999999999", LONGEST_RETRY_AFTER),
        (formatdate(NOW + 10**9, usegmt=True), LONGEST_RETRY_AFTER),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("", None),
        ("²", None),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
        ("Mon, 01 Jan 2024 00:00:00 +9999", None),
        ("Mon, 31 Dec 9999 23:59:59 -2359", LONGEST_RETRY_AFTER),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2024 99999999999999999999:00:00 GMT", None),
        ("Mon, 01 Jan 2024 . GMT", None),
        ("Mon,", None),
        (",", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


@given(
    st.text(max_size=60)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,9} \d\d:\d\d:\d\d .{0,9}")
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,2} Jan \d{1,4} \d\d:\d\d:\d\d [+-]\d{1,30}", fullmatch=True)
)
def test_a_strange_retry_after_is_never_fatal(text: str) -> None:
    wait = parse_retry_after(text, NOW)
    assert wait is None or 0 <= wait <= LONGEST_RETRY_AFTER
