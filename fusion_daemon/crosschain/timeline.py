"""A message's evidence as people read it: oldest first, one line a log, with where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fusion_daemon.crosschain.evidence import Evidence, Place
from fusion_daemon.domain.identifiers import hex_of

_WHERE = frozenset({"place", "payload"})
"""Shown apart, or told by the message itself."""


def timeline(evidence: Iterable[Evidence]) -> list[dict[str, object]]:
    """Of several chains, by the blocks' own times; within one chain, in its order."""
    ordered = sorted(evidence, key=lambda each: (each.place.timestamp, each.place.chain, each.place.order, each.key))
    return [{"event": type(each).__name__, **place_view(each.place), "says": _says(each)} for each in ordered]


def place_view(place: Place) -> dict[str, object]:
    return {
        "chain": place.chain,
        "block": place.block_number,
        "block_hash": hex_of(place.block_hash),
        "transaction": hex_of(place.tx_hash),
        "log_index": place.log_index,
        "receipt_index": place.receipt_index,
        "at": place.timestamp,
    }


def _says(evidence: Evidence) -> dict[str, object]:
    fields: Mapping[str, object] = msgspec.structs.asdict(evidence)
    return {name: _plain(value) for name, value in fields.items() if name not in _WHERE}


def _plain(value: object) -> object:
    """Octets as hex, and text that the store would not take as such; integers beyond JSON's own as text."""
    if isinstance(value, bytes):
        return hex_of(value)
    if isinstance(value, str) and "\0" in value:
        return hex_of(value.encode())
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    return value
