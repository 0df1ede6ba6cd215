"""What the message tracker, and whoever reads a message, is told. Plain values: config is parsed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusion_daemon.crosschain.hints import Source
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.terms import Terms
from fusion_daemon.domain.identifiers import Address, ChainId


@dataclass(frozen=True, slots=True)
class MessageSettings:
    networks: Networks
    terms: Terms

    @property
    def emitters(self) -> Mapping[ChainId, tuple[Address, ...]]:
        """Of each chain, the contracts whose logs tell of messages."""
        return {network.chain: network.emitters for network in self.networks}


@dataclass(frozen=True, slots=True)
class ExplorerSettings:
    """Apart from the tracker's: what it does not know it cannot follow."""

    urls: Mapping[Source, str]
    """Of those that are asked."""
    timeout: float
    """Seconds: so long does whoever reads a message wait for them at most."""
