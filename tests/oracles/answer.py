"""What other libraries say to the cases, as JSON on standard output. Runs in their own environment:

    python -m tools.oracles

With a file of answers as its argument it tells instead where today's differ from them.

Each library is asked what it computes by a convention that ours has too; where theirs differs (ties, strict tails),
it is not asked.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import empyrical
import numpy as np
import QuantLib
import scipy.integrate
import scipy.stats
import vartests
from arch.univariate import EWMAVariance
from numpy.typing import NDArray
from riskfolio.src import RiskFunctions
from skfolio import measures

from tests.oracles.cases import CASES, DECAYS, RUNS, TAILS, Case, Run

Floats = NDArray[np.float64]
METHODS: tuple[Any, ...] = (
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf"),
    *("hazen", "weibull", "linear", "median_unbiased", "normal_unbiased"),
    *("lower", "higher", "midpoint", "nearest"),
)
LIBRARIES = ("numpy", "scipy", "QuantLib", "riskfolio-lib", "skfolio", "empyrical-reloaded", "arch", "vartests")


def main() -> None:
    answers = {
        "versions": {name: version(name) for name in LIBRARIES},
        "portfolios": {case.name: of_case(case) for case in CASES},
        "runs": {run.name: of_run(run) for run in RUNS},
    }
    if sys.argv[1:]:
        found = list(differences(json.loads(Path(sys.argv[1]).read_text()), answers, "answers"))
        print("\n".join(found) or "oracles: their answers are those of the file")
        sys.exit(bool(found))
    print(json.dumps(answers, indent=1))


def differences(told: object, found: object, place: str) -> Iterator[str]:
    """Between equal trees with numbers that may differ in their last digits."""
    if isinstance(told, dict) and isinstance(found, dict) and told.keys() == found.keys():
        for name in told:
            yield from differences(told[name], found[name], f"{place}.{name}")
    elif isinstance(told, list) and isinstance(found, list) and len(told) == len(found):
        for number, (one, other) in enumerate(zip(told, found, strict=True)):
            yield from differences(one, other, f"{place}[{number}]")
    elif isinstance(told, float) and isinstance(found, float):
        if not math.isclose(told, found, rel_tol=1e-13, abs_tol=1e-15):
            yield f"{place}: {told} is now {found}"
    elif told != found:
        yield f"{place}: {told} is now {found}"


def of_case(case: Case) -> dict[str, object]:
    portfolio, tail = case.returns() @ case.weights(), float(case.tail)
    answer = {
        "riskfolio_var": RiskFunctions.VaR_Hist(portfolio, tail),
        "riskfolio_es": RiskFunctions.CVaR_Hist(portfolio, tail),
        "skfolio_es": measures.cvar(portfolio, 1 - tail),
        "quantlib_sample": quantlib_sample(portfolio),
    }
    if case.days * int(case.tail[2:]) % 10 ** len(case.tail[2:]):  # no ties
        answer["skfolio_var"] = measures.value_at_risk(portfolio, 1 - tail)
        answer["quantlib_var"] = quantlib_var(portfolio, 1 - tail)
        answer["numpy"] = {name: np.quantile(-portfolio, 1 - tail, method=name) for name in METHODS}
        answer["empyrical_var"] = -empyrical.value_at_risk(portfolio, tail)
    answer |= {f"scipy_{name}": each for name, each in closed_forms(portfolio, tail).items()}
    answer["arch_volatility"] = {str(decay): arch_volatility(portfolio, decay) for decay in DECAYS}
    return {name: plain(each) for name, each in answer.items()}


def quantlib_var(portfolio: Floats, level: float) -> float:
    statistics = QuantLib.RiskStatistics()
    for each in portfolio:
        statistics.add(each)
    return float(statistics.valueAtRisk(level))


def quantlib_sample(portfolio: Floats) -> dict[str, float]:
    statistics = QuantLib.Statistics()
    for each in portfolio:
        statistics.add(each)
    return {"mean": statistics.mean(), "deviation": statistics.standardDeviation()}


def closed_forms(portfolio: Floats, tail: float) -> dict[str, float]:
    mean, deviation = portfolio.mean(), portfolio.std(ddof=1)
    skew, kurtosis = scipy.stats.skew(-portfolio), scipy.stats.kurtosis(-portfolio)

    def cornish_fisher(z: float) -> float:
        correction = (z**2 - 1) * skew / 6 + (z**3 - 3 * z) * kurtosis / 24 - (2 * z**3 - 5 * z) * skew**2 / 36
        return z + float(correction)

    z = scipy.stats.norm.isf(tail)
    return {
        "normal_var": scipy.stats.norm.isf(tail, -mean, deviation),
        "normal_es": deviation * beyond(lambda x: x, z) / tail - mean,
        "cornish_fisher_var": deviation * cornish_fisher(z) - mean,
        "cornish_fisher_es": deviation * beyond(cornish_fisher, z) / tail - mean,
    }


def beyond(of: Callable[[float], float], z: float) -> float:
    """The integral of a function of a standard normal above z."""
    found, _ = scipy.integrate.quad(
        lambda x: of(x) * scipy.stats.norm.pdf(x), z, math.inf, epsabs=0, epsrel=1e-13, limit=200
    )
    return float(found)


def arch_volatility(portfolio: Floats, decay: float) -> float:
    """For the day after the last, from the seed that ours takes."""
    padded = np.append(portfolio, 0.0)
    variances = np.empty_like(padded)
    no_bounds = np.tile([0.0, 1e9], (padded.size, 1))
    seed = float(np.mean(portfolio[:30] ** 2))
    EWMAVariance(decay).compute_variance(np.array([]), padded, variances, seed, no_bounds)
    return math.sqrt(variances[-1])


def of_run(run: Run) -> dict[str, object]:
    exceptions = np.array(run.exceptions(), dtype=int)
    table = np.zeros((2, 2))
    np.add.at(table, (exceptions[:-1], exceptions[1:]), 1)
    answer: dict[str, object] = {}
    for tail in TAILS:
        found, level = int(exceptions.sum()), 1 - float(tail)
        kupiec = vartests.kupiec_test(exceptions, level)
        expected = run.days * float(tail)
        by_scipy = scipy.stats.power_divergence(
            [found, run.days - found], [expected, run.days - expected], lambda_="log-likelihood"
        )
        at_most = scipy.stats.binom.cdf(found, run.days, float(tail))
        answer[tail] = {
            "vartests_kupiec": [kupiec["statistic"], kupiec["p-value"]],
            "scipy_kupiec": [plain(by_scipy.statistic), plain(by_scipy.pvalue)],
            "scipy_zone": "green" if at_most < 0.95 else "yellow" if at_most < 0.9999 else "red",
        }
    if table.sum(axis=0).all() and table.sum(axis=1).all():
        independence = scipy.stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
        answer["scipy_independence"] = [plain(independence.statistic), plain(independence.pvalue)]
    return answer


def plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return float(value)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
