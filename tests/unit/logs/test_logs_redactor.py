"""Rule: no secret leaves through the log, whatever it hides in, and what is no secret stays readable."""

from __future__ import annotations

import json
import string
from urllib.parse import quote

from hypothesis import assume, example, given
from hypothesis import strategies as st

from fusion_daemon.logs import Redactor

SECRET = "s3cr3t-of-the-desk"
# With quotes, backslashes and non-ASCII: what repr, JSON and URLs write differently.
secrets = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "'\"\\/@:%+ é☂"), min_size=6, max_size=24
).filter(lambda text: text == text.strip() and len(set(text)) > 3)
prose = st.text(st.sampled_from(string.ascii_lowercase + " .,"), max_size=20)
plain = st.none() | st.booleans() | st.integers() | st.floats() | prose


def nested(secret: str) -> st.SearchStrategy[object]:
    leaf = plain | st.tuples(prose, prose).map(secret.join) | st.just(secret.encode())
    grown = st.recursive(
        leaf | st.just(ValueError(secret)),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(prose | st.just(secret), inner, max_size=3),
        max_leaves=12,
    )
    return grown | grown.map(lambda value: (value, secret))


def written(secret: str) -> set[str]:
    return {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe="")}


@given(st.data(), secrets)
def test_a_planted_secret_never_comes_out_of_any_nesting(data: st.DataObject, secret: str) -> None:
    assume(not any(form in "[redacted]" for form in written(secret)))
    out = json.dumps(Redactor([secret]).value(data.draw(nested(secret))), ensure_ascii=False)
    assert not [form for form in written(secret) if form in out]


@given(secrets, secrets)
def test_of_two_secrets_neither_leaves_its_rest(first: str, rest: str) -> None:
    # "desk-key" and "desk-key-2": masking the shorter one first would leave "-2" behind.
    longer = first + rest
    assert Redactor([first, longer]).text(f"<<{longer}>>") == "<<[redacted]>>"


@given(st.lists(prose, max_size=6).map(" ".join))
def test_prose_is_left_alone(text: str) -> None:
    assume("basic " not in text)
    assume("bearer " not in text)
    assert Redactor([SECRET]).text(text) == text


@given(
    st.lists(
        st.sampled_from([SECRET, "password=", "'x y'", "Bearer ", "abcdefgh", "http://u:", "p@h", " ", "whsec_", ": "])
    ).map("".join)
)
@example("http://u:password='x y'p@h")
def test_masking_twice_is_masking_once(text: str) -> None:
    # Foreign records pass the redactor twice.
    redactor = Redactor([SECRET])
    assert redactor.text(redactor.text(text)) == redactor.text(text)


password = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "!$%()*+,-.;=~@:"), min_size=1, max_size=20
).map(lambda text: f"Zq{text}")


@given(password)
def test_the_password_of_a_dsn_is_masked_though_nobody_registered_it(word: str) -> None:
    masked = Redactor().text(f"could not reach postgresql://fusion:{word}@db.internal:5432/fusion today")
    assert masked == "could not reach postgresql://fusion:[redacted]@db.internal:5432/fusion today"


def test_a_dsn_without_a_password_stays_readable() -> None:
    dsn = "postgresql://fusion_prime@/fusion_prime?host=/run/fusion-prime"
    assert Redactor().text(dsn) == dsn


def test_a_url_with_a_port_and_no_userinfo_stays_readable() -> None:
    url = "http://127.0.0.1:8545/path?mail=desk@example.org"
    assert Redactor().text(url) == url


def test_a_token_as_userinfo_of_a_web_address_is_masked() -> None:
    assert Redactor().text("GET https://0123abcd@rpc.example/v1") == "GET https://[redacted]@rpc.example/v1"


def test_authorization_headers_are_masked_in_every_notation() -> None:
    redactor = Redactor()
    for text in (
        "Authorization: Bearer abc.def-ghi_123=",
        "{'Authorization': 'Bearer abc.def-ghi_123='}",
        '{"authorization": "Basic abc.def-ghi_123="}',
        "('proxy said', 'bearer abc.def-ghi_123=')",
        "X-Api-Key: abc.def-ghi_123=",
    ):
        assert "abc.def" not in redactor.text(text), text


def test_named_passwords_are_masked_in_every_notation() -> None:
    redactor = Redactor()
    for text in (
        "connect(host='db', password='hunter 2x')",
        'connect(password = "hunter 2x", timeout=5)',
        "{'password': 'hunter 2x', 'user': 'fusion'}",
        "smtp_password=hunter",
        "?api_key=hunter&chain=1",
        "private_key=hunter",
    ):
        assert "hunter" not in redactor.text(text), text
    assert redactor.text("?api_key=hunter&chain=1") == "?api_key=[redacted]&chain=1"


def test_a_key_that_names_a_password_hides_its_value() -> None:
    event = {"event": "smtp", "smtp_password": "x", "headers": {"Authorization": "y"}, "password": None, "port": 25}
    assert Redactor().value(event) == {
        "event": "smtp",
        "smtp_password": "[redacted]",
        "headers": {"Authorization": "[redacted]"},
        "password": None,
        "port": 25,
    }


def test_a_finding_about_a_key_named_password_stays_readable() -> None:
    text = "  database.password: unknown key"
    assert Redactor().text(text) == text


def test_a_signing_key_is_known_by_its_shape() -> None:
    assert Redactor().text("key whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw==!") == "key [redacted]!"


def test_short_words_are_not_taken_for_secrets() -> None:
    assert Redactor(["", "dev"]).text("the developer devises") == "the developer devises"


def test_numbers_that_json_does_not_have_become_text() -> None:
    out = json.dumps(Redactor().value([float("inf"), float("nan"), 1.5, 10**30]), allow_nan=False)
    assert out == '["inf", "nan", 1.5, 1000000000000000000000000000000]'
