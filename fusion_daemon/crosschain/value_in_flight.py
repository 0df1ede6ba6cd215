"""What is on its way: the value of each message once, at its source until the destination's application has it.

A message that expired, failed or was abandoned is still on its way: its value left the source and did not arrive,
until another message or a person brings it back. One without a canonical source carries nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, IntEnum

import msgspec

from fusion_daemon.crosschain.standing import Standing
from fusion_daemon.domain.identifiers import Address, ChainId


class Kind(IntEnum):
    """What the envelopes between two RemoteCredit contracts mean."""

    GRANT = 1
    CALL = 2
    """Asks for credit back; moves none itself."""
    RELEASE = 3
    SEIZE = 4


_NAMES: Mapping[int, str] = {kind: kind.name.lower() for kind in Kind}


def kind_name(kind: int) -> str:
    """`grant`, `call`, `release`, `seize`; of another application's kind, its number."""
    return _NAMES.get(kind, str(kind))


class Unit(Enum):
    """What an envelope's amount is, by its kind."""

    TOKEN = "token"
    """Base units of `asset` on the source chain."""
    CREDIT = "credit"
    """USD x 1e8 of a credit line; `asset` only says what backs it."""


UNITS: Mapping[int, Unit] = {Kind.GRANT: Unit.CREDIT, Kind.RELEASE: Unit.CREDIT, Kind.SEIZE: Unit.CREDIT}
"""Of each envelope kind that moves value."""


class Way(msgspec.Struct, frozen=True, gc=False):
    source: ChainId
    destination: ChainId
    unit: Unit
    asset: Address


def in_flight(standings: Iterable[Standing], units: Mapping[int, Unit] = UNITS) -> dict[Way, int]:
    """Amounts by way; credit and tokens are never added up."""
    found: dict[Way, int] = {}
    for standing in standings:
        envelope = standing.envelope
        unit = None if envelope is None else units.get(envelope.kind)
        if envelope is None or unit is None or standing.source != envelope.source or standing.applied:
            continue
        way = Way(envelope.source, envelope.destination, unit, envelope.asset)
        found[way] = found.get(way, 0) + envelope.amount
    return found
