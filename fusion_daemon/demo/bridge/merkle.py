"""CCIP's merkle trees. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

_NODE = (1).to_bytes(32, "big")
_FILLER = b"\xff" * 32
"""Beside the last node of an odd layer."""


def root_of(leaves: Sequence[bytes]) -> bytes:
    """At least one leaf."""
    layer = list(leaves)
    while len(layer) > 1:
        layer = _above(layer)
    return layer[0]


def siblings_of(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes beside the way from leaf `index` up to the root."""
    layer, siblings = list(leaves), []
    while len(layer) > 1:
        siblings.append(_filled(layer)[index ^ 1])
        layer, index = _above(layer), index // 2
    return siblings


def _above(layer: Sequence[bytes]) -> list[bytes]:
    filled = _filled(layer)
    pairs = zip(filled[::2], filled[1::2], strict=True)
    return [keccak(_NODE + min(pair) + max(pair)) for pair in pairs]


def _filled(layer: Sequence[bytes]) -> list[bytes]:
    return [*layer, _FILLER] if len(layer) % 2 else list(layer)
