"""What other libraries were asked, and what ours is asked in turn: the same numbers on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tests.closes import returns

PORTFOLIOS = {
    "bitcoin": {"BTC": 1.0},
    "basket": {"BTC": 0.6, "ETH": 0.3, "LTC": 0.1},
    "spread": {"ETH": 1.0, "BTC": -1.0},
    "ten": dict.fromkeys(("BTC", "ETH", "BNB", "SOL", "DOGE", "XRP", "ADA", "LINK", "LTC", "AVAX"), 0.1),
}
DAYS = (251, 503, 1_000)
"""Two of them never make (1 - level) x days a whole number, the third always."""
TAILS = ("0.05", "0.025", "0.01", "0.005")
DECAYS = (0.94, 0.97)


@dataclass(frozen=True)
class Case:
    portfolio: str
    days: int
    tail: str

    @property
    def name(self) -> str:
        return f"{self.portfolio} {self.days} {self.tail}"

    def returns(self) -> NDArray[np.float64]:
        return returns(list(PORTFOLIOS[self.portfolio]), self.days)

    def weights(self) -> NDArray[np.float64]:
        return np.array(list(PORTFOLIOS[self.portfolio].values()))


CASES = [Case(*each) for each in product(PORTFOLIOS, DAYS, TAILS)]


@dataclass(frozen=True)
class Run:
    """Exceptions drawn independently, or likelier after one another."""

    seed: int
    days: int
    chance: float
    after_one: float

    @property
    def name(self) -> str:
        return f"{self.seed} {self.days} {self.chance} {self.after_one}"

    def exceptions(self) -> list[bool]:
        drawn = np.random.Generator(np.random.MT19937(self.seed)).random(self.days)
        found: list[bool] = []
        for each in drawn.tolist():
            found.append(each < (self.after_one if found and found[-1] else self.chance))
        return found


RUNS = [
    Run(seed, days, chance, after_one)
    for seed, (days, (chance, after_one)) in enumerate(
        product((250, 500, 2_000), ((0.0, 0.0), (0.01, 0.01), (0.02, 0.3), (0.05, 0.05), (0.04, 0.5)))
    )
]
