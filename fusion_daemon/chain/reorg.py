"""Where do the stored chain and the node's chain part? Pure; the caller fetches what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from fusion_daemon.chain.blocks import Header, Span
from fusion_daemon.domain.journal import BlockRef

_FIRST_PROBE = 8
_GROWTH = 4
_LARGEST_PROBE = 128


def probes(lowest: int, highest: int) -> Iterator[tuple[int, int]]:
    """Ranges (inclusive) that cover lowest..highest from the top down: small first, since most reorgs are
    shallow, then growing, since an optimistic roll-up may have hours of blocks that are not final."""
    size, last = _FIRST_PROBE, highest
    while last >= lowest:
        first = max(lowest, last - size + 1)
        yield first, last
        last, size = first - 1, min(size * _GROWTH, _LARGEST_PROBE)


def common_ancestor(stored: Sequence[BlockRef], headers: Sequence[Header]) -> BlockRef | None:
    """The highest stored block that is also among `headers`; None when they part below all of these.

    ``stored   1 <- 2 <- 3a <- 4a``
    ``headers       2 <- 3b <- 4b``   gives 2

    `stored` is one chain, so equal hashes at one height mean equal chains below it.
    """
    theirs = {header.number: header.hash for header in headers}
    return next((block for block in reversed(stored) if theirs.get(block.number) == block.hash), None)


def parting(stored: Sequence[BlockRef], ancestor: BlockRef | None, branch: Span) -> tuple[BlockRef | None, Span]:
    """The true common ancestor of the stored chain and a branch that continues `ancestor`, and what of the branch
    lies above it: nothing when the node came back to our chain.

    ``stored   1 <- 2 <- 3a <- 4a``
    ``branch       2 <- 3a <- 4b``    read above 1, which was the ancestor a moment ago; gives 3a and ``4b``

    The branch is read after the ancestor was found, and the node may move in between: a block that is canonical
    with us already must never be applied again.
    """
    ancestor = common_ancestor(stored, branch.headers) or ancestor
    kept = -1 if ancestor is None else ancestor.number
    headers = tuple(header for header in branch.headers if header.number > kept)
    logs = tuple(log for log in branch.logs if log.block_number > kept)
    return ancestor, replace(branch, headers=headers, logs=logs)
