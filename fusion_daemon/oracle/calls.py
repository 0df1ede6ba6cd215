"""The seam to a chain: many view calls at its latest block in one crossing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.oracle.chainlink import (
    DECIMALS,
    DESCRIPTION,
    LATEST_ROUND_DATA,
    FeedMismatch,
    Malformed,
    check_identity,
)
from fusion_daemon.oracle.settings import ChainlinkSource

Call = tuple[Address, bytes]
"""Contract and calldata of one `eth_call`."""


class CallFailed(Failure):
    """A view call, or a whole batch of them, has no answer."""


class CallMany(Protocol):
    async def __call__(self, chain: ChainId, calls: Sequence[Call]) -> Sequence[bytes | CallFailed]:
        """Answers in the order of the calls, all from one batch. Trio side.

        A call that reverted or was refused is a CallFailed in its place; a batch that as a whole has no
        answer raises CallFailed. Has a deadline of its own, and may be cancelled at any time.
        """
        ...


OpenCalls = Callable[[], AbstractAsyncContextManager[CallMany]]
"""Clients of one life's own, open for as long as the block runs. Trio side."""


def identity_calls(source: ChainlinkSource) -> list[Call]:
    return [(source.address, DECIMALS), (source.address, DESCRIPTION)]


def round_call(source: ChainlinkSource) -> Call:
    return (source.address, LATEST_ROUND_DATA)


def judge_identity(source: ChainlinkSource, answers: Sequence[bytes | CallFailed]) -> FeedMismatch | CallFailed | None:
    """Whether the answers to `identity_calls` are those of the feed that is meant.

    None: they are. CallFailed: nothing is known yet, ask again; an empty answer too is what a node gives that
    is not yet where the feed was deployed. FeedMismatch: they are not; something that answers neither function
    as a feed does is none.
    """
    decimals, description = answers
    if isinstance(decimals, CallFailed):
        return decimals
    if isinstance(description, CallFailed):
        return description
    if not decimals or not description:
        return CallFailed(
            f"No contract answers at {source.name}.",
            "There is no price to read until one does.",
            "If it goes on, correct the address or the chain of this source under [[oracle.assets]] and reload.",
        )
    try:
        check_identity(source, decimals, description)
    except FeedMismatch as error:
        return error
    except Malformed as error:
        return FeedMismatch(
            f"What lies at {source.name} is no Chainlink feed: {error}.",
            "There is no price to read; its asset is refused.",
            "Correct the address or the chain of this source under [[oracle.assets]] and reload.",
        )
    return None


async def check_feeds(
    call_many: CallMany, chain: ChainId, sources: Sequence[ChainlinkSource]
) -> list[FeedMismatch | CallFailed]:
    """Every finding about the feeds of one chain, in one batch; empty: all are as configured. Trio side."""
    if not sources:
        return []
    try:
        answers = await call_many(chain, [call for source in sources for call in identity_calls(source)])
    except CallFailed as error:
        return [error]
    judged = [judge_identity(source, answers[2 * at : 2 * at + 2]) for at, source in enumerate(sources)]
    return [each for each in judged if each is not None]
