"""Rule: docs/webhooks.md says what a receiver gets: its example is what the daemon sends, its code verifies that, its
tables hold the types, fields and waits that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from fusion_daemon.alerting.outcomes import CHANNEL_BROKEN
from fusion_daemon.alerting.rendering import margin_alert, webhook_body
from fusion_daemon.alerting.retry import LONGEST_RETRY_AFTER, ROUTINE_CEILINGS, URGENT_CEILINGS
from fusion_daemon.alerting.routing import delivery_id
from fusion_daemon.alerting.settings import AlertingSettings, Receiver
from fusion_daemon.alerting.signature import TOLERANCE, signature_headers
from fusion_daemon.crosschain.alarms import ALARMING_FLAGS
from fusion_daemon.crosschain.standing import ALARMING
from fusion_daemon.domain.account import AccountRecord, Channel
from fusion_daemon.domain.alert import Severity
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.margin import Cause, ChainInput, MarginKind, MarginState
from tests.unit.alerting.margin_events import margin_event

PAGE = (Path(__file__).resolve().parents[3] / "docs/webhooks.md").read_text()
RECEIVER = Receiver("desk", Channel.WEBHOOK, "https://alerts.desk.example/fusion-prime", "desk-webhook-key")
SENT_AT = 1_700_000_001
UNITS = {"s": 1, "min": 60, "h": 3600}


def shown(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def secret() -> str:
    (key,) = re.findall(r"`(whsec_\S{20,})`", PAGE)
    return str(key)


def sent() -> tuple[dict[str, str], bytes]:
    event = margin_event("acme-1")
    heights = (ChainInput(ChainId(1), 4211, 21_004_210), ChainInput(ChainId(8453), 3977, 22_003_976))
    event = replace(event, inputs=replace(event.inputs, chains=heights))
    record = AccountRecord(AccountId("acme-1"), "ACME Ltd", "Treasury", (), ())
    alert = margin_alert(event, record, Severity.CRITICAL)
    body = webhook_body(alert)
    return signature_headers(secret(), delivery_id(alert.id, RECEIVER), SENT_AT, body), body


def test_the_example_is_what_the_daemon_sends() -> None:
    headers, body = sent()
    lines = ["POST /fusion-prime HTTP/1.1", "Host: alerts.desk.example", "User-Agent: fusion-daemon"]
    lines += ["Content-Type: application/json", *(f"{name}: {value}" for name, value in headers.items())]
    assert shown("http") == "\n".join([*lines, "", body.decode(), ""])


def test_the_code_of_the_page_verifies_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, object] = {}
    exec(shown("python"), scope)
    genuine = cast("Callable[[str, dict[str, str], bytes], bool]", scope["genuine"])
    headers, body = sent()
    monkeypatch.setattr("time.time", lambda: SENT_AT + TOLERANCE)
    assert genuine(secret(), headers, body)
    assert not genuine(secret(), headers, body.replace(b"MARGIN_CALL", b"HEALTHY"))
    assert not genuine("whsec_" + "A" * 43 + "=", headers, body)
    monkeypatch.setattr("time.time", lambda: SENT_AT + TOLERANCE + 1)
    assert not genuine(secret(), headers, body)


def test_every_type_field_state_and_cause_is_told() -> None:
    types = re.findall(r"^\| `((?:margin|alerting)\.[a-z_]+)` \|", PAGE, re.MULTILINE)
    assert types == [*(f"margin.{kind.value}" for kind in MarginKind), CHANNEL_BROKEN]
    data = json.loads(sent()[1])["data"]
    cure = data.pop("cure")
    table = PAGE[PAGE.index("| field of `data` |") : PAGE.index("Of an alert about a message:")]
    for field in (*data, *(f"cure.{each}" for each in cure)):
        assert f"`{field}`" in table, field
    assert all(state.name in table for state in MarginState)
    assert all(f"`{cause.value}`" in table for cause in Cause)


def test_the_waits_are_those_of_the_schedule() -> None:
    for name, ceilings in (("critical", URGENT_CEILINGS), ("warning", ROUTINE_CEILINGS)):
        (told,) = re.findall(rf"^\* {name}: (.*)$", PAGE, re.MULTILINE)
        waits = [each.split() for each in told.split(", ")]
        assert tuple(int(number) * UNITS[unit] for number, unit in waits) == ceilings
    assert f"up to {LONGEST_RETRY_AFTER / 3600:.0f} h" in PAGE
    assert f"within {AlertingSettings(()).timeout:.0f} s" in PAGE


def test_every_type_of_an_alert_about_a_message_is_on_the_page() -> None:
    types = set(re.findall(r"`message\.(\w+)`", PAGE))
    assert types == {each.value for each in (*ALARMING, *ALARMING_FLAGS)} | {"resolved"}
