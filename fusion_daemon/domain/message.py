"""The stream of what changed about cross-chain messages: consumed by whoever acts on them."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.identifiers import Hash32

MESSAGE_STREAM = "messages"


@dataclass(frozen=True, slots=True)
class MessageChange:
    """How a message stands from this entry on."""

    seq: int
    message: Hash32
    before: str | None
    """The state before; None: it is new."""
    after: str | None
    """None: nothing canonical is left of it."""
