"""Reads a stretch of one chain by several workers at once and hands it over in order.

    workers     [ 0 .. 49 ]   [ 50 .. 149 ]   [ 150 .. 249 ]      each a share, read in one span or, if refused, in more
    take()       ------------------------------------------>      in the order of the blocks, whoever came first

INVARIANTS
* What is taken is what one worker alone would have read: consecutive spans from the first block on, up to the first
  failure, which is raised in its place.
* Beyond its first share, no more than MOST_OCTETS, and one answer for each worker, is held at a time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from fusion_daemon.aio import AioTimeout
from fusion_daemon.chain.blocks import Head, Span
from fusion_daemon.chain.journal import Finality
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address

MOST_OCTETS = 16 * 1024 * 1024
_HEADER_OCTETS = 700
_LOG_OCTETS = 1_100
"""Of a log's objects, its data apart."""

_Piece = Span | Failure | AioTimeout


class SpanReader(Protocol):
    """Of several spans at once."""

    def last_of(self, head: Head, finality: Finality, first: int, until: int) -> int: ...

    async def span(
        self, head: Head, finality: Finality, first: int, until: int, contracts: Sequence[Address]
    ) -> Span: ...


@dataclass(slots=True, eq=False)
class _Share:
    """Blocks that one worker reads."""

    first: int
    last: int
    send: trio.MemorySendChannel[_Piece] = field(init=False)
    receive: trio.MemoryReceiveChannel[_Piece] = field(init=False)

    def __post_init__(self) -> None:
        self.send, self.receive = trio.open_memory_channel[_Piece](math.inf)


class CatchUp:
    """Of one look at the chain's head, from one endpoint. Trio side."""

    def __init__(
        self,
        reader: SpanReader,
        head: Head,
        finality: Finality,
        first: int,
        contracts: Sequence[Address],
        workers: int,
    ) -> None:
        self._reader = reader
        self._head = head
        self._finality = finality
        self._contracts = contracts
        self._next = first
        self._until = head.header.number
        """What lies behind a failure is not read."""
        self._workers = workers
        self._shares: deque[_Share] = deque()
        """Those not taken wholly yet, in the order of their blocks."""
        self._held = 0
        """Octets that were read and not taken."""
        self._taken = 0
        """Spans."""
        self._moved = trio.Event()
        """Set when something was read or taken, and then replaced."""

    async def read(self) -> None:
        """Ends when every block was read, or could not be. Begins with one worker and takes on another with every span
        that is taken: an endpoint that refuses to be asked so much at once still gives a span a look."""
        async with trio.open_nursery() as nursery:
            for worker in range(self._workers):
                while self._taken < worker and self._next <= self._until:
                    await self._moved.wait()
                nursery.start_soon(self._work)

    async def take(self) -> Span:
        """The next span. Raises what its reading raised."""
        while True:
            while not self._shares:
                await self._moved.wait()
            try:
                piece = await self._shares[0].receive.receive()
            except trio.EndOfChannel:
                self._shares.popleft()
                self._move(0)
                continue
            if not isinstance(piece, Span):
                raise piece
            self._taken += 1
            self._move(-weight(piece))
            return piece

    async def _work(self) -> None:
        while self._next <= self._until:
            first = self._next
            share = _Share(first, self._reader.last_of(self._head, self._finality, first, self._until))
            self._next = share.last + 1
            self._shares.append(share)
            self._move(0)
            with share.send:
                await self._read_share(share)

    async def _read_share(self, share: _Share) -> None:
        first = share.first
        while first <= min(share.last, self._until):
            # The first of all never waits: what it reads is what the others wait for.
            while self._held >= MOST_OCTETS and share is not self._shares[0]:
                await self._moved.wait()
            try:
                span = await self._reader.span(self._head, self._finality, first, share.last, self._contracts)
            except (Failure, AioTimeout) as failure:
                self._until = min(self._until, first - 1)
                share.send.send_nowait(failure)
                return
            share.send.send_nowait(span)
            self._move(weight(span))
            first += len(span.headers)

    def _move(self, octets: int) -> None:
        self._held += octets
        self._moved.set()
        self._moved = trio.Event()


def weight(span: Span) -> int:
    """About what a span takes in memory, in octets."""
    data = sum(map(len, [log.data for log in span.logs]))
    return len(span.headers) * _HEADER_OCTETS + len(span.logs) * _LOG_OCTETS + data
