"""Rule: where another library computes by a convention that ours has, it gets the same figure. On real closes.

`python -m tools.oracles` asks them; `make oracles` proves that the file still says what they do.
"""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from math import exp
from pathlib import Path
from typing import Any

import pytest

from fusion_daemon.risk.value_at_risk.backtests import christoffersen, coverage, kupiec
from fusion_daemon.risk.value_at_risk.basel import traffic_light
from fusion_daemon.risk.value_at_risk.closed_forms import sample_moments
from fusion_daemon.risk.value_at_risk.figures import Figures
from fusion_daemon.risk.value_at_risk.methods import Method, Terms, prepare
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule
from fusion_daemon.risk.value_at_risk.volatility import forecasts
from tests.oracles.cases import CASES, DECAYS, RUNS, TAILS, Case, Run

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parents[3] / "data/oracles/value_at_risk.json").read_text())
EXACT, TESTS = 1e-12, 1e-10
"""Relative: of figures, and of test statistics."""


def ours(case: Case, method: Method, rule: QuantileRule = QuantileRule.ORDER_STATISTIC) -> Figures:
    level = 1 - Fraction(Decimal(case.tail))
    terms = Terms(level, rule, decay=Fraction(94, 100), ddof=1, centred=True, days=1, seed=0)
    return prepare(method, case.returns(), terms)(case.weights())


def told(case: Case) -> dict[str, Any]:
    answer: dict[str, Any] = ANSWERS["portfolios"][case.name]
    return answer


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_historical(case: Case) -> None:
    theirs, found = told(case), ours(case, Method.HISTORICAL)
    assert found.var == pytest.approx(theirs["riskfolio_var"], rel=EXACT)
    assert found.es == pytest.approx(theirs["riskfolio_es"], rel=EXACT)
    assert found.es == pytest.approx(theirs["skfolio_es"], rel=EXACT)
    for library in ("skfolio_var", "quantlib_var"):
        assert found.var == pytest.approx(theirs.get(library, found.var), rel=EXACT)
    for rule, value in theirs.get("numpy", {}).items():
        assert ours(case, Method.HISTORICAL, QuantileRule(rule)).var == pytest.approx(value, rel=EXACT)
    linear = ours(case, Method.HISTORICAL, QuantileRule.LINEAR).var
    assert linear == pytest.approx(theirs.get("empyrical_var", linear), rel=EXACT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_closed_forms(case: Case) -> None:
    theirs = told(case)
    moments = sample_moments(case.returns(), case.weights(), ddof=1, centred=True)
    assert (moments.mean, moments.deviation) == pytest.approx(tuple(theirs["quantlib_sample"].values()), rel=EXACT)
    for method, name in ((Method.NORMAL, "scipy_normal"), (Method.CORNISH_FISHER, "scipy_cornish_fisher")):
        found = ours(case, method)
        assert found.var == pytest.approx(theirs[f"{name}_var"], rel=EXACT)
        assert found.es == pytest.approx(theirs[f"{name}_es"], rel=EXACT)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_volatility(case: Case) -> None:
    portfolio = case.returns() @ case.weights()
    for decay in DECAYS:
        theirs = told(case)["arch_volatility"][str(decay)]
        assert forecasts(portfolio, decay)[-1] == pytest.approx(theirs, rel=EXACT)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_back_tests(run: Run) -> None:
    theirs, exceptions = ANSWERS["runs"][run.name], run.exceptions()
    for text in TAILS:
        tail = Fraction(Decimal(text))
        found = kupiec(sum(exceptions), run.days, tail)
        for library in ("vartests_kupiec", "scipy_kupiec"):
            assert (found.ratio, found.p) == pytest.approx(tuple(theirs[text][library]), rel=TESTS, abs=1e-12)
        assert traffic_light(sum(exceptions), run.days, tail).zone == theirs[text]["scipy_zone"]
    if "scipy_independence" in theirs:
        independence = christoffersen(exceptions)
        told_ratio, told_p = theirs["scipy_independence"]
        assert (independence.ratio, independence.p) == pytest.approx((told_ratio, told_p), rel=TESTS, abs=1e-12)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_conditional_coverage_is_the_sum_of_both(run: Run) -> None:
    found = coverage(run.exceptions(), Fraction(1, 100))
    both = found.unconditional.ratio + found.independence.ratio
    assert (found.conditional.ratio, found.conditional.p) == pytest.approx((both, exp(-both / 2)))


def test_independence_was_asked_of_most_runs() -> None:
    assert sum("scipy_independence" in each for each in ANSWERS["runs"].values()) >= len(RUNS) // 2
