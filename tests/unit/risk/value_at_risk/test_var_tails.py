"""Rule: which scenarios make the tail, and with which weights, is decided on exact numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule
from fusion_daemon.risk.value_at_risk.tails import aged_tail, equal_tail

LEVELS = st.integers(1, 9_999).map(lambda each: Fraction(each, 10_000))
DECAYS = st.integers(1, 99).map(lambda each: Fraction(each, 100))


@given(LEVELS, st.integers(1, 500), st.sampled_from(list(QuantileRule)))
def test_weights_sum_to_one_and_the_last_takes_the_rest(level: Fraction, n: int, rule: QuantileRule) -> None:
    tail = equal_tail(level, n, rule)
    size = (1 - level) * n
    assert tail.var_weights.sum() == pytest.approx(1, abs=1e-15)
    assert tail.es_weights.sum() == pytest.approx(1, abs=1e-12)
    assert len(tail.es_weights) - 1 < size <= len(tail.es_weights) <= tail.reach <= n


@given(st.permutations(range(9)), DECAYS, st.data())
def test_age_weights_reach_the_tail_exactly(ages: list[int], decay: Fraction, data: st.DataObject) -> None:
    """The tail probability is one that is reached exactly, or any other."""
    likelihoods = [decay**age for age in ages]
    sums = [each / sum(likelihoods) for each in accumulate(likelihoods)]
    tail = data.draw(st.one_of(st.sampled_from(sums[:-1]), LEVELS))
    expected = next(rank for rank, total in enumerate(sums) if total >= tail)
    found = aged_tail(1 - tail, ages, decay)
    assert found.var_ranks.tolist() == [expected]
    whole = [float(each / sum(likelihoods) / tail) for each in likelihoods[:expected]]
    assert found.es_weights[:-1] == pytest.approx(whole, rel=1e-12)
    assert found.es_weights.sum() == pytest.approx(1)


def test_many_days_that_weigh_nothing_are_decided_too() -> None:
    """All the newest days come first and reach the tail but for 1e-12: thousands of old ones must add up."""
    ages = list(range(10_000))
    tail = float(sum(0.02 * 0.98**age for age in range(1_300)))
    found = aged_tail(1 - Fraction(tail), ages, Fraction(98, 100))
    assert abs(int(found.var_ranks[0]) - 1_300) < 20
    assert np.isfinite(found.es_weights).all()
