"""The catalogue of what providers say: every rule is proved on a text as providers write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.chain.range_rules import RULES, ExactRange, StructuralCap, classify, rule_of
from tests.faults.provider_errors import CATALOGUE, NOT_ABOUT_THE_RANGE, ProviderError, Refused

ASKED = Refused(first=19_000_000, last=19_049_999, good=19_001_023, most=10_000)


@pytest.mark.parametrize("error", CATALOGUE, ids=lambda error: f"{error.rule}-{error.code}")
@pytest.mark.parametrize("case", [str, str.lower, str.upper])
def test_what_a_provider_says(error: ProviderError, case: type[str]) -> None:
    known = rule_of(error.code, case(error.message(ASKED)))
    assert known is not None
    assert (known[0].name, known[1]) == (error.rule, error.expected(ASKED))


@pytest.mark.parametrize("error", NOT_ABOUT_THE_RANGE, ids=lambda error: f"{error.rule}-{error.code}")
def test_what_is_not_about_the_range_never_shrinks_it(error: ProviderError) -> None:
    assert classify(error.code, error.message(ASKED)) is None


def test_every_rule_has_its_text_and_its_own_name() -> None:
    names = [rule.name for rule in RULES]
    assert len(names) == len(set(names))
    assert set(names) == {error.rule for error in CATALOGUE}


@pytest.mark.parametrize(
    ("code", "message"),
    [(-32000, "internal error"), (-32603, "block 5"), (-32005, ""), (0, ""), (-32601, "the method does not exist")],
)
def test_an_unknown_error_is_no_range_error(code: int, message: str) -> None:
    assert rule_of(code, message) is None
    assert classify(code, message) is None


@pytest.mark.parametrize(
    ("written", "number"),
    [("10000", 10_000), ("10,000", 10_000), ("10.000", 10_000), ("10'000", 10_000), ("10k", 10_000), ("2K", 2_000)],
)
def test_numbers_are_read_as_people_write_them(written: str, number: int) -> None:
    said = classify(-32600, f"You can make requests with up to a {written} block range.")
    assert said is not None
    assert said.refusal == StructuralCap(number)


@pytest.mark.parametrize("written", ["[0x64, 0xC8]", "[100, 200]", "0x64-0xc8", "100 to 200", "[ 0x64 , 0xc8 ]"])
def test_ranges_are_hexadecimal_or_decimal(written: str) -> None:
    said = classify(-32602, f"this block range should work: {written}")
    assert said is not None
    assert said.refusal == ExactRange(100, 200)


@given(st.integers(), st.text())
def test_whatever_a_node_says_is_read(code: int, text: str) -> None:
    classify(code, text)


@pytest.mark.parametrize("error", CATALOGUE, ids=lambda error: f"{error.rule}-{error.code}")
def test_digits_without_end_are_read(error: ProviderError) -> None:
    """Python refuses to read a number of more than 4,300 digits."""
    endless = Refused(first=10**4_000, last=2 * 10**4_000, good=10**4_000, most=10**4_000)
    classify(error.code, error.message(endless))
    classify(error.code, error.message(ASKED).replace("0", "0" * 5_000))
