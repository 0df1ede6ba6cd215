"""Rule: a quantile's place is decided exactly; the thirteen rules of numpy are numpy's, in loss space, wherever its
own floats are exact."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.risk.request_body import Invalid
from fusion_daemon.risk.value_at_risk.levels import exact_text, level_of, tail_count, tail_parts
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule, position

NUMPYS = [rule for rule in QuantileRule if rule is not QuantileRule.ORDER_STATISTIC]
BINARY = st.integers(1, 63).map(lambda numerator: Fraction(numerator, 64))
"""Levels that a double holds exactly."""


def read(rule: QuantileRule, level: Fraction, losses: list[float]) -> float:
    ordered = sorted(losses)
    place = position(rule, level, len(losses))
    low = ordered[place.index]
    return low + float(place.share) * (ordered[place.index + 1] - low) if place.share else low


@pytest.mark.parametrize("rule", NUMPYS)
@given(level=BINARY, losses=st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=70))
def test_a_rule_is_numpys(rule: QuantileRule, level: Fraction, losses: list[float]) -> None:
    theirs = float(np.quantile(losses, float(level), method=rule.value))  # type: ignore[call-overload]
    assert read(rule, level, losses) == pytest.approx(theirs, rel=1e-12, abs=1e-9)


@given(st.integers(1, 3000), st.integers(1, 9999).map(lambda each: Fraction(each, 10_000)))
def test_the_order_statistic_is_the_smallest_loss_of_the_tail(n: int, level: Fraction) -> None:
    from_the_worst = n - position(QuantileRule.ORDER_STATISTIC, level, n).index
    assert from_the_worst == tail_count(level, n)
    assert from_the_worst >= (1 - level) * n > from_the_worst - 1


@pytest.mark.parametrize(
    ("level", "n", "worst"), [("0.9", 10, 1), ("0.95", 20, 1), ("0.99", 300, 3), ("0.999", 3000, 3)]
)
def test_no_day_too_many_where_floats_would_count_one(level: str, n: int, worst: int) -> None:
    assert tail_count(level_of(Decimal(level)), n) == worst
    assert tail_parts(level_of(Decimal(level)), n) == (worst, Fraction(0))


def test_a_float_would_count_one_day_too_many() -> None:
    assert int(np.ceil((1 - 0.95) * 20)) == 2  # the trap is there: else the test above could not fail


@pytest.mark.parametrize("text", ["0", "1", "-0.5", "1.5", "NaN", "Infinity", "0." + "9" * 19])
def test_what_is_no_level_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        level_of(Decimal(text))


def test_a_level_is_told_as_the_decimal_that_it_is() -> None:
    assert [exact_text(Fraction(each)) for each in ("99/100", "1/8", "5", "327/50")] == ["0.99", "0.125", "5", "6.54"]
