"""The server's pure parts: routing, guarding, principals, problems and pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.failure import Failure
from fusion_daemon.http import (
    Page,
    Principal,
    Problem,
    Reply,
    Request,
    Role,
    Route,
    body_as,
    page_of,
    page_reply,
)
from fusion_daemon.http.guard import Guard, loopback_hosts, require
from fusion_daemon.http.pages import cursor_of
from fusion_daemon.http.principals import Principals, PrincipalsInvalid, TokenInvalid, hash_token
from fusion_daemon.http.problem import code_of, problem_of
from fusion_daemon.http.router import Router
from fusion_daemon.http.settings import PrincipalSettings

TOKEN = "t" * 32


async def nothing(request: Request) -> Reply:
    return Reply(204)


def route(method: str, path: str) -> Route:
    return Route(method, path, nothing, "Nothing.")


def request(query: Mapping[str, str] | None = None, body: bytes = b"") -> Request:
    return Request("GET", {}, query or {}, {}, body, None, "req-1")


# Routing


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_any_text_reaches_a_placeholder_as_it_was_and_never_another_route(text: str) -> None:
    router = Router([route("GET", "/v1/accounts/{id}"), route("GET", "/v1/accounts/{id}/margin")])
    match = router.match("GET", "/v1/accounts/" + quote(text, safe=""))
    assert match.route.path == "/v1/accounts/{id}"
    assert match.path == {"id": text}


def test_a_literal_segment_wins_over_a_placeholder() -> None:
    router = Router([route("GET", "/a/{x}"), route("GET", "/a/b"), route("GET", "/{y}/b")])
    assert router.match("GET", "/a/b").route.path == "/a/b"
    assert router.match("GET", "/a/c").route.path == "/a/{x}"
    assert router.match("GET", "/z/b").path == {"y": "z"}


def test_two_routes_for_one_request_are_refused_when_the_table_is_made() -> None:
    with pytest.raises(ValueError, match="two routes"):
        Router([route("GET", "/a/{x}"), route("GET", "/a/{y}")])


@pytest.mark.parametrize("path", ["", "/", "/a", "/a/b/", "/a/b/c", "a/b/c", "/a/%00"])
def test_what_no_route_answers_is_not_found(path: str) -> None:
    with pytest.raises(Problem) as caught:
        Router([route("GET", "/a/{x}")]).match("POST" if path == "" else "GET", path)
    assert caught.value.status == 404


# Guarding


def guard(port: int = 8780) -> Guard:
    principals = Principals(
        [
            PrincipalSettings("alice", Role.OPERATOR, token_hash=hash_token(TOKEN)),
            PrincipalSettings("ops", Role.VIEWER, uid=1000),
        ],
        own_uid=997,
    )
    return Guard(principals, loopback_hosts(port))


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8780", True),
        ("LOCALHOST:8780", True),
        ("[::1]:8780", True),
        ("localhost", False),
        ("localhost.:8780", False),
        ("127.0.0.1:8780.evil.example", False),
        ("127.0.0.2:8780", False),
    ],
)
def test_only_loopback_names_with_our_port_are_hosts(host: str, allowed: bool) -> None:
    if allowed:
        guard().check_host({"Host": host})
    else:
        with pytest.raises(Problem):
            guard().check_host({"Host": host})


def test_on_port_80_a_host_without_port_is_ours() -> None:
    guard(80).check_host({"Host": "localhost"})


def test_who_asks() -> None:
    alice = Principal("alice", Role.OPERATOR)
    assert guard().identify({}, None) is None
    assert guard().identify({"Authorization": f"bearer {TOKEN}"}, None) == alice
    assert guard().identify({}, 0) == Principal("uid:0", Role.ADMIN)
    assert guard().identify({}, 997) == Principal("uid:997", Role.ADMIN)
    assert guard().identify({}, 1000) == Principal("ops", Role.VIEWER)
    assert guard().identify({}, 1001) is None
    assert guard().identify({"Authorization": f"Bearer {TOKEN}"}, 1000) == alice


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Bearer {TOKEN[:-1]}"]
)
def test_a_header_that_proves_nothing_is_401_even_for_a_known_peer(header: str) -> None:
    with pytest.raises(Problem) as caught:
        guard().identify({"Authorization": header}, 0)
    assert caught.value.status == 401


def test_a_greater_role_may_what_a_smaller_one_may() -> None:
    for role in Role:
        for needed in Role:
            if role >= needed:
                require(needed, Principal("p", role))
            else:
                with pytest.raises(Problem, match="403"):
                    require(needed, Principal("p", role))


# Principals


@pytest.mark.parametrize("token", ["", "t" * 31, "t" * 40 + " ", "é" * 40, "t" * 40 + "\n"])
def test_a_token_that_protects_nothing_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        hash_token(token)


@pytest.mark.parametrize(
    "digest", ["sha256:", hash_token(TOKEN).upper(), hash_token(TOKEN)[7:], "md5:" + "0" * 64]
)
def test_a_hash_that_no_token_matches_is_refused(digest: str) -> None:
    with pytest.raises(TokenInvalid):
        Principals([PrincipalSettings("a", Role.OPERATOR, token_hash=digest)], 0)


@pytest.mark.parametrize(
    "settings",
    [
        [PrincipalSettings("a", Role.OPERATOR, uid=1), PrincipalSettings("a", Role.OPERATOR, uid=2)],
        [PrincipalSettings("a", Role.OPERATOR, uid=1), PrincipalSettings("b", Role.OPERATOR, uid=1)],
        [
            PrincipalSettings("a", Role.OPERATOR, token_hash=hash_token(TOKEN)),
            PrincipalSettings("b", Role.OPERATOR, token_hash=hash_token(TOKEN)),
        ],
        [PrincipalSettings("uid:0", Role.OPERATOR, uid=5)],
        [PrincipalSettings("nobody", Role.OPERATOR)],
    ],
)
def test_principals_that_an_audit_row_could_not_tell_apart_are_refused(
    settings: list[PrincipalSettings],
) -> None:
    with pytest.raises(PrincipalsInvalid):
        Principals(settings, 0)


@given(st.text())
def test_any_text_may_be_presented_as_a_token(text: str) -> None:
    principals = Principals([PrincipalSettings("a", Role.OPERATOR, token_hash=hash_token(TOKEN))], 0)
    assert (principals.by_token(text) is not None) == (text == TOKEN)


# Problems


class DoorShut(Failure):
    pass


class DoorLocked(DoorShut):
    pass


def test_a_failure_is_the_status_of_its_nearest_declared_kind() -> None:
    failure = DoorLocked("It is locked.", "Nobody gets in.", "Ring.")
    assert problem_of(failure, {DoorShut: 409}).code == "door-shut"
    assert problem_of(failure, {DoorShut: 409, DoorLocked: 423}).status == 423
    undeclared = problem_of(failure, {})
    assert (undeclared.status, undeclared.code) == (503, "door-locked")


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    reply = Problem(409, "address-taken", "Taken.", remedy="Choose.", headers={"A": "b"}).reply("req-1")
    assert reply.content_type == "application/problem+json"
    assert reply.headers == {"A": "b"}
    assert json.loads(reply.body) == {
        "type": "urn:fusion-prime:problem:address-taken",
        "title": "Address taken",
        "status": 409,
        "detail": "Taken.",
        "code": "address-taken",
        "request_id": "req-1",
        "remedy": "Choose.",
    }


def test_codes_are_kebab_case() -> None:
    assert code_of(DoorLocked) == "door-locked"


# Bodies and pages


def test_a_body_that_does_not_fit_says_where() -> None:
    with pytest.raises(Problem, match=r"422.*\$\[1\]"):
        body_as(request(body=b'[1,"x"]'), list[int])
    for octets in (b"", b"[1", b"\xff\xfe", b"[1] 2"):
        with pytest.raises(Problem, match="400"):
            body_as(request(body=octets), list[int])


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.integers(1, 200),
)
def test_a_cursor_comes_back_as_the_key_it_was_made_of(key: str, limit: int) -> None:
    page = Page(limit, None)
    reply = page_reply(page, "/v1/x", "x", list(range(limit)), key)
    cursor = json.loads(reply.body)["next_cursor"]
    assert page_of(request({"limit": str(limit), "cursor": cursor})) == Page(limit, key)
    target = reply.headers["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert parse_qs(urlsplit(target).query)["cursor"] == [cursor]


def test_a_page_that_is_not_full_is_the_last() -> None:
    reply = page_reply(Page(2, None), "/v1/x", "x", [1], "1")
    assert json.loads(reply.body) == {"x": [1], "next_cursor": None}
    assert "Link" not in reply.headers


@pytest.mark.parametrize("limit", ["0", "201", "-1", "", "1.5", "x", "９", "9" * 400])
def test_a_limit_out_of_range_is_422(limit: str) -> None:
    with pytest.raises(Problem, match="422"):
        page_of(request({"limit": limit}))


@pytest.mark.parametrize("cursor", ["é", "a", "/w==", "_w", "", cursor_of("a\0b"), "*"])
def test_a_cursor_that_is_not_ours_is_400(cursor: str) -> None:
    with pytest.raises(Problem, match="400"):
        page_of(request({"cursor": cursor}))
