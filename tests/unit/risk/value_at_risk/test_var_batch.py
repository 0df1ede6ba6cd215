"""Rule: a portfolio of a batch has the figures that it has alone, whatever it is computed with."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_daemon.risk.value_at_risk.batch import BLOCK, batch_figures
from fusion_daemon.risk.value_at_risk.figures import Floats
from fusion_daemon.risk.value_at_risk.methods import Method, Terms, prepare
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule
from tests.closes import returns

TEN = ("BTC", "ETH", "BNB", "SOL", "DOGE", "XRP", "ADA", "LINK", "LTC", "AVAX")
LEVELS = st.integers(1, 9_999).map(lambda each: Fraction(each, 10_000))


def drawn(count: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, len(TEN)))


@settings(max_examples=40)
@given(LEVELS, st.integers(2, 400))
def test_a_batch_is_the_historical_method(level: Fraction, days: int) -> None:
    history, weights = returns(TEN, days), drawn(5)
    found = batch_figures(weights, np.ascontiguousarray(-history.T), level)
    terms = Terms(level, QuantileRule.ORDER_STATISTIC, Fraction(0), ddof=1, centred=True, days=1, seed=0)
    model = prepare(Method.HISTORICAL, history, terms)
    alone = [model(each) for each in weights]
    assert found.var == pytest.approx([each.var for each in alone], rel=1e-12, abs=1e-15)
    assert found.es == pytest.approx([each.es for each in alone], rel=1e-12, abs=1e-15)


@settings(max_examples=25)
@given(st.integers(1, 2 * BLOCK + 11), st.integers(1, 300))
def test_a_batch_may_be_cut_anywhere(cut: int, days: int) -> None:
    losses, weights = np.ascontiguousarray(-returns(TEN, days).T), drawn(2 * BLOCK + 12)
    level = Fraction(99, 100)
    whole = batch_figures(weights, losses, level)
    parts = [batch_figures(each, losses, level) for each in (weights[:cut], weights[cut:])]
    assert np.array_equal(whole.var, np.concatenate([each.var for each in parts]))
    assert np.array_equal(whole.es, np.concatenate([each.es for each in parts]))


def test_no_portfolios_have_no_figures() -> None:
    assert batch_figures(drawn(0), np.ones((len(TEN), 10)), Fraction(9, 10)).var.size == 0
