"""Rule: what a portfolio earned is told by named conventions, payments are no returns, and what its parts contributed
sums to the whole."""

from __future__ import annotations

import json
from statistics import fmean, stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fusion_daemon.risk.analytics.concentration import concentration
from fusion_daemon.risk.analytics.drawdowns import Drawdown, deepest
from fusion_daemon.risk.analytics.performance import WorthNothing, performance
from fusion_daemon.risk.analytics.performance_request import PerformanceAnswer, answer_performance
from fusion_daemon.risk.analytics.ratios import beta, sharpe, volatility
from fusion_daemon.risk.request_body import Invalid
from tests.closes import closes, returns

Floats = NDArray[np.float64]
BTC = np.array([float(text) for text in closes()["BTC"]])
VALUES = arrays(np.float64, (6, 3), elements=st.integers(50, 300).map(float))
FLOWS = arrays(np.float64, (5, 3), elements=st.integers(-10, 10).map(float))


def asked(**request: object) -> PerformanceAnswer:
    return answer_performance(json.dumps(request).encode())


def test_the_deepest_fall_of_bitcoin_is_that_of_2021_to_2022() -> None:
    """From 67,525.83 on 2021-11-08 to 15,781.29 on 2022-11-21; as high again on 2024-03-04."""
    found = deepest(BTC)
    assert found is not None
    assert found.recovery is not None
    dates = closes()["date"]
    days = [dates[point] for point in (found.peak, found.trough, found.recovery)]
    assert days == ["2021-11-08", "2022-11-21", "2024-03-04"]
    assert found.depth == pytest.approx(1 - 15_781.29 / 67_525.83, rel=1e-12)


@pytest.mark.parametrize(
    ("index", "found"),
    [
        ([1.0, 2.0, 3.0], None),
        ([1.0], None),
        ([2.0, 1.0], Drawdown(0.5, 0, 1, None)),
        ([2.0, 1.0, 2.0], Drawdown(0.5, 0, 1, 2)),
        ([2.0, 2.0, 1.0, 1.0, 3.0], Drawdown(0.5, 1, 2, 4)),  # last point of the peak, first of the trough
        ([2.0, 1.0, 4.0, 2.0], Drawdown(0.5, 0, 1, 2)),  # equally deep: the first
        ([4.0, 3.0, 4.0, 2.0, 3.0], Drawdown(0.5, 2, 3, None)),
    ],
)
def test_drawdowns_drawn(index: list[float], found: Drawdown | None) -> None:
    assert deepest(np.array(index)) == found


@given(arrays(np.float64, 8, elements=st.integers(1, 9).map(float)))
def test_no_other_fall_is_deeper(index: Floats) -> None:
    every = [1 - index[low] / index[high] for low in range(8) for high in range(low + 1)]
    found = deepest(index)
    assert (0.0 if found is None else found.depth) == max(every)


def test_ratios_are_those_of_the_standard_library_on_real_closes() -> None:
    real, market = returns(("ETH", "BTC"), 500).T
    assert volatility(real, 1) == pytest.approx(stdev(real), rel=1e-12)
    assert sharpe(real, 0.0001, 1) == pytest.approx((fmean(real) - 0.0001) / stdev(real), rel=1e-10)
    assert beta(real, market) == pytest.approx(np.cov(real, market)[0, 1] / np.var(market, ddof=1), rel=1e-12)
    assert beta(market, market) == pytest.approx(1, rel=1e-15)


def test_what_does_not_move_has_no_ratio() -> None:
    still = np.full(12, 0.7)
    assert volatility(still, 1) == 0.0
    assert sharpe(still, 0.0, 1) is None
    assert beta(np.arange(12.0), still) is None
    assert volatility(still[:1], 1) is None


def test_a_payment_is_no_return_and_does_not_dilute_one() -> None:
    """100 -> 110, then 100 more are paid in at the end of a step that loses 10 %: 99 + 100."""
    found = performance(np.array([[100.0], [110.0], [199.0]]), np.array([[0.0], [100.0]]))
    assert found.returns == pytest.approx([0.1, -0.1])
    assert found.whole == pytest.approx(-0.01)


def test_a_trade_between_two_positions_earns_nothing() -> None:
    values = np.array([[100.0, 0.0], [40.0, 60.0]])
    found = performance(values, np.array([[-60.0, 60.0]]))
    assert found.whole == 0
    assert found.contributions == pytest.approx([0, 0])


def test_a_debt_that_grows_takes_its_part() -> None:
    """200 of which 100 are owed; the asset earns 20, interest is 5: 15 % of 100, 20 and -5."""
    found = performance(np.array([[200.0, -100.0], [220.0, -105.0]]), np.zeros((1, 2)))
    assert found.whole == pytest.approx(0.15)
    assert found.contributions == pytest.approx([0.2, -0.05])


@given(VALUES, FLOWS)
def test_contributions_sum_to_the_whole_return(values: Floats, flows: Floats) -> None:
    found = performance(values, flows)
    assert found.contributions.sum() == pytest.approx(found.whole, rel=1e-9, abs=1e-12)


@given(VALUES, FLOWS, st.integers(-3, 3))
def test_the_unit_of_money_changes_nothing(values: Floats, flows: Floats, power: int) -> None:
    there, here = performance(values * 2.0**power, flows * 2.0**power), performance(values, flows)
    assert np.array_equal(there.index, here.index)


def test_there_is_no_return_on_nothing() -> None:
    with pytest.raises(WorthNothing) as caught:
        performance(np.array([[1.0, 0.0], [1.0, -1.0], [1.0, 0.0]]), np.zeros((2, 2)))
    assert caught.value.step == 0
    with pytest.raises(WorthNothing):
        performance(np.array([[1.0], [1.0]]), np.array([[2.0]]))


@pytest.mark.parametrize(
    ("values", "herfindahl", "effective"),
    [([1.0] * 4, 0.25, 4), ([5.0], 1, 1), ([3.0, -1.0], 0.625, 1.6), ([1e308, 1e308], 0.5, 2)],
)
def test_concentration_by_hand(values: list[float], herfindahl: float, effective: float) -> None:
    found = concentration(np.array(values))
    assert found is not None
    assert (found.herfindahl, found.largest) == (herfindahl, 0)
    assert found.effective == pytest.approx(effective)


@given(arrays(np.float64, 5, elements=st.integers(-9, 9).map(float)))
def test_there_are_effectively_at_least_one_and_at_most_as_many_as_there_are(values: Floats) -> None:
    found = concentration(values)
    if not values.any():
        assert found is None
        return
    assert found is not None
    assert 1 - 1e-12 <= found.effective <= np.count_nonzero(values) + 1e-12
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares[found.largest] == found.shares.max()


def test_an_answer_worked_by_hand() -> None:
    """Steps of +10 % and -10 % of 4 a year: deviation sqrt(0.02) with ddof 1, twice that a year; mean 0."""
    told = asked(values={"ETH": ["80", "90", "79"], "USD": ["20", "20", "20"]}, steps_per_year=4)
    assert float(told.whole_return) == pytest.approx(-0.01)
    assert told.annualised_return is not None
    assert float(told.annualised_return) == pytest.approx(0.99**2 - 1)
    assert told.volatility is not None
    assert float(told.volatility) == pytest.approx(2 * 0.02**0.5)
    assert told.drawdown is not None
    assert float(told.drawdown.depth) == pytest.approx(0.1)
    assert (told.drawdown.peak, told.drawdown.trough, told.drawdown.recovery) == (1, 2, None)
    assert told.concentration is not None
    assert told.concentration.largest == "ETH"
    assert float(told.concentration.largest_share) == pytest.approx(79 / 99)
    assert float(told.contributions["ETH"]) == pytest.approx(-0.01)
    assert float(told.contributions["USD"]) == 0
    assert told.beta is None
    assert told.convention.n == 2


def test_log_returns_and_a_benchmark_are_taken_when_asked_for() -> None:
    values, market = ["100", "110", "99", "120"], ["10", "11", "9", "13"]
    told = asked(values={"A": values}, returns="log", benchmark=market, risk_free="0.05", ddof=0)
    steps, there = (np.diff(np.log([float(each) for each in series])) for series in (values, market))
    root = 365**0.5
    assert told.volatility is not None
    assert float(told.volatility) == pytest.approx(np.std(steps) * root)
    assert told.sharpe is not None
    assert float(told.sharpe) == pytest.approx((steps.mean() - np.log(1.05) / 365) / np.std(steps) * root)
    assert told.beta is not None
    assert float(told.beta) == pytest.approx(np.cov(steps, there)[0, 1] / np.var(there, ddof=1))
    assert asked(values={"A": values}).convention.data_hash != told.convention.data_hash


def test_a_years_rate_is_spread_over_its_steps_by_compounding() -> None:
    """Of 4 steps a year 21.550625 % are 5 % each: above the mean of 10 and -10, whose deviation is sqrt(0.02)."""
    told = asked(values={"A": ["100", "110", "99"]}, steps_per_year=4, risk_free="0.21550625")
    assert told.sharpe is not None
    assert float(told.sharpe) == pytest.approx(-0.05 / 0.02**0.5 * 2)


def test_a_return_that_leaves_next_to_nothing_has_a_logarithm() -> None:
    told = asked(values={"A": ["1", "1e-30", "1"]}, returns="log", ddof=0, steps_per_year=1)
    assert told.volatility is not None
    assert float(told.volatility) == pytest.approx(30 * np.log(10))


def test_a_good_step_of_many_a_year_has_no_annualised_return() -> None:
    assert asked(values={"A": ["1", "1000"]}, steps_per_year=600_000).annualised_return is None


BAD: list[tuple[dict[str, object], str]] = [
    ({"values": {}}, "0 positions"),
    ({"values": {"A": ["1"]}}, "1 values"),
    ({"values": {"A": ["1", "2"], "B": ["1"]}}, "values.B"),
    ({"values": {"A": ["1", "2"]}, "flows": {"B": ["1"]}}, "'B'"),
    ({"values": {"A": ["1", "2"]}, "flows": {"A": ["1", "1"]}}, "flows.A"),
    ({"values": {"A": ["1", "0"]}}, "step 0"),
    ({"values": {"A": ["1", "NaN"]}}, "NaN"),
    ({"values": {"A": ["1e308", "1"], "B": ["1e308", "1"]}}, "too large"),
    ({"values": {"A": ["1", "1e101", "1"]}}, "returns of `values` are too large"),
    ({"values": {"A": ["1", "2"]}, "benchmark": ["1", "1e400"]}, "returns of `benchmark` are too large"),
    ({"values": {"A": ["1e200", "1", "1e-200"]}}, "too large"),
    ({"values": {"A": ["1e320", "1e230", "1e140", "1e50", "1e-40", "1e-130"]}}, "too large"),
    ({"values": {"A": ["1e300", "1e220", "1e140", "1e50", "1e-40", "1e-130"]}}, "too small"),
    ({"values": {"A": ["1", "2"]}, "benchmark": ["1", "1e-200"]}, "returns of `benchmark` are too large"),
    ({"values": {"A": ["1", "2"]}, "benchmark": ["1"]}, "benchmark"),
    ({"values": {"A": ["1", "2"]}, "benchmark": ["0", "1"]}, "benchmark"),
    ({"values": {"A": ["1", "2"]}, "risk_free": "-1"}, "risk_free"),
    ({"values": {"A": ["1", "2"]}, "risk_free": "-0.9999999999999999999999"}, "risk_free"),
    ({"values": {"A": ["1", "2"]}, "risk_free": "NaN"}, "risk_free"),
    ({"values": {"A": ["1", "2"]}, "returns": "excess"}, "excess"),
    ({"values": {"A": ["1", "2"]}, "steps_per_year": 0}, "steps_per_year"),
]


@pytest.mark.parametrize(("request_", "named"), BAD)
def test_what_has_no_performance_is_refused_by_name(request_: dict[str, object], named: str) -> None:
    with pytest.raises(Invalid, match=named):
        asked(**request_)
