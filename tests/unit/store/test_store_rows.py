from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.store import Row, UnexpectedColumn

uint256 = st.integers(min_value=0, max_value=2**256 - 1)


@given(uint256)
def test_a_uint256_comes_back_exactly_from_numeric(value: int) -> None:
    assert Row({"amount": Decimal(value)}).integer("amount") == value


@given(uint256, st.integers(min_value=1, max_value=70))
def test_a_numeric_written_with_an_exponent_is_the_same_integer(value: int, zeros: int) -> None:
    scaled = Decimal((0, tuple(map(int, str(value))), zeros))
    assert Row({"amount": scaled}).integer("amount") == value * 10**zeros


@pytest.mark.parametrize("cell", [Decimal("0.5"), Decimal("NaN"), Decimal("Infinity"), 1.0, "1", None, True, b"1"])
def test_nothing_but_a_whole_number_is_an_integer(cell: object) -> None:
    with pytest.raises(UnexpectedColumn, match="The column amount holds"):
        Row({"amount": cell}).integer("amount")


def test_every_getter_returns_its_own_type() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    row = Row({"t": "a", "o": b"\x01", "b": False, "m": noon, "n": Decimal("1.5"), "j": '{"a":1}', "i": 7})
    assert (row.text("t"), row.octets("o"), row.boolean("b"), row.moment("m")) == ("a", b"\x01", False, noon)
    assert (row.number("n"), row.number("i"), row.json("j"), row.integer("i")) == (1.5, 7.0, b'{"a":1}', 7)


def test_null_is_refused_unless_it_is_asked_for() -> None:
    row = Row({"x": None})
    for getter in (row.text, row.octets, row.boolean, row.moment, row.number, row.json, row.integer):
        with pytest.raises(UnexpectedColumn):
            getter("x")
    assert row.optional_text("x") is None
    assert row.optional_integer("x") is None
    assert row.optional_octets("x") is None
    assert row.optional_moment("x") is None


def test_optional_getters_return_what_is_there() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    row = Row({"t": "a", "i": 1, "o": b"b", "m": noon})
    assert row.optional_text("t") == "a"
    assert row.optional_integer("i") == 1
    assert row.optional_octets("o") == b"b"
    assert row.optional_moment("m") == noon


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(UnexpectedColumn):
        Row({"m": datetime(2026, 1, 1)}).moment("m")  # noqa: DTZ001  the point of the test


def test_the_message_names_types_and_never_the_value() -> None:
    with pytest.raises(UnexpectedColumn) as caught:
        Row({"token": "s3cret"}).integer("token")
    assert "s3cret" not in str(caught.value)
