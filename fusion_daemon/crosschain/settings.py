"""What the message tracker is told. Plain values: the configuration is parsed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.terms import Terms
from fusion_daemon.domain.identifiers import Address, ChainId


@dataclass(frozen=True, slots=True)
class MessageSettings:
    networks: Networks
    terms: Terms
    axelarscan: str | None = None
    ccip_api: str | None = None

    @property
    def emitters(self) -> Mapping[ChainId, tuple[Address, ...]]:
        """Of each chain, the contracts whose logs tell of messages."""
        return {network.chain: network.emitters for network in self.networks}
