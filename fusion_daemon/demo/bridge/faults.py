"""What goes wrong on purpose, and what is held back because of it.

Whether a fault strikes a message depends on the seed and the message alone, never on order or time: two runs
over the same chains do the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from eth_utils.crypto import keccak

from fusion_daemon.domain.identifiers import Address, Hash32

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The source event: its transaction and its place in that transaction's receipt. A reorg makes another one."""

    tx_hash: Hash32
    position: int


class Held(Enum):
    """Why a message does not move on."""

    DROPPED = "dropped"
    DELAYED = "delayed"
    UNDERPAID = "underpaid"
    """Less gas was paid than the destination needs; a top-up sets it free."""
    FAILED = "failed"
    """It was executed once, without success."""


@dataclass(slots=True)
class Faults:
    """Switches; the caller sets them between steps. Probabilities are between 0 and 1."""

    seed: int = 0
    drop: float = 0.0
    """Accepted by nobody (Axelar), or committed and never executed (CCIP)."""
    duplicate: float = 0.0
    """Everything about it is sent twice."""
    starve: float = 0.0
    """Executed with too little gas: Axelar's transaction reverts, CCIP's state is FAILURE."""
    delay: int = 0
    """Steps between the first sight of a message and the first act on it."""
    reorder: bool = False
    """Messages of one step are carried in another order than they were sent in."""
    wrong_source: Address | None = None
    """This sender is told to the destination instead of the true one."""

    def strikes(self, fault: str, probability: float, key: Key) -> bool:
        return self._draw(fault, key) < probability * 2**64

    def ordered(self, items: Sequence[tuple[Key, T]]) -> list[tuple[Key, T]]:
        if not self.reorder:
            return list(items)
        if len(items) == 2:  # a shuffle of two is half the time none
            return list(reversed(items))
        return sorted(items, key=lambda item: self._draw("reorder", item[0]))

    def _draw(self, fault: str, key: Key) -> int:
        text = f"{self.seed}:{fault}:{key.position}:".encode()
        return int.from_bytes(keccak(text + key.tx_hash)[:8], "big")


@dataclass(slots=True)
class Memory:
    """What one carrier remembers of messages; it forgets those whose source event vanished."""

    seen: dict[Key, int] = field(default_factory=dict)
    """Steps since the first sight."""
    failed: set[Key] = field(default_factory=set)
    pardoned: set[Key] = field(default_factory=set)
    """Resumed by hand: no fault strikes them any more."""
    held: dict[Key, Held] = field(default_factory=dict)
    """As of the last step."""

    def look(self, keys: Iterable[Key]) -> None:
        """One step passes."""
        present = set(keys)
        self.seen = {key: self.seen.get(key, -1) + 1 for key in present}
        self.failed &= present
        self.pardoned &= present
        self.held = {}

    def resume(self, key: Key) -> None:
        """Raises KeyError when the message is not held."""
        if key not in self.held:
            raise KeyError(key)
        self.pardoned.add(key)
        self.failed.discard(key)

    def fail(self, key: Key) -> None:
        self.failed.add(key)
        self.held[key] = Held.FAILED

    def waits(self, key: Key, faults: Faults) -> bool:
        return key not in self.pardoned and self.seen[key] < faults.delay

    def holds(self, key: Key, faults: Faults) -> bool:
        """Whether to leave the message alone in this step; the reason is kept."""
        reason = self._reason(key, faults)
        if reason is not None:
            self.held[key] = reason
        return reason is not None

    def _reason(self, key: Key, faults: Faults) -> Held | None:
        if key in self.failed:
            return Held.FAILED
        if key in self.pardoned:
            return None
        if faults.strikes("drop", faults.drop, key):
            return Held.DROPPED
        return Held.DELAYED if self.waits(key, faults) else None
