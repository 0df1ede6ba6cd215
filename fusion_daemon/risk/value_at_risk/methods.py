"""The seven methods by name. Each is prepared from returns once, and then asked for any weights.

Scenario methods (historical, filtered, age-weighted, Monte Carlo) lay out what one unit of each asset would lose and
read VaR and ES off the portfolio's order; closed forms assume the distribution instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import sqrt

import numpy as np

from fusion_daemon.risk.request_body import invalid
from fusion_daemon.risk.value_at_risk import closed_forms, monte_carlo
from fusion_daemon.risk.value_at_risk.figures import Figures, Floats, of_scenarios, of_worst, worst_first
from fusion_daemon.risk.value_at_risk.levels import tail_count
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule
from fusion_daemon.risk.value_at_risk.tails import aged_tail, equal_tail
from fusion_daemon.risk.value_at_risk.volatility import forecasts


class Method(StrEnum):
    HISTORICAL = "historical"
    FILTERED_HISTORICAL = "filtered_historical"
    AGE_WEIGHTED = "age_weighted"
    NORMAL = "normal"
    EWMA_NORMAL = "ewma_normal"
    CORNISH_FISHER = "cornish_fisher"
    MONTE_CARLO = "monte_carlo"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a method may be told. Each takes what it knows of: see `KNOWS`."""

    level: Fraction
    rule: QuantileRule
    decay: Fraction
    ddof: int
    centred: bool
    """Whether the sample's mean is used; else it is taken to be 0."""
    days: int
    """Of the horizon to which daily figures are scaled; 1 where the returns are of the whole horizon already."""
    seed: int


@dataclass(frozen=True, slots=True)
class Traits:
    """What a method takes of its terms, and what it does by itself."""

    decay: Fraction | None = None
    """Its default, where it has one. The filter's is the best of the daily history of ten assets."""
    rule: bool = False
    moments: bool = False
    """ddof and mean."""
    paths: bool = False


KNOWS = {
    Method.HISTORICAL: Traits(rule=True),
    Method.FILTERED_HISTORICAL: Traits(rule=True, decay=Fraction(97, 100)),
    Method.AGE_WEIGHTED: Traits(decay=Fraction(98, 100)),
    Method.NORMAL: Traits(moments=True),
    Method.EWMA_NORMAL: Traits(decay=Fraction(94, 100)),
    Method.CORNISH_FISHER: Traits(moments=True),
    Method.MONTE_CARLO: Traits(rule=True, moments=True, paths=True),
}

Model = Callable[[Floats], Figures]
"""From weights to figures."""


def prepare(method: Method, returns: Floats, terms: Terms) -> Model:
    """`returns` is days x assets, oldest first, at least two days and more than `ddof`. Raises Invalid."""
    return _METHODS[method](returns, terms)


def _historical(returns: Floats, terms: Terms) -> Model:
    losses = -sqrt(terms.days) * returns
    tail = equal_tail(terms.level, losses.shape[0], terms.rule)
    return lambda weights: of_scenarios(losses, weights, tail)


def _filtered(returns: Floats, terms: Terms) -> Model:
    """Each day's return by the ratio of tomorrow's volatility to that day's forecast, both of the portfolio."""
    losses = -sqrt(terms.days) * returns
    tail = equal_tail(terms.level, losses.shape[0], terms.rule)

    def figures(weights: Floats) -> Figures:
        portfolio = returns @ weights
        if not portfolio.any():
            return of_scenarios(losses, weights, tail)
        volatility = forecasts(portfolio, float(terms.decay))
        if not volatility.all():
            raise invalid(
                "The portfolio's return is 0 on all of its first days, so its volatility is unknown.",
                "Send a history that begins where the portfolio moves, or choose `historical`.",
            )
        return of_scenarios(losses * (volatility[-1] / volatility[:-1])[:, None], weights, tail)

    return figures


def _age_weighted(returns: Floats, terms: Terms) -> Model:
    losses = -sqrt(terms.days) * returns
    days = losses.shape[0]

    def figures(weights: Floats) -> Figures:
        portfolio = losses @ weights
        order = worst_first(portfolio, days)
        tail = aged_tail(terms.level, (days - 1 - order).tolist(), terms.decay)
        return of_worst(losses, portfolio, order, tail)

    return figures


def _normal(returns: Floats, terms: Terms) -> Model:
    def figures(weights: Floats) -> Figures:
        moments = closed_forms.sample_moments(returns, weights, ddof=terms.ddof, centred=terms.centred)
        form = closed_forms.normal(moments, terms.level, terms.days)
        return _with_worst_days(form, returns, weights, terms)

    return figures


def _ewma_normal(returns: Floats, terms: Terms) -> Model:
    def figures(weights: Floats) -> Figures:
        moments = closed_forms.weighted_moments(returns, weights, decay=float(terms.decay))
        return _with_worst_days(closed_forms.normal(moments, terms.level, terms.days), returns, weights, terms)

    return figures


def _cornish_fisher(returns: Floats, terms: Terms) -> Model:
    def figures(weights: Floats) -> Figures:
        moments = closed_forms.sample_moments(returns, weights, ddof=terms.ddof, centred=terms.centred)
        form = closed_forms.cornish_fisher(returns, weights, moments, terms.level, terms.days)
        return _with_worst_days(form, returns, weights, terms)

    return figures


def _monte_carlo(returns: Floats, terms: Terms) -> Model:
    means: Floats = returns.mean(axis=0) if terms.centred else np.zeros(returns.shape[1])
    deviations = returns - means
    covariance = deviations.T @ deviations / (returns.shape[0] - terms.ddof)
    paths = monte_carlo.asset_losses(
        means, covariance, seed=terms.seed, days=terms.days, blocks=range(monte_carlo.BLOCKS)
    )
    tail = equal_tail(terms.level, paths.shape[0], terms.rule)

    def figures(weights: Floats) -> Figures:
        found = of_scenarios(paths, weights, tail)
        form = closed_forms.Form(found.var, found.es, found.marginal_var, found.marginal_es, True)
        return _with_worst_days(form, returns, weights, terms)

    return figures


def _with_worst_days(form: closed_forms.Form, returns: Floats, weights: Floats, terms: Terms) -> Figures:
    """No day stands behind these figures, so their tail names the days on which the portfolio would have lost most."""
    losses = -(returns @ weights)
    worst = worst_first(losses, tail_count(terms.level, losses.size))
    return Figures(form.var, form.es, form.marginal_var, form.marginal_es, worst, form.domain_ok)


_METHODS: dict[Method, Callable[[Floats, Terms], Model]] = {
    Method.HISTORICAL: _historical,
    Method.FILTERED_HISTORICAL: _filtered,
    Method.AGE_WEIGHTED: _age_weighted,
    Method.NORMAL: _normal,
    Method.EWMA_NORMAL: _ewma_normal,
    Method.CORNISH_FISHER: _cornish_fisher,
    Method.MONTE_CARLO: _monte_carlo,
}
