"""Scenarios as data, and what each makes of a position."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from fusion_daemon.risk.margin_rules.position import CollateralLeg, Leg, Position, Quote


@dataclass(frozen=True, slots=True)
class PriceMoves:
    """Prices move; balances do not."""

    by_asset: Mapping[str, Fraction]
    others: Fraction | None
    """Of what is neither named nor stable. None: nobody knows; each takes the end of the known moves that is worse for
    the account, the lowest where it rather holds the asset, the highest where it rather owes it."""


@dataclass(frozen=True, slots=True)
class OldPrices:
    """One side is valued at prices that have been overtaken; the other at the present ones."""

    collateral: bool
    """The side: collateral, or debt."""
    by_asset: Mapping[str, int]
    """In the decimals of the asset's quote; what is absent keeps its price."""


@dataclass(frozen=True, slots=True)
class Halt:
    """A chain stands still. Nobody can seize, sell or add to collateral there, so it bears no debt, not even that of
    the same chain; debt there is owed in full, and cannot be repaid."""

    reachable: Position
    """The legs elsewhere."""
    halted: Position


Event = PriceMoves | OldPrices | Halt


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    event: Event


@dataclass(frozen=True, slots=True)
class Stressed:
    position: Position
    """What is judged."""
    moves: Mapping[str, Fraction]
    """Of the assets that move, before rounding."""
    assumed: tuple[str, ...]
    """Assets whose move nobody recorded."""


def stressed(position: Position, event: Event, exposures: Mapping[str, Fraction], stable: Collection[str]) -> Stressed:
    """`exposures`: of every asset of the position, negative where it is rather owed."""
    match event:
        case PriceMoves():
            assumed = _assumed(event, exposures, stable)
            moves = {asset: _move(event, asset, exposure, stable) for asset, exposure in exposures.items()}
            moved = position.requoted(lambda leg: shocked(leg, moves[leg.asset]))
            return Stressed(moved, {asset: move for asset, move in moves.items() if move}, assumed)
        case OldPrices():
            return Stressed(position.requoted(lambda leg: _old(leg, event)), {}, ())
        case Halt():
            judged = Position(event.reachable.collateral, event.reachable.debt + event.halted.debt)
            return Stressed(judged, {}, ())


def shocked(leg: Leg, move: Fraction) -> Quote:
    """Rounded against the account. A debt's price stays above 0."""
    price = leg.quote.price * (1 + move)
    return Quote(floor(price) if isinstance(leg, CollateralLeg) else ceil(price), leg.quote.decimals)


def _move(event: PriceMoves, asset: str, exposure: Fraction, stable: Collection[str]) -> Fraction:
    named = event.by_asset.get(asset)
    if named is not None:
        return named
    if asset in stable:
        return Fraction(0)
    if event.others is not None:
        return event.others
    return max(event.by_asset.values()) if exposure < 0 else min(event.by_asset.values())


def _assumed(event: PriceMoves, exposures: Mapping[str, Fraction], stable: Collection[str]) -> tuple[str, ...]:
    if event.others is not None:
        return ()
    return tuple(asset for asset in exposures if asset not in event.by_asset and asset not in stable)


def _old(leg: Leg, event: OldPrices) -> Quote:
    if isinstance(leg, CollateralLeg) is not event.collateral:
        return leg.quote
    return Quote(event.by_asset.get(leg.asset, leg.quote.price), leg.quote.decimals)
