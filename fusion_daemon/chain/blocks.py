"""What a node says, parsed: headers, logs, and where the chain's head and finality stand."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fusion_daemon.domain.identifiers import Address, Hash32
from fusion_daemon.domain.journal import BlockRef


class Header(msgspec.Struct, frozen=True, gc=False):
    """A msgspec struct, since there are many: creating one costs a fifth of a frozen dataclass."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    """Unix seconds, the block's own."""
    bloom: int | None
    """The 2,048-bit log filter as an integer; 0 when the block certainly has no logs (it has no receipts);
    None when the node did not say: some nodes fill in zeros."""

    @property
    def ref(self) -> BlockRef:
        return BlockRef(self.number, self.hash, self.timestamp)


class Log(msgspec.Struct, frozen=True, gc=False):
    """An event as the EVM emitted it. Its identity is (chain, block hash, log index).

    A msgspec struct, as a header is.
    """

    block_number: int
    block_hash: Hash32
    log_index: int
    transaction_hash: Hash32
    transaction_index: int
    address: Address
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """One endpoint's view of its own head. INVARIANT: safe and finalized never exceed `header.number`."""

    endpoint: int
    """Which endpoint says so; what follows from this head is asked there."""
    header: Header
    safe: int | None
    finalized: int | None
    """None: the node does not know the tag."""


@dataclass(frozen=True, slots=True)
class Created:
    """A contract that a factory created."""

    address: Address
    block: int
    """Of its creation; its logs count from there on, this block included."""
    factory: Address


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive blocks and the watched contracts' logs in them, from one endpoint."""

    headers: tuple[Header, ...]
    logs: tuple[Log, ...]
    """In chain order: by block, then log index."""
    repaired: int = 0
    """Blocks whose logs the node left out of a range answer and gave when asked by hash."""
    created: tuple[Created, ...] = ()
    """What factories created in these blocks; its logs are among them."""
    without_logs: frozenset[int] = frozenset()
    """Numbers of those whose logs were not asked for, since an operator skips them."""


@dataclass(frozen=True, slots=True)
class Creation:
    """What a transaction came to."""

    succeeded: bool
    block: int
    contract: Address | None
    """That it created itself; those that its calls created are not told."""
