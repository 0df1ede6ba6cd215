"""What a chain listener is told about its chain. Plain values: the configuration is parsed elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.identifiers import Address, ChainId


@dataclass(frozen=True, slots=True)
class PollSettings:
    """Bounds of the adaptive polling interval, in seconds."""

    shortest: float = 0.1
    longest: float = 4.0
    stillness: float = 30.0
    """So long without a new block, at least, is an ordinary pause of the chain."""


@dataclass(frozen=True, slots=True)
class RateBounds:
    """Of the calls a second that one endpoint is asked; a batch counts as its calls. The highest is where it starts:
    far above what a listener asks, so that nothing waits before a provider has said what is too much."""

    lowest: float = 5.0
    highest: float = 100_000.0


@dataclass(frozen=True, slots=True)
class ChainSettings:
    chain: ChainId
    name: str
    rpc_urls: tuple[str, ...]
    """In order of preference. They may hold credentials: never log them, `endpoint_name` hides those."""
    contracts: tuple[Address, ...]
    """Whose logs are read: vaults, escrow factories, and what carries messages to other chains."""
    factories: tuple[Address, ...] = ()
    """Those of them that create further ones, which are read from their creation on."""
    start_block: int | None = None
    """The first block to read when nothing is stored yet. None: wait until an operator sets one."""
    finality_depth: int = 64
    """Blocks behind the head that count as final when the chain has no `finalized` tag."""
    longest_span: int = 2_000
    """Most blocks asked for in one range."""
    logs_per_answer: int = 2_000
    """What the range size aims at: a fifth of what most providers give at once. To parse so many, which nothing
    interrupts, takes a millisecond or two."""
    workers: int = 4
    """Spans that are read at once while the chain is behind; what is stored does not depend on it."""
    request_timeout: float = 15.0
    """Seconds for one HTTP request to a node."""
    poll: PollSettings = PollSettings()
    rate: RateBounds = RateBounds()
    ws_urls: tuple[str, ...] = ()
    """Where new heads are announced, as a hint. They may hold credentials, too."""
