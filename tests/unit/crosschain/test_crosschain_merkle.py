"""The tree over the messages of a commit: every leaf, with its siblings, leads to the root; nothing else does."""

from __future__ import annotations

from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.crosschain.merkle import root_of, siblings_of
from fusion_daemon.domain.identifiers import Hash32

NODE = (1).to_bytes(32, "big")
leaf = st.binary(min_size=32, max_size=32).map(Hash32)
leaves = st.lists(leaf, min_size=1, max_size=40, unique=True)


def climbed(leaf: bytes, siblings: list[Hash32]) -> bytes:
    """As the destination's contract climbs."""
    for sibling in siblings:
        leaf = keccak(NODE + min(leaf, sibling) + max(leaf, sibling))
    return leaf


@given(leaves)
def test_every_leaf_leads_to_the_root(of: list[Hash32]) -> None:
    assert all(climbed(leaf, siblings_of(of, index)) == root_of(of) for index, leaf in enumerate(of))


@given(leaves, leaf)
def test_a_strange_leaf_does_not(of: list[Hash32], strange: Hash32) -> None:
    if strange not in of:
        assert all(climbed(strange, siblings_of(of, index)) != root_of(of) for index in range(len(of)))


def test_the_root_of_one_is_itself() -> None:
    assert root_of([Hash32(b"\1" * 32)]) == b"\1" * 32
    assert siblings_of([Hash32(b"\1" * 32)], 0) == []
