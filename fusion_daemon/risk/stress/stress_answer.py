"""What `stress` answers: where the account stands, where each scenario leaves it, and which is the worst."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import msgspec

from fusion_daemon.risk.margin_rules.exposure import exposures
from fusion_daemon.risk.margin_rules.margin_request import position_of
from fusion_daemon.risk.margin_rules.measure import Rules
from fusion_daemon.risk.margin_rules.position import CollateralLeg, Leg, Position
from fusion_daemon.risk.margin_rules.rule_names import RULES
from fusion_daemon.risk.request_body import read_body
from fusion_daemon.risk.stress.outcome import Outcome, outcome, worst
from fusion_daemon.risk.stress.recorded_moves import recorded
from fusion_daemon.risk.stress.scenarios import Event, Halt, Stressed, stressed
from fusion_daemon.risk.stress.stress_request import StressRequest, scenarios_of, stable_of
from fusion_daemon.risk.value_at_risk.levels import exact_text


class StandingAnswer(msgspec.Struct, frozen=True):
    state: str
    health_factor_wad: str
    collateral_base: str
    debt_base: str
    equity_base: str
    margin_shortfall_base: str
    bad_debt_base: str


class ShockedPrice(msgspec.Struct, frozen=True):
    asset: str
    side: str
    price: str
    price_decimals: int
    move: str | None
    """Before rounding; None for an old price."""


class HaltAnswer(msgspec.Struct, frozen=True):
    unusable_collateral_base: str
    unrepayable_debt_base: str


class ScenarioAnswer(msgspec.Struct, frozen=True):
    name: str
    after: StandingAnswer
    equity_change_base: str
    prices: list[ShockedPrice]
    """That differ from the present ones."""
    assumed: list[str]
    halt: HaltAnswer | None


class StressConvention(msgspec.Struct, frozen=True):
    moves: str
    rounding: str
    worst: str
    recorded_moves: str
    """The data behind `crash` and `correlation:one`."""
    data_hash: str
    """Of the request as it was understood."""


class StressAnswer(msgspec.Struct, frozen=True):
    rules: str
    before: StandingAnswer
    worst: str
    scenarios: list[ScenarioAnswer]
    convention: StressConvention


def answer_stress(body: bytes) -> StressAnswer:
    """Raises NotJson and Invalid."""
    asked = read_body(body, StressRequest)
    position, rules = position_of(asked), RULES[asked.rules]
    by_asset, stable = exposures(position, rules), stable_of(asked)
    before = outcome(position, rules)
    under = [(each, stressed(position, each.event, by_asset, stable)) for each in scenarios_of(asked)]
    outcomes = {each.name: outcome(found.position, rules) for each, found in under}
    return StressAnswer(
        rules=asked.rules.value,
        before=_standing(before),
        worst=worst(outcomes),
        scenarios=[
            ScenarioAnswer(
                name=each.name,
                after=_standing(outcomes[each.name]),
                equity_change_base=str(outcomes[each.name].equity - before.equity),
                prices=_prices(position, found),
                assumed=list(found.assumed),
                halt=_halt(each.event, rules),
            )
            for each, found in under
        ],
        convention=StressConvention(
            moves="fraction of the present price",
            rounding="against the account, leg by leg",
            worst="lowest health factor, then least equity, then the first",
            recorded_moves=recorded().data_hash,
            data_hash=f"sha256:{hashlib.sha256(msgspec.json.encode(asked, order='sorted')).hexdigest()}",
        ),
    )


def _prices(position: Position, found: Stressed) -> list[ShockedPrice]:
    """A halt moves none: there legs are missing, and those that are left have their quotes."""
    present = {(leg.asset, _side(leg)): leg.quote for leg in position.legs}
    changed = {(leg.asset, _side(leg)): leg.quote for leg in found.position.legs}
    return [
        ShockedPrice(asset, side, str(quote.price), quote.decimals, _text(found.moves.get(asset)))
        for (asset, side), quote in changed.items()
        if quote != present[asset, side]
    ]


def _halt(event: Event, rules: Rules) -> HaltAnswer | None:
    if not isinstance(event, Halt):
        return None
    halted = rules.measure(event.halted)
    return HaltAnswer(str(halted.collateral), str(halted.debt))


def _side(leg: Leg) -> str:
    return "collateral" if isinstance(leg, CollateralLeg) else "debt"


def _standing(found: Outcome) -> StandingAnswer:
    return StandingAnswer(
        state=found.state,
        health_factor_wad=str(found.measure.health_factor),
        collateral_base=str(found.measure.collateral),
        debt_base=str(found.measure.debt),
        equity_base=str(found.equity),
        margin_shortfall_base=str(found.margin_shortfall),
        bad_debt_base=str(found.bad_debt),
    )


def _text(move: Fraction | None) -> str | None:
    return None if move is None else exact_text(move)
