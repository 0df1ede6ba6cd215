"""A chain that replaces a block which it had called final: did the chain do that, or one endpoint alone? Pure."""

from __future__ import annotations

from collections.abc import Mapping

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import ChainId, Hash32, hex_of
from fusion_daemon.domain.journal import BlockRef


class FinalityViolated(Failure):
    """The node's chain lacks a block that the chain had called final."""


def finality_violated(chain: ChainId, block: BlockRef) -> FinalityViolated:
    return FinalityViolated(
        f"Chain {chain} replaced block {block.number} ({hex_of(block.hash)}), which it had called final.",
        "What is stored stays as it is; nothing new is read of the chain, and nothing new is signed for it.",
        "Check the RPC endpoints against another source. It goes on by itself once that block is back at a second"
        " endpoint (at the only one, where there is one); if the chain really rewrote its history, start with an"
        " empty database.",
    )


def keeps_root(root: Hash32, shown: Mapping[int, Hash32], accuser: int | None, configured: int) -> bool:
    """Is the stored final block `root` still the chain's, by what endpoints show at its height?

    ``shown``: endpoint -> hash, of those that answered. ``accuser``: which one showed another block first; None where
    nobody knows any more. ``configured``: how many endpoints the chain has.

    INVARIANT: nobody clears himself. With more than one endpoint the word of another one than the accuser is needed,
    and an endpoint stands alone against the rest, or it is not the endpoint.
    """
    ours = {endpoint for endpoint, block in shown.items() if block == root}
    if len(shown) - len(ours) > 1:
        return False
    if configured == 1 or len(ours) < len(shown):
        return bool(ours)
    return bool(ours - {accuser}) if accuser is not None else len(ours) > 1
