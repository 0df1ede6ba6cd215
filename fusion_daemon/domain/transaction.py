"""A transaction that somebody of the daemon wants on a chain, before anything was done about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId

NATIVE_ASSET = AssetId("native")
"""Under which the chain's own currency counts in limits, whatever it is called there."""


@dataclass(frozen=True, slots=True)
class Intent:
    """What is to happen, and what it may cost. The same id is the same intent for ever: whoever proposes it again,
    after a crash for example, proposes nothing new."""

    id: str
    """Follows from what caused it: letters, digits, dots, dashes, underscores and colons, up to 128."""
    chain: ChainId
    signer: Address
    to: Address
    data: bytes
    """Calldata: empty, or a selector and its arguments."""
    value: int
    """Wei."""
    gas_cap: int
    """The most gas that it may need."""
    fee_cap: int
    """The most that a unit of gas may cost, tip included, in wei."""
    purpose: str
    """Which rule of the limits it falls under: `bridge.retry`, `settlement` …"""
    asset: AssetId
    """Of what it moves `amount`, in the asset's smallest unit, as its proposer says. NATIVE_ASSET and 0 for nothing
    but the call."""
    amount: int
    proposer: str
    """An actor's or a principal's name."""
    deadline: float | None = None
    """Unix seconds: not mined by then, it is called off."""
    gas_floor: int = 0
    """The least gas that it is given, `gas_cap` at the most: a call that catches its own want of gas goes through in a
    simulation with too little of it."""

    @property
    def selector(self) -> bytes:
        return self.data[:4]

    @property
    def digest(self) -> bytes:
        """Of all that it says: tells another intent under the same id."""
        parts = (
            self.id, self.chain, self.signer.hex(), self.to.hex(), self.data.hex(), self.value, self.gas_cap,
            self.fee_cap, self.purpose, self.asset, self.amount, self.proposer, self.deadline,
            self.gas_floor,
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).digest()
