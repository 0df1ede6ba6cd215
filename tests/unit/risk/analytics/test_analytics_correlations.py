"""Rule: a correlation matrix is the one that its method names, and says nothing about what does not move."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fusion_daemon.risk.analytics.correlation_request import CorrelationAnswer, answer_correlation
from fusion_daemon.risk.analytics.correlations import CorrelationMethod, correlations
from fusion_daemon.risk.request_body import Invalid
from tests.closes import returns

PEARSON, SPEARMAN, EWMA = CorrelationMethod.PEARSON, CorrelationMethod.SPEARMAN, CorrelationMethod.EWMA
ASSETS = ("BTC", "ETH", "BNB", "DOGE", "XRP")
MOVES = arrays(np.float64, (12, 3), elements=st.integers(-99, 99).map(lambda each: each / 100))


def asked(**request: object) -> CorrelationAnswer:
    return answer_correlation(json.dumps(request).encode())


def test_pearson_is_numpys_on_real_closes() -> None:
    real = returns(ASSETS, 1_000)
    assert np.allclose(correlations(real, PEARSON, 0.94), np.corrcoef(real.T), rtol=1e-12, atol=0)


def test_spearman_is_the_closed_form_of_rank_differences_on_real_closes() -> None:
    """1 - 6 sum d^2 / (n (n^2 - 1)), which holds without ties."""
    real = returns(("BTC", "ETH"), 500)
    assert all(np.unique(column).size == 500 for column in real.T)
    ranks = real.argsort(axis=0).argsort(axis=0)
    apart = int(((ranks[:, 0] - ranks[:, 1]) ** 2).sum())
    found = correlations(real, SPEARMAN, 0.94)[0, 1]
    assert found == pytest.approx(1 - 6 * apart / (500 * (500**2 - 1)), rel=1e-12)


def test_equal_returns_share_the_mean_of_their_ranks() -> None:
    """Ranks 1.5 1.5 3 4 and 1 2 3 4: deviations -1 -1 0.5 1.5 and -1.5 -0.5 0.5 1.5, so 4.5 / sqrt(4.5 x 5)."""
    tied = np.array([[0.1, 0.1], [0.1, 0.2], [0.2, 0.7], [0.3, 0.8]])
    assert correlations(tied, SPEARMAN, 0.94)[0, 1] == pytest.approx(4.5 / np.sqrt(22.5), rel=1e-15)


def test_a_constant_does_not_move_though_its_mean_differs_from_it_in_the_last_bit() -> None:
    steps = np.column_stack((np.full(12, 0.7), np.arange(12.0)))
    assert (steps[:, 0] != steps.mean(axis=0)[0]).all()
    assert np.isnan(correlations(steps, PEARSON, 0.94)[0]).all()


def test_ewma_follows_the_recursion_on_real_closes() -> None:
    real = returns(ASSETS, 300)
    covariance = real[:30].T @ real[:30] / 30
    for day in real:
        covariance = 0.94 * covariance + 0.06 * np.outer(day, day)
    deviation = np.sqrt(np.diag(covariance))
    assert np.allclose(correlations(real, EWMA, 0.94), covariance / np.outer(deviation, deviation), rtol=1e-12, atol=0)


@given(MOVES, st.sampled_from(CorrelationMethod))
def test_every_matrix_is_symmetric_bounded_and_of_no_negative_eigenvalue(
    moves: NDArray[np.float64], method: CorrelationMethod
) -> None:
    found = correlations(moves, method, 0.94)
    moving = ~np.isnan(np.diag(found))
    assert np.array_equal(moving, np.any(moves != 0, axis=0) if method is EWMA else np.ptp(moves, axis=0) != 0)
    assert np.isnan(found[~moving]).all()
    assert np.isnan(found[:, ~moving]).all()
    known = found[np.ix_(moving, moving)]
    assert np.array_equal(known, known.T)
    assert (np.abs(known) <= 1).all()
    assert (np.diag(known) == 1).all()
    if known.size:
        assert np.linalg.eigvalsh(known).min() > -1e-12


@given(MOVES, st.sampled_from(CorrelationMethod), st.sampled_from((2.0**-900, 3e-7, 1e150)))
def test_the_unit_of_a_series_changes_nothing(
    moves: NDArray[np.float64], method: CorrelationMethod, unit: float
) -> None:
    there, here = correlations(moves * unit, method, 0.94), correlations(moves, method, 0.94)
    assert np.allclose(there, here, rtol=0, atol=1e-12, equal_nan=True)


def test_an_answer_names_its_convention_and_hashes_what_it_was_computed_from() -> None:
    data = {"ETH": ["0.01", "0.02", "-0.01"], "BTC": ["0.01", "0.03", "-0.02"], "USD": ["0", "0", "0"]}
    told = asked(returns=data)
    assert told.assets == ["BTC", "ETH", "USD"]
    assert told.matrix[2] == [None, None, None]
    assert told.matrix[0][0] == "1.0"
    assert told.matrix[0][1] == told.matrix[1][0]
    assert (told.convention.method, told.convention.n, told.convention.mean) == ("pearson", 3, "sample")
    assert told.convention.decay is None
    ewma = asked(returns=data, method="ewma")
    assert (ewma.convention.decay, ewma.convention.mean) == ("0.94", "zero")
    assert ewma.convention.data_hash == told.convention.data_hash
    other = asked(returns={**data, "BTC": ["0.01", "0.03", "-0.03"]})
    assert other.convention.data_hash != told.convention.data_hash


BAD: list[tuple[dict[str, object], str]] = [
    ({"returns": {}}, "0 assets"),
    ({"returns": {str(each): ["0", "1"] for each in range(257)}}, "257 assets"),
    ({"returns": {"A": ["0.1"]}}, "1 returns"),
    ({"returns": {"A": ["0.1", "0.2"], "B": ["0.1", "0.2", "0.3"]}}, "'B' there are 3"),
    ({"returns": {"A": ["0.1", "NaN"]}}, "NaN"),
    ({"returns": {"A": ["0.1", "1e400"]}}, "too large"),
    ({"returns": {"A": ["0.1", "0.2"]}, "method": "kendall"}, "kendall"),
    ({"returns": {"A": ["0.1", "0.2"]}, "method": "ewma", "lambda": "1"}, "lambda"),
    ({"returns": {"A": ["0.1", "0.2"]}, "window": 5}, "window"),
]


@pytest.mark.parametrize(("request_", "named"), BAD)
def test_what_cannot_be_correlated_is_refused_by_name(request_: dict[str, object], named: str) -> None:
    with pytest.raises(Invalid, match=named):
        asked(**request_)
