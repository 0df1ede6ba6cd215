"""Rule: a receiver that hangs or throttles costs itself, not the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.alerting.delivery import Attempt, Delivery
from fusion_daemon.alerting.lanes import Lanes
from fusion_daemon.alerting.retry import Decision, DeliveryState, Outcome, Verdict
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.account import Channel
from fusion_daemon.domain.alert import Alert, Severity

NOW = 1_700_000_000.0
MOST = 8


def delivery(destination: str = "a", severity: Severity = Severity.CRITICAL) -> Delivery:
    alert = Alert("alert", "test", severity, None, 0, "", b"{}")
    return Delivery("msg", alert, Receiver("r", Channel.WEBHOOK, "", None), destination, 1, 0, NOW)


def ended(of: Delivery, verdict: Verdict, retry_after: float | None = None) -> Attempt:
    """Tried again in an hour, whatever the receiver asked for."""
    outcome = Outcome(verdict, None, "", retry_after)
    return Attempt(of, outcome, Decision(DeliveryState.RETRYING, NOW + 3600), NOW, 0.1)


def free(lanes: Lanes, destination: str, severity: Severity, now: float = NOW) -> int:
    """As the claim sees it: the limit, or else `per_destination`."""
    limits = {(each.destination, each.severity): each.free for each in lanes.limits(now)}
    return limits.get((destination, severity), MOST)


def test_a_flood_of_warnings_leaves_the_critical_lane_open() -> None:
    lanes = Lanes(MOST)
    for _ in range(MOST):
        lanes.begin(delivery(severity=Severity.WARNING))
    assert free(lanes, "a", Severity.WARNING) == 0
    assert free(lanes, "a", Severity.CRITICAL) == MOST


def test_one_that_hangs_is_soon_down_to_one_attempt_at_a_time() -> None:
    lanes = Lanes(MOST)
    for _ in range(3):
        lanes.begin(delivery())
        lanes.end(ended(delivery(), Verdict.AMBIGUOUS))
    assert free(lanes, "a", Severity.CRITICAL) == 1
    assert free(lanes, "b", Severity.CRITICAL) == MOST


def test_success_opens_the_window_again() -> None:
    lanes = Lanes(MOST)
    for verdict in (*[Verdict.FAILED] * 5, *[Verdict.DELIVERED] * 3):
        lanes.begin(delivery())
        lanes.end(ended(delivery(), verdict))
    assert free(lanes, "a", Severity.CRITICAL) == MOST
    assert lanes.limits(NOW) == []


def test_nothing_goes_to_who_throttles_before_the_time_named() -> None:
    lanes = Lanes(MOST)
    lanes.begin(delivery())
    lanes.end(ended(delivery(), Verdict.THROTTLED, 60))
    assert lanes.resumes_at(NOW) == NOW + 60
    assert all(free(lanes, "a", each, NOW + 59.9) == 0 for each in Severity)
    assert free(lanes, "a", Severity.CRITICAL, NOW + 60) == MOST // 2
    assert lanes.resumes_at(NOW + 60) is None


@pytest.mark.parametrize("verdict", [Verdict.THROTTLED, Verdict.FAILED, Verdict.AMBIGUOUS])
def test_one_that_names_no_time_is_muted_for_none(verdict: Verdict) -> None:
    """A proxy's 502 for a warning that is due again in an hour; a margin call goes out at once."""
    lanes = Lanes(MOST)
    lanes.begin(delivery(severity=Severity.WARNING))
    lanes.end(ended(delivery(severity=Severity.WARNING), verdict))
    assert lanes.resumes_at(NOW) is None
    assert free(lanes, "a", Severity.CRITICAL) == MOST // 2


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(Severity), st.sampled_from(Verdict))))
def test_no_lane_ever_holds_more_than_its_slots(steps: list[tuple[str, Severity, Verdict]]) -> None:
    lanes = Lanes(MOST)
    flying: list[Delivery] = []
    for destination, severity, verdict in steps:
        for _ in range(free(lanes, destination, severity)):
            flying.append(delivery(destination, severity))
            lanes.begin(flying[-1])
        assert free(lanes, destination, severity) == 0
        in_lane = [
            each for each in flying if (each.destination, each.alert.severity) == (destination, severity)
        ]
        assert len(in_lane) <= MOST
        assert lanes.in_flight == len(flying)
        flying.remove(in_lane[0])
        lanes.end(ended(in_lane[0], verdict))
        assert 0 <= free(lanes, destination, severity) <= MOST
    for each in flying:
        lanes.end(ended(each, Verdict.DELIVERED))
    assert lanes.in_flight == 0
