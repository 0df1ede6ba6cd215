"""Rules that every method keeps: loss scales and shifts with the portfolio, contributions sum, ES is coherent."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_daemon.risk.value_at_risk import monte_carlo
from fusion_daemon.risk.value_at_risk.figures import Figures, Floats
from fusion_daemon.risk.value_at_risk.methods import Method, Terms, prepare
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule

TERMS = Terms(Fraction(95, 100), QuantileRule.ORDER_STATISTIC, Fraction(97, 100), 1, centred=True, days=1, seed=7)
SEEDS = st.integers(0, 2**32 - 1)
SHIFTED = (Method.HISTORICAL, Method.AGE_WEIGHTED, Method.NORMAL, Method.CORNISH_FISHER, Method.MONTE_CARLO)
"""The others take the mean to be 0: a sure gain is volatility to them."""


@pytest.fixture(autouse=True)
def few_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monte_carlo, "BLOCKS", 1)


def drawn(seed: int, assets: int = 3, days: int = 137) -> tuple[Floats, Floats]:
    """Fat-tailed, correlated returns; weights long and short."""
    source = np.random.default_rng(seed)
    common = source.standard_t(4, size=(days, 1))
    returns = 0.02 * (0.7 * common + source.standard_t(4, size=(days, assets)))
    return returns, source.normal(size=assets)


def figures(method: Method, returns: Floats, weights: Floats, **changed: object) -> Figures:
    return prepare(method, returns, replace(TERMS, **changed))(weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", Method)
@settings(max_examples=25)
@given(SEEDS)
def test_contributions_sum_to_the_whole(method: Method, seed: int) -> None:
    returns, weights = drawn(seed)
    for rule in (QuantileRule.ORDER_STATISTIC, QuantileRule.LINEAR):
        found = figures(method, returns, weights, rule=rule)
        assert weights @ found.marginal_var == pytest.approx(found.var, rel=1e-12, abs=1e-14)
        assert weights @ found.marginal_es == pytest.approx(found.es, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("method", [Method.NORMAL, Method.EWMA_NORMAL, Method.CORNISH_FISHER])
@settings(max_examples=15)
@given(SEEDS)
def test_a_marginal_of_a_closed_form_is_its_derivative(method: Method, seed: int) -> None:
    returns, weights = drawn(seed)
    found = figures(method, returns, weights)
    for asset in range(weights.size):
        step = 1e-6 * np.eye(weights.size)[asset]
        above, below = (figures(method, returns, weights + sign * step) for sign in (1, -1))
        assert (above.var - below.var) / 2e-6 == pytest.approx(found.marginal_var[asset], rel=1e-5, abs=1e-7)
        assert (above.es - below.es) / 2e-6 == pytest.approx(found.marginal_es[asset], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("method", Method)
@settings(max_examples=15)
@given(SEEDS, st.integers(1, 9))
def test_twice_the_position_loses_twice(method: Method, seed: int, factor: int) -> None:
    returns, weights = drawn(seed)
    once, more = figures(method, returns, weights), figures(method, returns, factor * weights)
    assert (more.var, more.es) == pytest.approx((factor * once.var, factor * once.es), rel=1e-12)


@pytest.mark.parametrize("method", SHIFTED)
@settings(max_examples=15)
@given(SEEDS, st.floats(-0.05, 0.05))
def test_a_sure_gain_lowers_the_loss_by_itself(method: Method, seed: int, gain: float) -> None:
    returns, _ = drawn(seed)
    weights = np.array([0.5, 0.3, 0.2])  # they sum to 1, so that the gain is the portfolio's
    before, after = figures(method, returns, weights), figures(method, returns + gain, weights)
    assert (after.var, after.es) == pytest.approx((before.var - gain, before.es - gain), abs=1e-12)


@settings(max_examples=40)
@given(SEEDS, st.integers(1, 9_999))
def test_es_is_sub_additive(seed: int, level: int) -> None:
    returns, one = drawn(seed)
    _, other = drawn(seed + 1)
    at = Fraction(level, 10_000)
    alone = (figures(Method.HISTORICAL, returns, each, level=at).es for each in (one, other))
    assert figures(Method.HISTORICAL, returns, one + other, level=at).es <= sum(alone) + 1e-12


@pytest.mark.parametrize("method", [Method.HISTORICAL, Method.AGE_WEIGHTED])
@settings(max_examples=25)
@given(SEEDS, st.sampled_from(list(QuantileRule)))
def test_who_never_loses_more_has_no_greater_risk(method: Method, seed: int, rule: QuantileRule) -> None:
    returns, _ = drawn(seed, assets=1)
    better = returns + np.abs(np.random.default_rng(seed).normal(size=returns.shape))
    worse, same = (figures(method, each, np.ones(1), rule=rule) for each in (returns, better))
    assert (same.var <= worse.var + 1e-15, same.es <= worse.es + 1e-15) == (True, True)


@pytest.mark.parametrize("method", [each for each in Method if each is not Method.CORNISH_FISHER])
@settings(max_examples=15)
@given(SEEDS, st.integers(5_001, 9_998))
def test_a_higher_level_loses_no_less_and_es_no_less_than_var(method: Method, seed: int, level: int) -> None:
    returns, weights = drawn(seed)
    low, high = (figures(method, returns, weights, level=Fraction(each, 10_000)) for each in (level, level + 1))
    assert low.var <= high.var + 1e-15
    assert low.es <= high.es + 1e-13
    assert low.es >= low.var - 1e-13


@given(SEEDS, st.integers(1, 15))
def test_paths_do_not_depend_on_how_the_work_is_cut(seed: int, cut: int) -> None:
    returns, _ = drawn(seed)
    covariance = np.cov(returns.T)

    def paths(blocks: range) -> Floats:
        return monte_carlo.asset_losses(returns.mean(axis=0), covariance, seed=seed, days=1, blocks=blocks)

    assert np.array_equal(paths(range(16)), np.concatenate([paths(range(cut)), paths(range(cut, 16))]))


def test_paths_of_an_asset_that_others_determine() -> None:
    returns, _ = drawn(5)
    both = np.hstack([returns, returns[:, :1]])
    paths = monte_carlo.asset_losses(np.zeros(4), np.cov(both.T), seed=1, days=1, blocks=[0])
    assert paths[:, 3] == pytest.approx(paths[:, 0], abs=1e-9)
    assert np.cov(paths.T) == pytest.approx(np.cov(both.T), rel=0.15, abs=2e-4)
