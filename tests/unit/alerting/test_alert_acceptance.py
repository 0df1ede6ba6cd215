"""Rule: accepting is a function of the event alone, so doing it twice adds nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.alerting.acceptance import INSERT_ALERTS, INSERT_DELIVERIES, accept, accept_margin_events
from fusion_daemon.alerting.routing import MAIL_RELAY, delivery_id, destination, receivers_of
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.account import AccountRecord, Channel, Contact
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import MarginKind, MarginState
from fusion_daemon.store.writes import Execute, Write
from tests.unit.alerting.margin_events import margin_event

DESK = Receiver("desk", Channel.WEBHOOK, "https://desk.example/hook", "desk-secret")
MAIL = Receiver("ops", Channel.EMAIL, "ops@example.com", None)
ACCOUNT = AccountId("acct-1")
CONTACT = Contact(ACCOUNT, Channel.WEBHOOK, "https://acme.example/hook", "acme-secret")
RECORD = AccountRecord(ACCOUNT, "ACME", "Treasury", (), (CONTACT,))
NOW = 1_700_000_000.0


def executed(write: Write, sql: str) -> Execute:
    assert isinstance(write, Execute)
    assert write.sql is sql
    return write


def test_the_desk_hears_everything_and_a_contact_what_is_its_own() -> None:
    assert receivers_of([DESK], None) == (DESK,)
    assert [each.name for each in receivers_of([DESK], RECORD)] == ["desk", "account:acct-1"]


def test_one_who_is_both_is_told_once() -> None:
    same = Receiver("desk", Channel.WEBHOOK, CONTACT.target, "desk-secret")
    assert receivers_of([same], RECORD) == (same,)


@given(st.text(), st.text(), st.sampled_from(Channel))
def test_a_delivery_id_follows_from_alert_and_target(alert: str, target: str, channel: Channel) -> None:
    one = delivery_id(alert, Receiver("a", channel, target, "x"))
    assert one == delivery_id(alert, Receiver("b", channel, target, None))
    assert one != delivery_id(alert + "1", Receiver("a", channel, target, "x"))
    assert one != delivery_id(alert, Receiver("a", channel, target + "1", "x"))
    assert "." not in one
    assert len(one) == 36


def test_a_destination_shows_no_target_and_all_mail_is_one() -> None:
    assert "example" not in destination(DESK)
    assert destination(MAIL) == MAIL_RELAY


def test_a_margin_call_brings_its_deliveries() -> None:
    alerts, deliveries = accept_margin_events([margin_event()], {ACCOUNT: RECORD}, [DESK], NOW)
    assert executed(alerts, INSERT_ALERTS).args[2] == [int(Severity.CRITICAL)]
    assert executed(deliveries, INSERT_DELIVERIES).args[2] == ["desk", "account:acct-1"]


def test_a_first_warning_is_only_accepted() -> None:
    [alerts] = accept_margin_events([margin_event(after=MarginState.WARNING)], {}, [DESK], NOW)
    assert executed(alerts, INSERT_ALERTS).args[2] == [int(Severity.WARNING)]


def test_after_a_margin_call_the_rest_of_the_batch_is_critical_too() -> None:
    healthy, warning, call = MarginState.HEALTHY, MarginState.WARNING, MarginState.MARGIN_CALL
    events = [
        margin_event(step=1, after=warning),
        margin_event(step=2, kind=MarginKind.WORSENED, before=warning, after=call),
        margin_event(step=3, kind=MarginKind.IMPROVED, before=call, after=warning),
        margin_event(step=4, kind=MarginKind.RESOLVED, before=warning, after=healthy),
        margin_event(episode=2, step=1, after=warning),
        margin_event(account="acct-2", step=1, after=warning),
    ]
    writes = accept_margin_events(events, {}, [DESK], NOW)
    warn, critical = int(Severity.WARNING), int(Severity.CRITICAL)
    assert executed(writes[0], INSERT_ALERTS).args[2] == [warn, critical, critical, critical, warn, warn]


def test_no_events_no_writes() -> None:
    assert accept_margin_events([], {}, [DESK], NOW) == ()


def test_a_foreign_text_with_nul_can_be_stored() -> None:
    alert = Alert("a", "chain.stalled", Severity.CRITICAL, None, 0, "node said \0", b'{"said":"\\u0000"}')
    [alerts] = accept(alert, None, [], NOW)
    assert executed(alerts, INSERT_ALERTS).args[7] == ["node said "]
