"""Rule: the default method is the one that years of real closes speak for. Rolling, out of sample, at 99 %.

Every day's VaR is made from the days before it alone. The portfolios are one asset, one levered, a basket, and a spread
of two that fall together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from fusion_daemon.risk.value_at_risk.backtests import christoffersen, kupiec
from fusion_daemon.risk.value_at_risk.methods import KNOWS, Method, Terms, prepare
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule
from fusion_daemon.risk.value_at_risk.var_request import VarRequest
from tests.closes import returns

PORTFOLIOS = {
    "bitcoin": {"BTC": 1.0},
    "levered": {"ETH": 2.0},
    "basket": {"BTC": 0.5, "ETH": 0.3, "BNB": 0.2},
    "spread": {"ETH": 1.0, "BTC": -1.0},
}
LEVEL, WINDOW = Fraction(99, 100), 1_000
REJECTED = 0.05


@dataclass(frozen=True)
class History:
    losses: NDArray[np.float64]
    var: NDArray[np.float64]
    level: Fraction

    @property
    def exceptions(self) -> list[bool]:
        found: list[bool] = (self.losses > self.var).tolist()
        return found

    @property
    def kupiec_p(self) -> float:
        return kupiec(sum(self.exceptions), len(self.exceptions), 1 - self.level).p

    @property
    def pinball(self) -> float:
        """The score that is least, on average, for the true quantile."""
        beyond = self.losses - self.var
        return float(np.mean(np.where(beyond > 0, beyond * float(self.level), -beyond * float(1 - self.level))))


def history(weights: Mapping[str, float], method: Method, window: int = WINDOW, level: Fraction = LEVEL) -> History:
    portfolio = returns(list(weights)) @ np.array(list(weights.values()))
    decay = KNOWS[method].decay or Fraction(0)
    terms = Terms(level, QuantileRule.ORDER_STATISTIC, decay, ddof=1, centred=True, days=1, seed=0)
    days = range(WINDOW, portfolio.size)
    one = np.ones(1)
    found = [prepare(method, portfolio[day - window : day, None], terms)(one).var for day in days]
    return History(-portfolio[WINDOW:], np.array(found), level)


@pytest.mark.parametrize("name", PORTFOLIOS)
def test_the_default_is_the_best_that_passes(name: str) -> None:
    filtered, historical, ewma = (
        history(PORTFOLIOS[name], method)
        for method in (Method.FILTERED_HISTORICAL, Method.HISTORICAL, Method.EWMA_NORMAL)
    )
    assert filtered.kupiec_p > REJECTED
    assert historical.kupiec_p > REJECTED
    assert ewma.kupiec_p < REJECTED
    assert sum(ewma.exceptions) > 1.5 * len(ewma.losses) * (1 - LEVEL)  # rejected because it is too low
    assert filtered.pinball < historical.pinball


@pytest.mark.parametrize("level", ["0.95", "0.99"])
@pytest.mark.parametrize("asset", ["BTC", "ETH", "BNB", "SOL", "DOGE", "XRP", "ADA", "LINK", "LTC", "AVAX"])
def test_the_default_passes_on_every_asset(asset: str, level: str) -> None:
    assert history({asset: 1.0}, Method.FILTERED_HISTORICAL, level=Fraction(level)).kupiec_p > REJECTED


def test_a_short_history_fails_on_ether() -> None:
    short = history(PORTFOLIOS["levered"], Method.HISTORICAL, window=250)
    assert short.kupiec_p < REJECTED
    assert christoffersen(short.exceptions).p < REJECTED


def test_it_is_the_default() -> None:
    asked = VarRequest(returns={}, weights={}, level=LEVEL)  # type: ignore[arg-type]
    assert (asked.method, KNOWS[asked.method].decay) == (Method.FILTERED_HISTORICAL, Fraction(97, 100))
