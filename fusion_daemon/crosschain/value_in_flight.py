"""What is on its way: the value of each message once, at its source until the destination's application has it.

A message that expired, failed or was abandoned is still on its way: its value left the source and did not arrive,
until another message or a person brings it back. One without a canonical source carries nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import msgspec

from fusion_daemon.crosschain.standing import Standing
from fusion_daemon.domain.identifiers import Address, ChainId


class Unit(Enum):
    """What an envelope's amount is, by its kind."""

    TOKEN = "token"
    """Base units of `asset` on the source chain."""
    CREDIT = "credit"
    """USD x 1e8 of a credit line; `asset` only says what backs it."""


class Way(msgspec.Struct, frozen=True, gc=False):
    source: ChainId
    destination: ChainId
    unit: Unit
    asset: Address


def in_flight(standings: Iterable[Standing], units: Mapping[int, Unit]) -> dict[Way, int]:
    """Amounts by way. `units`: of each envelope kind that moves value; other kinds (acknowledgements) move none."""
    found: dict[Way, int] = {}
    for standing in standings:
        envelope = standing.envelope
        unit = None if envelope is None else units.get(envelope.kind)
        if envelope is None or unit is None or standing.source != envelope.source or standing.applied:
            continue
        way = Way(envelope.source, envelope.destination, unit, envelope.asset)
        found[way] = found.get(way, 0) + envelope.amount
    return found
