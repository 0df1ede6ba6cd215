"""Rule: an alert says exactly what was decided: to machines in exact decimals, to people in words."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fusion_daemon.accounts.contact_rules import is_mail_address
from fusion_daemon.alerting.clients.mail import MailRequest, compose
from fusion_daemon.alerting.rendering import (
    LARGEST_BODY,
    mail,
    margin_alert,
    webhook_body,
)
from fusion_daemon.domain.account import AccountRecord
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.margin import ChainInput, MarginKind, MarginState
from tests.unit.alerting.margin_events import USD, WAD, margin_event

ACME = AccountRecord(AccountId("acct-1"), "ACME Ltd", "Treasury", (), ())


def test_the_body_of_a_margin_call() -> None:
    body = json.loads(webhook_body(margin_alert(margin_event(), ACME, Severity.CRITICAL)))
    assert (body["type"], body["timestamp"]) == ("margin.opened", "2023-11-14T22:13:20Z")
    data = body["data"]
    assert (data["account"], data["episode"], data["step"]) == ("acct-1", 1, 1)
    assert (data["before"], data["after"], data["cause"]) == ("HEALTHY", "MARGIN_CALL", "price")
    assert (data["health_factor"], data["score_percent"]) == ("1.1", "25")
    assert (data["collateral_usd"], data["debt_usd"]) == ("15000", "12000")
    assert data["cure"] == {"repay_usd": "3200", "deposit_usd": "5454.54545455"}
    assert data["inputs"]["price_seq"] == 7
    assert data["summary"] == (
        "Treasury (acct-1) is in a margin call; health factor 1.1; cured by repaying 3200 USD or "
        "depositing 5454.54545455 USD."
    )


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (12_345_678_901 * WAD + WAD // 2, "12345678901.5"),
        (WAD - 1, "0.999999"),
        (WAD + 1, "1"),
        (11 * WAD // 10, "1.1"),
    ],
)
def test_a_health_factor_is_shortened_behind_its_point_alone_and_never_up(health: int, said: str) -> None:
    figures = replace(margin_event().figures, health_factor=health, cure_repay_usd=0)
    event = replace(margin_event(), figures=figures, confirmed=False, health_low=health, health_high=None)
    summary = margin_alert(event, None, Severity.WARNING).summary
    assert f"; health factor {said}, unconfirmed: between {said} and unknown." in summary


def test_doubt_is_said_not_hidden() -> None:
    event = replace(margin_event(), confirmed=False, health_low=WAD, health_high=12 * WAD // 10, past=True)
    alert = margin_alert(event, None, Severity.CRITICAL)
    assert "unconfirmed: between 1 and 1.2" in alert.summary
    assert alert.summary.endswith("; found while catching up: it happened at 2023-11-14T22:13:20Z.")
    data = json.loads(alert.data)
    assert (data["confirmed"], data["health_low"], data["health_high"]) == (False, "1", "1.2")


def test_a_correction_names_what_it_takes_back() -> None:
    event = margin_event(
        step=2, kind=MarginKind.CORRECTED, before=MarginState.MARGIN_CALL, after=MarginState.HEALTHY
    )
    summary = margin_alert(event, None, Severity.CRITICAL).summary
    assert "withdrew the cause; acct-1 is healthy, not in a margin call" in summary


def test_without_debt_there_is_no_health_factor() -> None:
    event = margin_event(kind=MarginKind.RESOLVED, before=MarginState.WARNING, after=MarginState.HEALTHY)
    figures = replace(
        event.figures, health_factor=None, score_bps=None, debt_usd=0, cure_repay_usd=0, cure_deposit_usd=0
    )
    alert = margin_alert(replace(event, figures=figures), None, Severity.CRITICAL)
    assert json.loads(alert.data)["health_factor"] is None
    assert alert.summary == "acct-1 is healthy again; it was in a margin warning."


@given(st.text(), st.integers(1, 10**9), st.integers(1, 10**9))
def test_ids_are_stable_without_dots_and_follow_from_the_identity(
    account: str, episode: int, step: int
) -> None:
    event = margin_event(account, episode, step)
    alert = margin_alert(event, None, Severity.CRITICAL)
    assert re.fullmatch(rf"mrg_[0-9a-f]{{16}}_{episode}_{step}", alert.id)
    later = replace(event, kind=MarginKind.WORSENED, figures=replace(event.figures, debt_usd=9 * USD))
    assert margin_alert(later, ACME, Severity.WARNING).id == alert.id
    assert margin_alert(margin_event(account + "x", episode, step), None, Severity.CRITICAL).id != alert.id


@given(st.integers(0, 3000), st.text(max_size=3000))
def test_a_body_stays_under_the_limit_whatever_the_alert_holds(chains: int, name: str) -> None:
    event = margin_event()
    many = tuple(ChainInput(ChainId(each), 10**12, 10**9) for each in range(1, chains + 1))
    event = replace(event, inputs=replace(event.inputs, chains=many))
    alert = margin_alert(event, replace(ACME, name=name, customer=name), Severity.CRITICAL)
    body = webhook_body(alert)
    assert len(body) < LARGEST_BODY
    assert json.loads(body)["data"]["alert"] == alert.id
    assert body == webhook_body(alert)


@given(st.text(min_size=1, max_size=400))
def test_a_mail_is_ascii_on_the_wire_and_its_subject_one_line(summary: str) -> None:
    alert = Alert("chn_1", "chain.stalled", Severity.WARNING, None, 1_700_000_000, summary, b'{"chain":1}')
    request = MailRequest("msg_1", "desk@example.com", mail(alert), 1_700_000_000.0)
    raw = compose(request, "Fusion Prime <alerts@example.com>")
    assert raw.isascii()
    message = message_from_bytes(raw, policy=default)
    assert message["Subject"].startswith("[WARNING]")
    assert message["Message-ID"] == "<msg_1@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "References", "Auto-Submitted", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip


@given(st.from_regex(r"[!#-'*+./0-:=?A-Z^-~-]{1,64}@[a-z0-9.-]{1,20}", fullmatch=True))
@example(".a:b@x.com")
@example("=?utf-8?b?_?=@x.com")
@example("a..b@x.com")
@example("!#$%&'*+/?=^_`{|}~-@x.com")
def test_every_address_that_passes_for_one_can_be_written_to(target: str) -> None:
    assume(is_mail_address(target))
    alert = Alert("chn_1", "chain.stalled", Severity.WARNING, None, 1_700_000_000, "Stalled.", b"{}")
    raw = compose(MailRequest("msg_1", target, mail(alert), 1_700_000_000.0), f"Fusion Prime <{target}>")
    message = message_from_bytes(raw, policy=default)
    for header in ("To", "From"):
        assert [each.addr_spec for each in message[header].addresses] == [target]


def test_the_mails_of_an_episode_are_one_thread() -> None:
    first = mail(margin_alert(margin_event(step=1), ACME, Severity.CRITICAL))
    second = mail(margin_alert(margin_event(step=2), ACME, Severity.CRITICAL))
    another = mail(margin_alert(margin_event(episode=2), ACME, Severity.CRITICAL))
    assert first.thread == second.thread != another.thread
    assert "health_factor: 1.1" in first.text
    assert "cure.repay_usd: 3200" in first.text
