"""A mailbox's messages as bytes, for those that are set aside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class Codec(Generic[Message]):
    """Both ways. `decode` raises ValueError for what `encode` cannot have made."""

    encode: Callable[[Message], bytes]
    decode: Callable[[bytes], Message]

    def kept(self, message: Message) -> bytes | None:
        """None when it cannot be encoded."""
        try:
            return self.encode(message)
        except Exception:  # noqa: BLE001 - it is kept without its payload, and the handler's error is the news
            return None
