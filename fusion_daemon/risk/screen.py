"""A price tick for very many accounts: floats find whose state could differ, integers decide.

A mirror of the portfolio as blocks of two dense float64 matrices, accounts x markets: collateral base units
and scaled debt base units. A tick multiplies them by one factor per market and compares the sums with the
two bounds of each account's present state.

INVARIANT: an account whose state would change is always among the candidates. The proof, with
u = 2^-53 and m markets. Every cell and every factor is a correctly rounded quotient or integer (relative
error u each), every term is nonnegative, so a float sum of m products lies within (m + 3) u of the
real sum in any order of adding (Higham, Accuracy and Stability, 3.5), to first order. Forming a
bound costs at most 8 more roundings. A slack of (m + 32) 2u covers both and the
second order. The exact sums differ from the real ones by rounding each leg: a collateral value by less
than one unit downwards (a weighted one by less than 1e4), a debt value by less than one base unit's
price plus one unit upwards. So with n legs:

    exact collateral in (real - n, real]      exact debt in [real, real + n (dearest base unit + 1))

and "could be worse" compares the lower end of the one with the upper end of the other, "could be
better" the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.journal import Side
from fusion_daemon.domain.margin import MarginState
from fusion_daemon.risk.episodes import UNKNOWN, Standing
from fusion_daemon.risk.margin import RAY, Need, Rule
from fusion_daemon.risk.portfolio import Leg, Portfolio
from fusion_daemon.risk.registers import Market
from fusion_daemon.risk.settings import BPS

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

BLOCK = 16_384
"""Accounts screened in one go: about 1 ms, after which the caller may yield."""

_NEVER = 1e150
"""Finite, because inf x 0 is not a number; beyond every ratio of two sums all the same."""


class Factors:
    """What one unit of each market is worth at a moment at the worst, USD x 1e8; one column a market."""

    __slots__ = ("collateral", "dearest", "debt", "unvalued_collateral", "unvalued_debt")

    def __init__(self, portfolio: Portfolio, at: int) -> None:
        columns = len(portfolio.markets)
        self.collateral = np.zeros((columns, 2))
        """Value, and value x threshold in bps."""
        self.debt = np.zeros(columns)
        self.dearest = 0.0
        self.unvalued_collateral: list[int] = []
        self.unvalued_debt: list[int] = []
        for market in portfolio.markets:
            self._of(market, portfolio, at)

    def _of(self, market: Market, portfolio: Portfolio, at: int) -> None:
        column = market.number
        if market.asset is None:
            self.unvalued_debt.append(column)
            return
        price = portfolio.prices.get(market.asset)
        parameters = market.parameters.last
        if price is None or parameters is None:
            self.unvalued_collateral.append(column)
            self.unvalued_debt.append(column)
            return
        unit = 10**parameters.decimals
        self.collateral[column, 0] = price.usd_low / unit
        self.collateral[column, 1] = price.usd_low * parameters.liquidation_threshold_bps / unit
        self.debt[column] = price.usd_high * market.index_at(at) / (unit * RAY)
        self.dearest = max(self.dearest, price.usd_high / unit)


class _Block:
    """The mirror of up to BLOCK accounts. Of fixed height: a new account never copies the others."""

    __slots__ = ("accounts", "collateral", "debt", "legs", "state")

    def __init__(self) -> None:
        self.accounts: list[AccountId] = []
        self.collateral: Floats = np.zeros((BLOCK, 0))
        self.debt: Floats = np.zeros((BLOCK, 0))
        self.legs: Floats = np.zeros(BLOCK)
        """How many legs an account has; 0 for one without debt."""
        self.state: NDArray[np.intp] = np.zeros(BLOCK, dtype=np.intp)

    def widen(self, columns: int) -> None:
        """One column a market, also of a market that nobody holds yet."""
        missing = columns - self.collateral.shape[1]
        if missing > 0:
            new = np.zeros((BLOCK, missing))
            self.collateral = np.hstack((self.collateral, new))
            self.debt = np.hstack((self.debt, new))

    def mirror(self, row: int, legs: Iterable[Leg]) -> None:
        self.collateral[row] = 0.0
        self.debt[row] = 0.0
        # Cells add up as integers first: a float is rounded once.
        cells: dict[tuple[int, Side], int] = {}
        count = 0
        for leg in legs:
            key = (leg.market.number, leg.side)
            cells[key] = cells.get(key, 0) + leg.amount
            count += 1
        owes = False
        for (column, side), amount in cells.items():
            if side is Side.COLLATERAL:
                self.collateral[row, column] = float(amount)
            else:
                self.debt[row, column] = float(amount)
                owes = True
        self.legs[row] = float(count) if owes else 0.0

    def could_differ(self, bounds: Floats, factors: Factors, *, patient: bool) -> Booleans:
        rows = slice(len(self.accounts))
        slack = (self.collateral.shape[1] + 32) * 2.0**-52
        sums: Floats = self.collateral[rows] @ factors.collateral
        collateral = sums[:, 0]
        threshold = sums[:, 1]
        debt: Floats = self.debt[rows] @ factors.debt
        legs = self.legs[rows]
        worse_score, worse_health, better_score, better_health = bounds[:, self.state[rows]]
        most = debt * (1 + slack) + (legs + 1) * (factors.dearest + 2)
        least = debt * (1 - slack)
        worse = (collateral * (1 - slack) - (legs + 1) < worse_score * most) | (
            threshold * (1 - slack) - BPS * (legs + 1) < worse_health * most
        )
        better = (collateral * (1 + slack) >= better_score * least) & (threshold * (1 + slack) >= better_health * least)
        # Without debt an account is HEALTHY: it differs only if it was not.
        differs = np.where(legs > 0, worse | better, self.state[rows] > 0)
        if patient and factors.unvalued_collateral:
            differs &= ~(self.collateral[rows][:, factors.unvalued_collateral] > 0).any(axis=1)
        if patient and factors.unvalued_debt:
            differs &= ~(self.debt[rows][:, factors.unvalued_debt] > 0).any(axis=1)
        return differs


class Screen:
    """The float mirror. `refresh` brings changed accounts in, `candidates` screens all of them."""

    def __init__(self, rule: Rule) -> None:
        self._bounds = _bounds_of(rule)
        self._row_of: dict[AccountId, int] = {}
        """Counted over all blocks."""
        self._blocks: list[_Block] = []

    def refresh(
        self, portfolio: Portfolio, accounts: Iterable[AccountId], standings: Mapping[AccountId, Standing]
    ) -> None:
        """Mirror these accounts' legs and states anew."""
        columns = len(portfolio.markets)
        for account in accounts:
            block, row = self._place(account)
            block.widen(columns)
            block.mirror(row, portfolio.legs(account))
            block.state[row] = standings.get(account, UNKNOWN).state

    def _place(self, account: AccountId) -> tuple[_Block, int]:
        row = self._row_of.get(account)
        if row is None:
            row = self._row_of[account] = len(self._row_of)
            if row % BLOCK == 0:
                self._blocks.append(_Block())
            self._blocks[-1].accounts.append(account)
        return self._blocks[row // BLOCK], row % BLOCK

    def set_state(self, account: AccountId, state: MarginState) -> None:
        if account in self._row_of:
            block, row = self._place(account)
            block.state[row] = state

    def candidates(self, portfolio: Portfolio, at: int, *, patient: bool) -> Iterator[list[AccountId]]:
        """Per block of accounts: those whose state at these prices and this second could differ.

        Who holds or owes what has no value is left out while `patient`; else that counts as nothing.

        The portfolio must not change before the iterator is exhausted.
        """
        factors = Factors(portfolio, at)
        for block in self._blocks:
            block.widen(len(portfolio.markets))
            differs = block.could_differ(self._bounds, factors, patient=patient)
            yield [block.accounts[row] for row in np.flatnonzero(differs)]


def _bounds_of(rule: Rule) -> Floats:
    """Four rows (worse by score, worse by health, better by score, better by health), one column a state.

    An account is worse when a sum is below its column's bound x debt, better when both reach it.
    """

    def ratios(need: Need) -> tuple[float, float]:
        return need.score / BPS**2, need.health / BPS

    table = np.array([[-_NEVER] * 4, [-_NEVER] * 4, [_NEVER] * 4, [_NEVER] * 4])
    for state in (MarginState.HEALTHY, MarginState.WARNING, MarginState.MARGIN_CALL):
        table[0:2, state] = ratios(rule.bounds[state])
        table[2:4, state + 1] = ratios(rule.cleared[state])
    return table
