"""Rule: whoever reads first, spans are taken in the order of their blocks, up to the first failure; and what is held
is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import actors.chain_catch_up as chain_catch_up
from actors.chain_catch_up import CatchUp, weight
from fusion_daemon.chain.blocks import Head, Header, Span
from fusion_daemon.chain.journal import Finality
from fusion_daemon.chain.rpc_errors import EndpointFault, endpoint_fault
from fusion_daemon.domain.identifiers import Address, Hash32

FIRST, LAST = 5, 400
FINALITY = Finality(LAST, None, 300, named=True)


def header(number: int) -> Header:
    return Header(number, Hash32(number.to_bytes(32, "big")), Hash32((number - 1).to_bytes(32, "big")), number, 0)


HEAD = Head(0, header(LAST), None, 300)


@dataclass
class Library:
    """Spans of random length after random times; blocks that cannot be had."""

    random: Random
    lacking: frozenset[int] = frozenset()
    reading: int = 0
    most_reading: int = 0
    read: list[int] = field(default_factory=list)
    """First blocks."""

    def last_of(self, head: Head, finality: Finality, first: int, until: int) -> int:
        return min(until, first + self.random.randrange(20))

    async def span(
        self, head: Head, finality: Finality, first: int, until: int, contracts: Sequence[Address]
    ) -> Span:
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        await trio.sleep(self.random.random())
        self.reading -= 1
        self.read.append(first)
        last = self.random.randint(first, until)
        if any(first <= block <= last for block in self.lacking):
            raise endpoint_fault("http://node.example", f"lacks a block from {first} on")
        return Span(tuple(header(number) for number in range(first, last + 1)), ())


async def taken(library: Library, workers: int) -> tuple[list[int], EndpointFault | None]:
    """The blocks, and what ended them."""
    catch_up = CatchUp(library, HEAD, FINALITY, FIRST, (), workers)
    blocks: list[int] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catch_up.read)
        try:
            while not blocks or blocks[-1] < LAST:
                blocks += [each.number for each in (await catch_up.take()).headers]
                await trio.sleep(library.random.random() / workers)
        except EndpointFault as fault:
            nursery.cancel_scope.cancel()
            return blocks, fault
    return blocks, None


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 32])
async def test_in_order_whoever_is_first(autojump_clock: MockClock, workers: int) -> None:
    libraries = [Library(Random(seed)) for seed in range(20)]
    for library in libraries:
        assert await taken(library, workers) == (list(range(FIRST, LAST + 1)), None)
    assert (workers + 1) // 2 <= max(library.most_reading for library in libraries) <= workers


@pytest.mark.parametrize("workers", [1, 4, 8])
async def test_a_failure_stands_in_its_place(autojump_clock: MockClock, workers: int) -> None:
    for seed in range(20):
        random = Random(seed)
        lacking = frozenset(random.sample(range(FIRST, LAST), 3))
        blocks, fault = await taken(Library(random, lacking), workers)
        assert fault is not None
        assert blocks == list(range(FIRST, FIRST + len(blocks)))
        assert not lacking & set(blocks)
        assert f"from {FIRST + len(blocks)} on" in fault.happened, "the first one, and all before it"


async def test_a_first_answer_is_awaited_before_more_is_asked() -> None:
    """An endpoint that limits how much it is asked at once still gives a span a look."""
    library = Library(Random(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CatchUp(library, HEAD, FINALITY, FIRST, (), 8).read)
        await wait_all_tasks_blocked()
        assert library.reading == 1
        nursery.cancel_scope.cancel()


async def test_what_nobody_takes_is_bounded(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    octets = weight(Span((header(1),), ()))
    monkeypatch.setattr(chain_catch_up, "MOST_OCTETS", 30 * octets)
    library = Library(Random(1))
    catch_up = CatchUp(library, HEAD, FINALITY, FIRST, (), 4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(catch_up.read)
        last = FIRST - 1
        while last < LAST:
            last = (await catch_up.take()).headers[-1].number
            await trio.sleep(60.0)
            assert library.reading == 0
            assert library.read[-1] <= last + 30 + (4 + 1) * 20
    assert last == LAST
