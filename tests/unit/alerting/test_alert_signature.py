"""Rule: nobody but who shares the secret can make us believe a message, and every peer believes ours."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from fusion_daemon.alerting.signature import (
    SecretInvalid,
    SignatureInvalid,
    parse_secret,
    signature_headers,
    verify,
)

keys = st.binary(min_size=24, max_size=64)
ids = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-", min_size=1, max_size=64)
bodies = st.dictionaries(st.text(), st.text() | st.integers() | st.none()).map(
    lambda value: json.dumps(value).encode()
)
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()
NOW = 1_700_000_000


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@given(keys, ids, bodies)
def test_what_we_sign_the_reference_library_accepts(key: bytes, message_id: str, body: bytes) -> None:
    headers = signature_headers(secret_of(key), message_id, int(time.time()), body)
    Webhook(secret_of(key)).verify(body, headers)


@given(keys, ids, bodies)
def test_what_the_reference_library_signs_we_accept(key: bytes, message_id: str, body: bytes) -> None:
    signature = Webhook(secret_of(key)).sign(message_id, datetime.fromtimestamp(NOW, UTC), body.decode())
    headers = {"Webhook-Id": message_id, "Webhook-Timestamp": str(NOW), "Webhook-Signature": signature}
    verify([secret_of(key)], headers, body, now=NOW)


@given(keys, ids, st.binary(min_size=1), st.data())
def test_one_changed_bit_is_refused(key: bytes, message_id: str, body: bytes, data: st.DataObject) -> None:
    headers = signature_headers(secret_of(key), message_id, NOW, body)
    bit = data.draw(st.integers(0, 8 * len(body) - 1))
    altered = bytearray(body)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureInvalid):
        verify([secret_of(key)], headers, bytes(altered), now=NOW)


def test_a_signature_covers_the_id_and_the_time() -> None:
    headers = signature_headers(OLD, "msg_1", NOW, b"{}")
    for name, value in (("webhook-id", "msg_2"), ("webhook-timestamp", str(NOW + 1))):
        with pytest.raises(SignatureInvalid):
            verify([OLD], {**headers, name: value}, b"{}", now=NOW)


@pytest.mark.parametrize("skew", [-300, 0, 300])
def test_clocks_may_differ_by_five_minutes(skew: int) -> None:
    verify([OLD], signature_headers(OLD, "msg_1", NOW, b"{}"), b"{}", now=NOW + skew)


@pytest.mark.parametrize("skew", [-301, 301])
def test_a_replay_after_five_minutes_is_refused(skew: int) -> None:
    with pytest.raises(SignatureInvalid, match="too old or too new"):
        verify([OLD], signature_headers(OLD, "msg_1", NOW, b"{}"), b"{}", now=NOW + skew)


def test_while_a_secret_is_rotated_both_sides_may_hold_either() -> None:
    both = signature_headers(f"{NEW} {OLD}", "msg_1", NOW, b"{}")
    assert len(both["webhook-signature"].split(" ")) == 2
    verify([OLD], both, b"{}", now=NOW)
    verify([NEW], both, b"{}", now=NOW)
    verify([OLD, NEW], signature_headers(NEW, "msg_1", NOW, b"{}"), b"{}", now=NOW)


def test_versions_that_we_do_not_know_are_skipped() -> None:
    headers = signature_headers(OLD, "msg_1", NOW, b"{}")
    genuine = headers["webhook-signature"]
    verify([OLD], {**headers, "webhook-signature": f"v1a,AAAA v9,BBBB {genuine}"}, b"{}", now=NOW)
    with pytest.raises(SignatureInvalid):
        verify([OLD], {**headers, "webhook-signature": genuine.replace("v1,", "v1a,")}, b"{}", now=NOW)


@given(st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text()))
def test_whatever_the_headers_hold_only_our_own_error_is_raised(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        verify([OLD], headers, b"{}", now=NOW)


@given(st.text())
def test_a_malformed_signature_is_refused_not_fatal(signature: str) -> None:
    headers = {**signature_headers(OLD, "msg_1", NOW, b"{}"), "webhook-signature": f"v1,{signature}"}
    with pytest.raises(SignatureInvalid):
        verify([OLD], headers, b"{}", now=NOW)


@pytest.mark.parametrize("message_id", ["", "a.b", "a b", "a\nb", "ü"])
def test_an_id_that_could_be_read_two_ways_is_never_signed(message_id: str) -> None:
    with pytest.raises(ValueError, match="not a webhook id"):
        signature_headers(OLD, message_id, NOW, b"{}")


@given(keys)
def test_unpadded_secrets_are_accepted(key: bytes) -> None:
    assert parse_secret(secret_of(key)) == parse_secret(secret_of(key).rstrip("=")) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        base64.b64encode(b"x" * 32).decode(),  # without its prefix
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_!!!!" + "A" * 40,
        "whsec_ü" + "A" * 40,
    ],
)
def test_a_bad_secret_is_named_without_being_shown(text: str) -> None:
    with pytest.raises(SecretInvalid) as raised:
        parse_secret(text)
    shown = text.removeprefix("whsec_")
    assert not shown or shown not in str(raised.value)


def test_no_secret_at_all_cannot_sign() -> None:
    with pytest.raises(SecretInvalid):
        signature_headers(" ", "msg_1", NOW, b"{}")
