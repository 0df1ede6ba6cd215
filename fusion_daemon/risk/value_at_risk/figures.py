"""What every method answers, and how scenarios become it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusion_daemon.risk.value_at_risk.tails import Tail

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Figures:
    """VaR and ES as fractions of the portfolio's value, and what one unit of each asset's weight adds to them.

    Both are homogeneous in the weights, so weight x marginal, summed over the assets, is the whole (Euler).
    """

    var: float
    es: float
    marginal_var: Floats
    marginal_es: Floats
    tail: Indices
    """The days whose losses make the tail, worst first."""
    domain_ok: bool = True


def worst_first(losses: Floats, count: int) -> Indices:
    """The places of the `count` largest losses, the largest first, the earlier of two equal ones first."""
    least = losses.size - count
    edge = np.partition(losses, least)[least]
    among = np.flatnonzero(losses >= edge)
    return among[np.argsort(-losses[among], kind="stable")][:count]


def of_scenarios(asset_losses: Floats, weights: Floats, tail: Tail) -> Figures:
    """`asset_losses`: scenarios x assets, each the loss of one unit of weight."""
    losses = asset_losses @ weights
    return of_worst(asset_losses, losses, worst_first(losses, tail.reach), tail)


def of_worst(asset_losses: Floats, losses: Floats, worst: Indices, tail: Tail) -> Figures:
    """With the scenarios in order already; `worst` holds `tail.reach` of them."""
    at_var = worst[tail.var_ranks]
    in_tail = worst[: tail.es_weights.size]
    return Figures(
        var=float(tail.var_weights @ losses[at_var]),
        es=float(tail.es_weights @ losses[in_tail]),
        marginal_var=tail.var_weights @ asset_losses[at_var],
        marginal_es=tail.es_weights @ asset_losses[in_tail],
        tail=in_tail,
    )
