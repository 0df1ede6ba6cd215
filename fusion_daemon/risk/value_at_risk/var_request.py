"""`var`: from a JSON request to its answer, with the conventions of every figure in it."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal

import msgspec
import numpy as np

from fusion_daemon.domain.decimals import float_text
from fusion_daemon.risk.request_body import finite, invalid, read_body
from fusion_daemon.risk.return_series import LEAST_STEPS, return_matrix
from fusion_daemon.risk.value_at_risk import monte_carlo, volatility
from fusion_daemon.risk.value_at_risk.figures import Figures, Floats
from fusion_daemon.risk.value_at_risk.horizons import Horizon, compounded, last_days
from fusion_daemon.risk.value_at_risk.levels import exact_text, level_of
from fusion_daemon.risk.value_at_risk.methods import KNOWS, Method, Model, Terms, Traits, prepare
from fusion_daemon.risk.value_at_risk.quantiles import QuantileRule


class VarRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    returns: dict[str, list[Decimal]]
    """Of each asset on the same consecutive days, oldest first; simple returns."""
    weights: dict[str, Decimal]
    """Value of each position over the portfolio's, negative where short. Assets without one are not held."""
    level: Decimal
    method: Method = Method.FILTERED_HISTORICAL
    quantile: QuantileRule = QuantileRule.ORDER_STATISTIC
    decay: Decimal | None = msgspec.field(default=None, name="lambda")
    ddof: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1
    mean: Literal["sample", "zero"] = "sample"
    horizon_days: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 1
    horizon: Horizon = Horizon.SCALED
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


class VarConvention(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is absent has no part in the method."""

    method: str
    level: str
    n: int
    """Scenarios, or days behind the moments."""
    window: int
    """Days of history."""
    tail_size: str
    """(1 - level) x n: below 1 the figures rest on a single scenario."""
    sign: str
    es: str
    contributions: str
    horizon_days: int
    horizon: str
    data_hash: str
    quantile: str | None = None
    decay: str | None = msgspec.field(default=None, name="lambda")
    volatility_seed: str | None = None
    ddof: int | None = None
    mean: str | None = None
    seed: int | None = None
    tail: str | None = None


class Contribution(msgspec.Struct, frozen=True):
    component_var: str
    """Weight x marginal: they sum to VaR."""
    marginal_var: str
    incremental_var: str
    """VaR minus that without this position."""
    component_es: str
    marginal_es: str
    incremental_es: str


class VarAnswer(msgspec.Struct, frozen=True):
    var: str
    es: str
    convention: VarConvention
    tail: list[int]
    """Places in `returns`, from 0, worst first; of windows of several days their last day."""
    domain_ok: bool
    contributions: dict[str, Contribution]


def answer_var(body: bytes) -> VarAnswer:
    """Raises NotJson and Invalid."""
    asked = read_body(body, VarRequest)
    knows = KNOWS[asked.method]
    decay = _decay(asked, knows)
    scaled = asked.horizon is Horizon.SCALED
    assets = sorted(asked.weights)
    daily, weights = _numbers(asked, assets)
    days = 1 if scaled else asked.horizon_days
    ends = last_days(days, daily.shape[0], asked.horizon)
    if ends.size < LEAST_STEPS:
        raise invalid(f"There are {ends.size} returns of {days} days.", f"Send a history with {LEAST_STEPS} or more.")
    returns = daily if days == 1 else compounded(daily, days, ends)
    terms = Terms(
        level=level_of(asked.level),
        rule=asked.quantile,
        decay=decay,
        ddof=asked.ddof,
        centred=asked.mean == "sample",
        days=asked.horizon_days if scaled else 1,
        seed=asked.seed,
    )
    with np.errstate(all="ignore"):  # numbers that overflow are found in the figures
        model = prepare(asked.method, returns, terms)
        figures = model(weights)
        if not np.isfinite([figures.var, figures.es, *figures.marginal_var, *figures.marginal_es]).all():
            raise invalid("The numbers are too large to compute with.", "Send returns and weights as fractions.")
        contributions = _contributions(assets, weights, model, figures)
    return VarAnswer(
        var=float_text(figures.var),
        es=float_text(figures.es),
        convention=_convention(asked, terms, (daily.shape[0], returns.shape[0]), _data_hash(assets, daily, weights)),
        tail=ends[figures.tail].tolist(),
        domain_ok=figures.domain_ok,
        contributions=contributions,
    )


def _decay(asked: VarRequest, knows: Traits) -> Fraction:
    if knows.decay is None:
        return Fraction(0)  # nobody reads it
    return knows.decay if asked.decay is None else level_of(asked.decay, "lambda")


def _numbers(asked: VarRequest, assets: list[str]) -> tuple[Floats, Floats]:
    """Days x assets, and the weights in the same order."""
    for asset in assets:
        if asset not in asked.returns:
            raise invalid(f"There are no returns of {asset[:64]!r}.", "Send returns of every asset that has a weight.")
    weights = finite([asked.weights[asset] for asset in assets], "weights")
    return return_matrix(asked.returns, assets), np.array([float(weight) for weight in weights])


def _contributions(assets: list[str], weights: Floats, model: Model, figures: Figures) -> dict[str, Contribution]:
    found = {}
    for place, asset in enumerate(assets):
        without = weights.copy()
        without[place] = 0.0
        rest = model(without)
        found[asset] = Contribution(
            component_var=float_text(float(weights[place] * figures.marginal_var[place])),
            marginal_var=float_text(float(figures.marginal_var[place])),
            incremental_var=float_text(figures.var - rest.var),
            component_es=float_text(float(weights[place] * figures.marginal_es[place])),
            marginal_es=float_text(float(figures.marginal_es[place])),
            incremental_es=float_text(figures.es - rest.es),
        )
    return found


def _convention(asked: VarRequest, terms: Terms, history: tuple[int, int], data_hash: str) -> VarConvention:
    """`history`: days of it, and returns that were made of them."""
    knows = KNOWS[asked.method]
    window, made = history
    n = monte_carlo.BLOCKS * monte_carlo.BLOCK_PATHS if knows.paths else made
    scenarios = knows.rule or asked.method is Method.AGE_WEIGHTED
    weighs = asked.method in (Method.FILTERED_HISTORICAL, Method.EWMA_NORMAL)
    return VarConvention(
        method=asked.method,
        level=exact_text(terms.level),
        n=n,
        window=window,
        tail_size=exact_text((1 - terms.level) * n),
        sign="losses positive",
        es="acerbi_tasche" if scenarios else "closed_form",
        contributions="scenario" if scenarios else "derivative",
        horizon_days=asked.horizon_days,
        horizon=_horizon(asked, knows),
        data_hash=data_hash,
        quantile=asked.quantile if knows.rule else "cumulated_likelihood" if scenarios else None,
        decay=exact_text(terms.decay) if knows.decay is not None else None,
        volatility_seed=f"mean square of the first {volatility.SEED_DAYS} returns" if weighs else None,
        ddof=asked.ddof if knows.moments else None,
        mean=asked.mean if knows.moments else "zero" if weighs else None,
        seed=asked.seed if knows.paths else None,
        tail=None if scenarios and not knows.paths else "worst days of the window",
    )


def _horizon(asked: VarRequest, knows: Traits) -> str:
    if asked.horizon is not Horizon.SCALED:
        return f"{asked.horizon}_compounded"
    return "independent_days" if knows.moments else "square_root_of_time"


def _data_hash(assets: list[str], returns: Floats, weights: Floats) -> str:
    """Of what was computed with: names, weights and returns as doubles, assets in the order of their names."""
    digest = hashlib.sha256()
    for place, asset in enumerate(assets):
        digest.update(asset.encode() + b"\0")
        digest.update(np.append(weights[place], returns[:, place]).astype("<f8").tobytes())
    return f"sha256:{digest.hexdigest()}"
