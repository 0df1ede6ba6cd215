"""What the sender asks of a chain: answered by the chain room's client, whom this room does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.transaction import Intent
from fusion_daemon.transactions.decide import Reverted, Sight, Trial
from fusion_daemon.transactions.records import Answer


class NodeSilent(Failure):
    """No usable answer. A broadcast may have happened all the same."""


class NotSimulated(NodeSilent):
    """The node refused to try this one call, and not because the contract does: its signer is poor, for example."""


class Nodes(Protocol):
    """Trio side. Every method raises NodeSilent."""

    async def look(self, chain: ChainId, signer: Address, hashes: Sequence[Hash32]) -> Sight: ...

    async def simulate(self, intent: Intent) -> Trial | Reverted: ...

    async def broadcast(self, chain: ChainId, raw: bytes) -> tuple[Answer, str]:
        """And in which words."""
        ...


_KNOWN = ("already known", "already imported", "known transaction", "already in mempool", "already exists")
_LOW = ("nonce too low", "nonce is too low", "invalid transaction nonce")
_UNDERPRICED = ("underpriced", "fee too low to replace")
_POOR = ("insufficient funds", "insufficient balance", "insufficientfunds")


def answer_of(refusal: str | None) -> Answer:
    """What a node's refusal means; None for none. That it has it already is what was wanted: the first answer was
    lost."""
    text = (refusal or "").lower()
    if refusal is None or any(words in text for words in _KNOWN):
        return Answer.ACCEPTED
    if any(words in text for words in _LOW):
        return Answer.TOO_LOW
    if any(words in text for words in _UNDERPRICED):
        return Answer.UNDERPRICED
    return Answer.POOR if any(words in text for words in _POOR) else Answer.REFUSED
