"""`stress`: from a JSON request to its scenarios. A request is one of `margin` with scenarios, and what they need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import msgspec

from fusion_daemon.risk.margin_rules.margin_request import MarginRequest, Name, Whole, filled, position_of
from fusion_daemon.risk.request_body import invalid
from fusion_daemon.risk.stress.recorded_moves import DEPEGS, STABLE, recorded
from fusion_daemon.risk.stress.scenarios import Halt, OldPrices, PriceMoves, Scenario

MOST_SCENARIOS = 64
MOST_STEPS = 1_000
GRID = tuple(Fraction(percent, 100) for percent in range(-16, 17, 4))
_LARGEST_MOVE = 1_000
_MOST_DIGITS = 18

Place = Annotated[int, msgspec.Meta(ge=0, le=31)]


class CustomForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    shocks: Annotated[dict[Name, Decimal], msgspec.Meta(min_length=1, max_length=256)]
    """By asset, fractions of its present price; all others stand still."""


class LegsForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Places in the request's lists, from 0."""

    collateral: Annotated[list[Place], msgspec.Meta(max_length=32)] = msgspec.field(default_factory=list)
    debt: Annotated[list[Place], msgspec.Meta(max_length=32)] = msgspec.field(default_factory=list)


class StressRequest(MarginRequest, frozen=True, forbid_unknown_fields=True, kw_only=True):
    scenarios: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=100)] | CustomForm],
        msgspec.Meta(min_length=1, max_length=MOST_SCENARIOS),
    ]
    price_history: dict[Name, Annotated[list[Whole], msgspec.Meta(max_length=MOST_STEPS)]] = msgspec.field(
        default_factory=dict
    )
    """Of `lag`: earlier prices in the asset's `price_decimals`, oldest first; the last is of one step ago."""
    chains: Annotated[dict[Name, LegsForm], msgspec.Meta(max_length=64)] = msgspec.field(default_factory=dict)
    """Of `halt`: which legs are on which chain."""


def scenarios_of(asked: StressRequest) -> list[Scenario]:
    """In the order in which they are named. Raises Invalid."""
    found: dict[str, Scenario] = {}
    for each in asked.scenarios:
        for scenario in _custom(each) if isinstance(each, CustomForm) else _named(each, asked):
            if found.setdefault(scenario.name, scenario) is not scenario:
                raise invalid(f"There are two scenarios {scenario.name!r}.", "Name each once, and custom ones apart.")
    return list(found.values())


def stable_of(asked: StressRequest) -> set[str]:
    return {*STABLE} | {form.asset for form in filled(asked) if form.stable}


def _custom(form: CustomForm) -> list[Scenario]:
    for asset, shock in form.shocks.items():
        if not shock.is_finite() or not -1 < shock <= _LARGEST_MOVE or _digits(shock) > _MOST_DIGITS:
            raise invalid(
                f"The shock of {asset!r} in {form.name!r} is {str(shock)[:40]}.",
                f"Send a fraction of the price above -1 and up to {_LARGEST_MOVE}, {_MOST_DIGITS} decimals at most.",
            )
    moves = {asset: Fraction(shock) for asset, shock in form.shocks.items()}
    return [Scenario(form.name, PriceMoves(moves, Fraction(0)))]


def _digits(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return -exponent


def _named(name: str, asked: StressRequest) -> list[Scenario]:
    kind, _, rest = name.partition(":")
    make = _KINDS.get(kind)
    if make is None:
        raise invalid(f"There is no scenario {name!r}.", f"Send {_OFFERED}, or {{name, shocks}}.")
    return make(rest, asked)


def _crash(day: str, _: StressRequest) -> list[Scenario]:
    days = recorded().crash_days
    if day and day not in days:
        raise invalid(f"There is no crash day {day!r}.", f"Send one of {', '.join(days)}, or `crash` for all.")
    chosen = (day,) if day else tuple(days)
    return [Scenario(f"crash:{each}", PriceMoves(days[each], None)) for each in chosen]


def _grid(rest: str, _: StressRequest) -> list[Scenario]:
    _nothing_after("grid", rest)
    return [Scenario(f"grid:{float(move):+.2f}", PriceMoves({}, move)) for move in GRID]


def _depeg(asset: str, _: StressRequest) -> list[Scenario]:
    if asset not in DEPEGS:
        raise invalid(
            f"There is no depeg of {asset!r}.", f"Send one of {', '.join(DEPEGS)}, or {{name, shocks}} of your own."
        )
    return [Scenario(f"depeg:{asset}", PriceMoves(DEPEGS[asset], Fraction(0)))]


def _correlation(to: str, _: StressRequest) -> list[Scenario]:
    if to != "one":
        raise invalid(f"There is no correlation to {to!r}.", "Send `correlation:one`.")
    return [
        Scenario("correlation:one:fall", PriceMoves(recorded().falls, None)),
        Scenario("correlation:one:rise", PriceMoves(recorded().rises, None)),
    ]


def _halt(chain: str, asked: StressRequest) -> list[Scenario]:
    legs = asked.chains.get(chain)
    if legs is None:
        raise invalid(f"`chains` does not say which legs are on {chain!r}.", "Send the places of its legs.")
    for places, forms, side in ((legs.collateral, asked.collateral, "collateral"), (legs.debt, asked.debt, "debt")):
        if any(place >= len(forms) for place in places):
            raise invalid(f"`chains` names a {side} of {chain!r} that there is not.", "Count the legs from 0.")

    def part(halted: bool) -> MarginRequest:
        return msgspec.structs.replace(
            asked,
            collateral=[form for place, form in enumerate(asked.collateral) if (place in legs.collateral) is halted],
            debt=[form for place, form in enumerate(asked.debt) if (place in legs.debt) is halted],
        )

    return [Scenario(f"halt:{chain}", Halt(position_of(part(halted=False)), position_of(part(halted=True))))]


def _lag(rest: str, asked: StressRequest) -> list[Scenario]:
    side, _, text = rest.partition(":")
    if side not in ("collateral", "debt") or not (text.isascii() and text.isdecimal() and int(text[:9]) > 0):
        raise invalid(f"There is no lag {rest!r}.", "Send `lag:collateral:<steps>` or `lag:debt:<steps>`.")
    steps, stable = int(text[:9]), stable_of(asked)
    forms = asked.collateral if side == "collateral" else asked.debt
    old = {}
    for asset in dict.fromkeys(form.asset for form in forms if int(form.scaled)):
        history = asked.price_history.get(asset, [])
        if not history and asset in stable:
            continue
        if len(history) < steps or int(history[-steps]) == 0:
            raise invalid(
                f"`price_history` has no price of {asset} {steps} steps ago.",
                "Send its earlier prices, oldest first, each above 0.",
            )
        old[asset] = int(history[-steps])
    return [Scenario(f"lag:{side}:{steps}", OldPrices(side == "collateral", old))]


def _nothing_after(kind: str, rest: str) -> None:
    if rest:
        raise invalid(f"There is no scenario '{kind}:{rest}'.", f"Send `{kind}`.")


_KINDS: Mapping[str, Callable[[str, StressRequest], list[Scenario]]] = {
    "crash": _crash,
    "grid": _grid,
    "depeg": _depeg,
    "correlation": _correlation,
    "halt": _halt,
    "lag": _lag,
}
_OFFERED = "`crash`, `crash:<date>`, `grid`, `depeg:<asset>`, `correlation:one`, `halt:<chain>`, `lag:<side>:<steps>`"
