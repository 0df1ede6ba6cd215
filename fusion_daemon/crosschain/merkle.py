"""CCIP's merkle trees, as its network builds them over the leaves of a commit. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.crosschain.ids import merkle_node
from fusion_daemon.domain.identifiers import Hash32

_FILLER = Hash32(b"\xff" * 32)
"""Beside the last node of an odd layer."""


def root_of(leaves: Sequence[Hash32]) -> Hash32:
    """At least one leaf."""
    layer = list(leaves)
    while len(layer) > 1:
        layer = _above(layer)
    return layer[0]


def siblings_of(leaves: Sequence[Hash32], index: int) -> list[Hash32]:
    """The nodes beside the way from leaf `index` up to the root."""
    layer, siblings = list(leaves), []
    while len(layer) > 1:
        siblings.append(_filled(layer)[index ^ 1])
        layer, index = _above(layer), index // 2
    return siblings


def _above(layer: Sequence[Hash32]) -> list[Hash32]:
    filled = _filled(layer)
    return [merkle_node(*pair) for pair in zip(filled[::2], filled[1::2], strict=True)]


def _filled(layer: Sequence[Hash32]) -> list[Hash32]:
    return [*layer, _FILLER] if len(layer) % 2 else list(layer)
