"""Rule: a value is shown exactly, and without what opens a door."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.account import AccountChange, AccountRecord, Channel, Contact
from fusion_daemon.domain.identifiers import AccountId, ChainId, parse_address
from fusion_daemon.domain.margin import MarginState
from fusion_daemon.plain_values import EXACT, plain


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Pair:
    left: object
    right: object


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (EXACT - 1, EXACT - 1),
        (EXACT, str(EXACT)),
        (-EXACT, str(-EXACT)),
        (0.5, 0.5),
        (math.inf, "inf"),
        (b"\x00\xff", "0x00ff"),
        (Colour.RED, "red"),
        (MarginState.MARGIN_CALL, "margin_call"),
        ((1, [2]), [1, [2]]),
        ({Colour.RED: 1}, {"red": 1}),
        ({(1, Colour.RED): 1}, {"1 red": 1}),
        (frozenset({1}), [1]),
        (Pair(1, Pair(b"", None)), {"left": 1, "right": {"left": "0x", "right": None}}),
        (object(), "object"),
    ],
)
def test_what_a_value_becomes(value: object, shown: object) -> None:
    assert plain(value) == shown


def test_of_a_contact_the_host_alone_is_told() -> None:
    account = AccountId("acme")
    contacts = (
        Contact(account, Channel.WEBHOOK, "https://user:pass@hooks.example:8443/T0/planted?key=planted", "acme-key"),
        Contact(account, Channel.EMAIL, "planted@treasury.example", None),
    )
    address = (ChainId(1), parse_address("0x" + "ab" * 20))
    shown = plain(AccountChange(7, AccountRecord(account, "ACME", "Treasury", (address,), contacts)))
    assert shown == {
        "seq": 7,
        "record": {
            "account": "acme",
            "customer": "ACME",
            "name": "Treasury",
            "addresses": [[1, "0x" + "ab" * 20]],
            "contacts": [
                {"channel": "webhook", "host": "hooks.example"},
                {"channel": "email", "host": "treasury.example"},
            ],
        },
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.builds(Pair, inner, inner)
        ),
    )
)
def test_whatever_it_is_json_holds_it(value: object) -> None:
    json.dumps(plain(value), allow_nan=False)
