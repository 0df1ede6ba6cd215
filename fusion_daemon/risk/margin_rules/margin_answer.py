"""What `margin` answers: figures first, then how far they are from a liquidation and what cures one."""

from __future__ import annotations

import msgspec

from fusion_daemon.risk.margin import WAD
from fusion_daemon.risk.margin_rules.close_factor import LEAST_LEFT, closable, close_factor_bps
from fusion_daemon.risk.margin_rules.cures import Cure, cures
from fusion_daemon.risk.margin_rules.doubt import Interval, health_interval
from fusion_daemon.risk.margin_rules.liquidation import joint_move, liquidation_prices
from fusion_daemon.risk.margin_rules.margin_request import (
    MOST_REQUESTS,
    MarginRequest,
    filled,
    position_of,
    target_of,
)
from fusion_daemon.risk.margin_rules.measure import Rules
from fusion_daemon.risk.margin_rules.position import Position
from fusion_daemon.risk.margin_rules.rule_names import RULES, RuleName
from fusion_daemon.risk.request_body import Invalid, invalid, read_body


class PriceAnswer(msgspec.Struct, frozen=True):
    asset: str
    price: str | None
    price_decimals: int
    direction: str | None


class MoveAnswer(msgspec.Struct, frozen=True):
    move_wad: str | None
    direction: str | None


class CureAnswer(msgspec.Struct, frozen=True):
    asset: str
    amount: str | None


class CuresAnswer(msgspec.Struct, frozen=True):
    target_health_factor_wad: str
    repay: list[CureAnswer]
    add: list[CureAnswer]


class ClosableAnswer(msgspec.Struct, frozen=True):
    collateral: str
    debt: str
    close_factor_bps: int
    most: str


class IntervalAnswer(msgspec.Struct, frozen=True):
    low: str
    high: str


class MarginAnswer(msgspec.Struct, frozen=True):
    rules: str
    collateral_base: str
    debt_base: str
    health_factor_wad: str
    liquidatable: bool
    available_borrows_base: str
    average_liquidation_threshold_bps: int
    average_ltv_bps: int
    liquidation_prices: list[PriceAnswer]
    joint_move: MoveAnswer
    close_factor_bps: int
    closable: list[ClosableAnswer]
    least_left_base: str
    cure: CuresAnswer
    health_factor_interval: IntervalAnswer | None
    stale: list[str]


def answer_margin(body: bytes) -> MarginAnswer:
    """Raises NotJson and Invalid."""
    return _answer(read_body(body, MarginRequest))


def answer_margins(body: bytes) -> list[MarginAnswer]:
    """All, in order, or none. Raises NotJson and Invalid."""
    asked = read_body(body, list[MarginRequest])
    if len(asked) > MOST_REQUESTS:
        raise invalid(f"There are {len(asked)} requests.", f"Send {MOST_REQUESTS} at most.")
    return [_numbered(each, number) for number, each in enumerate(asked)]


def _numbered(asked: MarginRequest, number: int) -> MarginAnswer:
    try:
        return _answer(asked)
    except Invalid as error:
        raise invalid(f"In request number {number}, counted from 0: {error.happened}", error.remedy) from error


def _answer(asked: MarginRequest) -> MarginAnswer:
    position, rules, target = position_of(asked), RULES[asked.rules], target_of(asked)
    found = rules.measure(position)
    return MarginAnswer(
        rules=asked.rules.value,
        collateral_base=str(found.collateral),
        debt_base=str(found.debt),
        health_factor_wad=str(found.health_factor),
        liquidatable=found.health_factor < WAD,
        available_borrows_base=str(found.available_borrows),
        average_liquidation_threshold_bps=found.average_threshold_bps,
        average_ltv_bps=found.average_ltv_bps,
        liquidation_prices=_prices(position, rules),
        joint_move=_move(asked, position, rules),
        close_factor_bps=close_factor_bps(position, asked.rules, found),
        closable=[
            ClosableAnswer(each.collateral_asset, each.debt_asset, each.bps, str(each.most))
            for each in closable(position, asked.rules, found)
        ],
        least_left_base=str(LEAST_LEFT if asked.rules is RuleName.AAVE_V3_5 else 0),
        cure=_cures(position, rules, target),
        health_factor_interval=_interval(asked, position, rules),
        stale=sorted({form.asset for form in filled(asked) if form.freshness.stale}),
    )


def _prices(position: Position, rules: Rules) -> list[PriceAnswer]:
    decimals = {leg.asset: leg.quote.decimals for leg in position.legs}
    return [
        PriceAnswer(each.asset, _text(each.price), decimals[each.asset], each.direction and each.direction.value)
        for each in liquidation_prices(position, rules)
    ]


def _move(asked: MarginRequest, position: Position, rules: Rules) -> MoveAnswer:
    found = joint_move(position, rules, {form.asset for form in filled(asked) if form.stable})
    return MoveAnswer(_text(found.move), found.direction and found.direction.value)


def _cures(position: Position, rules: Rules, target: int) -> CuresAnswer:
    def told(each: Cure) -> CureAnswer:
        return CureAnswer(each.asset, _text(each.amount))

    found = cures(position, rules, target)
    return CuresAnswer(str(target), [told(each) for each in found.repay], [told(each) for each in found.add])


def _interval(asked: MarginRequest, position: Position, rules: Rules) -> IntervalAnswer | None:
    """None where no leg has a band."""
    bands = {form.asset: form.band_bps for form in filled(asked)}
    if not any(bands.values()):
        return None
    found: Interval = health_interval(position, rules, bands)
    return IntervalAnswer(str(found.low), str(found.high))


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
