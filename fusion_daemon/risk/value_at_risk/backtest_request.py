"""`backtest`: from a JSON request to its answer. Exceptions are counted on the decimals as they were sent."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist

import msgspec

from fusion_daemon.domain.decimals import float_text
from fusion_daemon.risk.request_body import finite, invalid, read_body
from fusion_daemon.risk.value_at_risk.backtests import acerbi_szekely, coverage
from fusion_daemon.risk.value_at_risk.basel import traffic_light
from fusion_daemon.risk.value_at_risk.levels import exact_text, level_of

_DAYS = 2
"""One transition at least."""
MOST_DAYS = 20_000


class BacktestRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    losses: list[Decimal]
    """Of consecutive days, oldest first, as fractions; a gain is negative."""
    var: list[Decimal]
    """What was forecast for the same days; positive where money may be lost."""
    level: Decimal
    es: list[Decimal] | None = None
    """Forecast with the VaR. Without it: that of a normal distribution with this VaR and mean 0."""


class BacktestConvention(msgspec.Struct, frozen=True):
    level: str
    n: int
    exception: str
    sign: str
    es: str
    """`given`, or `normal_ratio`."""
    data_hash: str


class BacktestAnswer(msgspec.Struct, frozen=True):
    exceptions: int
    expected: str
    kupiec_lr: str
    kupiec_p: str
    christoffersen_lr_ind: str
    christoffersen_p: str
    conditional_coverage_lr: str
    conditional_coverage_p: str
    basel_zone: str
    basel_multiplier: str
    z2: str | None
    """None where an exception has no ES above 0."""
    exception_days: list[int]
    """Positions in `losses`, from 0."""
    convention: BacktestConvention


def answer_backtest(body: bytes) -> BacktestAnswer:
    """Raises NotJson and Invalid."""
    asked = read_body(body, BacktestRequest)
    tail = 1 - level_of(asked.level)
    _check(asked)
    exceeded = [loss > var for loss, var in zip(asked.losses, asked.var, strict=True)]
    n = len(exceeded)
    found = coverage(exceeded, tail)
    light = traffic_light(sum(exceeded), n, tail)
    z2 = _z2(asked, exceeded, tail)
    return BacktestAnswer(
        exceptions=sum(exceeded),
        expected=exact_text(n * tail),
        kupiec_lr=float_text(found.unconditional.ratio),
        kupiec_p=float_text(found.unconditional.p),
        christoffersen_lr_ind=float_text(found.independence.ratio),
        christoffersen_p=float_text(found.independence.p),
        conditional_coverage_lr=float_text(found.conditional.ratio),
        conditional_coverage_p=float_text(found.conditional.p),
        basel_zone=light.zone,
        basel_multiplier=light.multiplier,
        z2=None if z2 is None else float_text(z2),
        exception_days=[day for day, each in enumerate(exceeded) if each],
        convention=BacktestConvention(
            level=exact_text(1 - tail),
            n=n,
            exception="loss > var",
            sign="losses positive",
            es="normal_ratio" if asked.es is None else "given",
            data_hash=_data_hash(asked),
        ),
    )


def _check(asked: BacktestRequest) -> None:
    n = len(asked.losses)
    if not _DAYS <= n <= MOST_DAYS:
        raise invalid(f"`losses` has {n} days.", f"Send {_DAYS} to {MOST_DAYS}.")
    for name, values in (("losses", asked.losses), ("var", asked.var), ("es", asked.es)):
        if values is not None and len(finite(values, name)) != n:
            raise invalid(f"`losses` has {n} days and `{name}` {len(values)}.", "Send one for each day.")


def _z2(asked: BacktestRequest, exceeded: Sequence[bool], tail: Fraction) -> float | None:
    """None where an exception's ES is not above 0: a ratio to it says nothing."""
    forecasts = _shortfalls(asked, float(tail))
    if forecasts is None or any(es <= 0 for es, each in zip(forecasts, exceeded, strict=True) if each):
        return None
    return acerbi_szekely([float(loss) for loss in asked.losses], forecasts, exceeded, tail)


def _shortfalls(asked: BacktestRequest, tail: float) -> list[float] | None:
    """None where VaR says nothing about ES: at a level of 0.5 a normal one is 0 whatever the deviation is."""
    if asked.es is not None:
        return [float(es) for es in asked.es]
    normal = NormalDist()
    z = -normal.inv_cdf(tail)
    return [float(var) * normal.pdf(z) / (tail * z) for var in asked.var] if z > 0 else None


def _data_hash(asked: BacktestRequest) -> str:
    """Of the series as they were read, in this order: equal numbers that are written differently hash alike."""
    digest = hashlib.sha256()
    for series in (asked.losses, asked.var, asked.es or ()):
        digest.update(" ".join(format(value.normalize(), "f") for value in series).encode() + b"\n")
    return f"sha256:{digest.hexdigest()}"
