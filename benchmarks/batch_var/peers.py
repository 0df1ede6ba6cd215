"""The same batch as a loop over portfolios with other libraries, on losses that one product has made ready.

    python -m benchmarks.batch_var.peers NAME PORTFOLIOS ASSETS SCENARIOS ROUNDS

Runs in the environment of requirements-oracles.lock. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.batch_var.workload import TAIL, Floats, Workload, least

Figures = tuple[float, float]
"""VaR and ES of one portfolio, positive."""

LEVEL, ALPHA = float(1 - TAIL), float(TAIL)


def main() -> None:
    name = sys.argv[1]
    work = Workload(*map(int, sys.argv[2:6]))
    weights, losses, ask = work.weights(), work.asset_losses(), PEERS[name]()

    def all_portfolios() -> Floats:
        return np.array([ask(returns) for returns in -(weights @ losses)])

    seconds = least(work.rounds, all_portfolios)
    var, es = all_portfolios().sum(axis=0)
    print(json.dumps({"seconds": seconds, "var_sum": float(var), "es_sum": float(es)}))


def _quantlib() -> Callable[[Floats], Figures]:
    import QuantLib

    def ask(returns: Floats) -> Figures:
        statistics = QuantLib.RiskStatistics()
        statistics.add(returns.tolist())
        return statistics.valueAtRisk(LEVEL), statistics.expectedShortfall(LEVEL)

    return ask


def _riskfolio() -> Callable[[Floats], Figures]:
    from riskfolio.src import RiskFunctions

    return lambda returns: (RiskFunctions.VaR_Hist(returns, ALPHA), RiskFunctions.CVaR_Hist(returns, ALPHA))


def _empyrical() -> Callable[[Floats], Figures]:
    import empyrical

    var = partial(empyrical.value_at_risk, cutoff=ALPHA)
    es = partial(empyrical.conditional_value_at_risk, cutoff=ALPHA)
    return lambda returns: (-var(returns), -es(returns))


PEERS = {"QuantLib": _quantlib, "riskfolio-lib": _riskfolio, "empyrical-reloaded": _empyrical}

if __name__ == "__main__":
    main()
