"""`performance`: from a JSON request to its answer."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from enum import StrEnum
from math import expm1, log, log1p, sqrt
from typing import Annotated

import msgspec
import numpy as np

from fusion_daemon.domain.decimals import float_text
from fusion_daemon.risk.analytics.concentration import concentration
from fusion_daemon.risk.analytics.drawdowns import deepest
from fusion_daemon.risk.analytics.performance import Performance, WorthNothing, performance
from fusion_daemon.risk.analytics.ratios import beta, sharpe, volatility
from fusion_daemon.risk.request_body import finite, invalid, read_body
from fusion_daemon.risk.value_at_risk.figures import Floats

_POINTS = 2
MOST_POINTS = 10_000
MOST_ASSETS = 256
_LARGEST_GROWTH = 1e100
"""Of one step, as its inverse is the least: no square of it overflows."""


class ReturnKind(StrEnum):
    SIMPLE = "simple"
    LOG = "log"


class PerformanceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    values: dict[str, list[Decimal]]
    """Of each position at the same points of time, oldest first; a debt's are negative."""
    flows: dict[str, list[Decimal]] = msgspec.field(default_factory=dict)
    """Paid into a position (out: negative) in each step, at its end; one fewer than values. A trade between two
    positions is two flows that cancel."""
    benchmark: list[Decimal] | None = None
    """Its value at the same points."""
    returns: ReturnKind = ReturnKind.SIMPLE
    ddof: Annotated[int, msgspec.Meta(ge=0, le=1)] = 1
    steps_per_year: Annotated[int, msgspec.Meta(ge=1, le=600_000)] = 365
    risk_free: Decimal = Decimal(0)
    """A year's, as a fraction, compounded."""


class DrawdownAnswer(msgspec.Struct, frozen=True):
    depth: str
    peak: int
    trough: int
    recovery: int | None


class ConcentrationAnswer(msgspec.Struct, frozen=True):
    herfindahl: str
    effective_number: str
    largest: str
    largest_share: str


class PerformanceConvention(msgspec.Struct, frozen=True):
    returns: str
    n: int
    """Returns."""
    ddof: int
    steps_per_year: int
    annualised_return: str
    annualised_volatility: str
    risk_free: str
    whole_return: str
    contributions: str
    drawdown: str
    concentration: str
    data_hash: str


class PerformanceAnswer(msgspec.Struct, frozen=True):
    whole_return: str
    annualised_return: str | None
    """None when it is too large for a number: a good hour is no forecast of a year."""
    volatility: str | None
    sharpe: str | None
    beta: str | None
    drawdown: DrawdownAnswer | None
    concentration: ConcentrationAnswer | None
    contributions: dict[str, str]
    convention: PerformanceConvention


def answer_performance(body: bytes) -> PerformanceAnswer:
    """Raises NotJson and Invalid."""
    asked = read_body(body, PerformanceRequest)
    assets = sorted(asked.values)
    values, flows = _numbers(asked, assets)
    found = _performance(values, flows, "values")
    if not found.index.all() or not np.isfinite([*found.index, *found.contributions]).all():
        raise invalid("The index is too large or too small to compute with.", "Send fewer steps, or correct them.")
    return PerformanceAnswer(
        whole_return=float_text(found.whole),
        annualised_return=_annualised(found, asked.steps_per_year),
        drawdown=_drawdown(found),
        concentration=_concentration(assets, values[-1]),
        contributions={asset: float_text(float(each)) for asset, each in zip(assets, found.contributions, strict=True)},
        convention=_convention(asked, assets, (values, flows)),
        **_ratios(asked, found),
    )


def _numbers(asked: PerformanceRequest, assets: list[str]) -> tuple[Floats, Floats]:
    """Points x assets and steps x assets."""
    if not 1 <= len(assets) <= MOST_ASSETS:
        raise invalid(f"`values` names {len(assets)} positions.", f"Name 1 to {MOST_ASSETS}.")
    n = len(asked.values[assets[0]])
    if not _POINTS <= n <= MOST_POINTS:
        raise invalid(f"There are {n} values of {assets[0][:64]!r}.", f"Send {_POINTS} to {MOST_POINTS} of each.")
    for name in asked.flows:
        if name not in asked.values:
            raise invalid(f"`flows` names {name[:64]!r}, which has no values.", "Send values of every position.")
    values = [_series(asked.values[asset], n, f"values.{asset[:64]}") for asset in assets]
    nothing = [Decimal(0)] * (n - 1)
    flows = [_series(asked.flows.get(asset, nothing), n - 1, f"flows.{asset[:64]}") for asset in assets]
    return np.array(values).T, np.array(flows).T


def _series(series: list[Decimal], n: int, name: str) -> list[float]:
    if len(finite(series, name)) != n:
        raise invalid(f"`{name}` has {len(series)} numbers and not {n}.", "Send a value a point, and a flow a step.")
    return [float(each) for each in series]


def _performance(values: Floats, flows: Floats, name: str) -> Performance:
    try:
        with np.errstate(all="ignore"):  # numbers that overflow are found in the returns
            found = performance(values, flows)
    except WorthNothing as error:
        raise invalid(
            f"In step {error.step} the sum of `{name}` is not above 0, or not when what was paid in is left out.",
            "Send values, not returns, whose sum is above 0: there is no return on nothing.",
        ) from error
    if not ((found.growth > 1 / _LARGEST_GROWTH) & (found.growth < _LARGEST_GROWTH)).all():
        raise invalid(f"The returns of `{name}` are too large to compute with.", "Correct the values.")
    return found


def _annualised(found: Performance, steps_per_year: int) -> str | None:
    """(1 + R) ^ (a year's steps / n) - 1."""
    try:
        return float_text(expm1(log(found.index[-1]) * steps_per_year / found.growth.size))
    except OverflowError:
        return None


def _ratios(asked: PerformanceRequest, found: Performance) -> dict[str, str | None]:
    """Volatility and Sharpe ratio annualised by the root of the steps of a year."""
    in_logs, root = asked.returns is ReturnKind.LOG, sqrt(asked.steps_per_year)
    series = found.log_returns if in_logs else found.returns
    ratio = sharpe(series, _risk_free(asked, in_logs=in_logs), asked.ddof)
    deviation = volatility(series, asked.ddof)
    return {
        "volatility": _text(deviation, root),
        "sharpe": _text(ratio, root),
        "beta": _text(_beta(asked, series, in_logs=in_logs), 1.0),
    }


def _risk_free(asked: PerformanceRequest, *, in_logs: bool) -> float:
    """Of a step."""
    (rate,) = finite([asked.risk_free], "risk_free")
    if not -1 < float(rate) <= 1_000:
        raise invalid(f"`risk_free` is {str(rate)[:40]}.", "Send a year's rate as a fraction, above -1.")
    step = log1p(float(rate)) / asked.steps_per_year
    return step if in_logs else expm1(step)


def _beta(asked: PerformanceRequest, series: Floats, *, in_logs: bool) -> float | None:
    if asked.benchmark is None:
        return None
    prices = np.array([_series(asked.benchmark, series.size + 1, "benchmark")]).T
    found = _performance(prices, np.zeros((series.size, 1)), "benchmark")
    return beta(series, found.log_returns if in_logs else found.returns)


def _drawdown(found: Performance) -> DrawdownAnswer | None:
    fall = deepest(found.index)
    return None if fall is None else DrawdownAnswer(float_text(fall.depth), fall.peak, fall.trough, fall.recovery)


def _concentration(assets: list[str], values: Floats) -> ConcentrationAnswer | None:
    found = concentration(values)
    if found is None:
        return None
    return ConcentrationAnswer(
        herfindahl=float_text(found.herfindahl),
        effective_number=float_text(found.effective),
        largest=assets[found.largest],
        largest_share=float_text(float(found.shares[found.largest])),
    )


def _text(value: float | None, factor: float) -> str | None:
    return None if value is None else float_text(value * factor)


def _convention(asked: PerformanceRequest, assets: list[str], numbers: tuple[Floats, Floats]) -> PerformanceConvention:
    digest = hashlib.sha256()
    for place, asset in enumerate(assets):
        digest.update(asset.encode() + b"\0")
        for table in numbers:
            digest.update(np.ascontiguousarray(table[:, place]).astype("<f8").tobytes())
    for each in asked.benchmark or ():
        digest.update(np.array(float(each)).astype("<f8").tobytes())
    return PerformanceConvention(
        returns=asked.returns,
        n=numbers[1].shape[0],
        ddof=asked.ddof,
        steps_per_year=asked.steps_per_year,
        annualised_return="compounded",
        annualised_volatility="square_root_of_time",
        risk_free="compounded",
        whole_return="time_weighted, flows at the end of their step",
        contributions="carino",
        drawdown="of the compounded index",
        concentration="shares of gross value at the last point",
        data_hash=f"sha256:{digest.hexdigest()}",
    )
