"""What the risk calculator folds: its streams, what is held of them, and which entry is next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from actors.stream_input import Input
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.quarantine.rules import Orders
from fusion_daemon.risk.repository import EntriesAfter
from fusion_daemon.runtime import Bell, Fill, Topic

T = TypeVar("T")

OWNER = "risk_calculator"


@dataclass(frozen=True, slots=True)
class Sources:
    """The streams that are folded, and how each is read from the store where a topic dropped something."""

    prices: Topic[Price]
    price_fill: Fill[Price]
    accounts: Topic[AccountChange]
    account_fill: Fill[AccountChange]
    journals: Mapping[ChainId, Topic[JournalEntry]]
    journal_fills: Mapping[ChainId, Fill[JournalEntry]]
    entries_after: EntriesAfter
    """The same entries, for the snapshot's own transaction."""

    @property
    def streams(self) -> Sequence[str]:
        return [PRICE_STREAM, ACCOUNT_STREAM, *map(journal_stream, self.journals)]

    def advance(self, heads: Mapping[str, int]) -> None:
        """Announce what the store holds, whether or not the writers have started."""
        self.prices.advance(heads.get(PRICE_STREAM, 0))
        self.accounts.advance(heads.get(ACCOUNT_STREAM, 0))
        for topic in self.journals.values():
            topic.advance(heads.get(topic.stream, 0))


class Inputs:
    """The streams of one life. Trio side."""

    def __init__(
        self,
        sources: Sources,
        positions: Mapping[str, int],
        heads: Mapping[str, int],
        orders: Orders,
        bell: Bell,
    ) -> None:
        """`positions`: of the cursors. `heads`: of the streams at the start of this life."""

        def input_of(topic: Topic[T], fill: Fill[T]) -> Input[T]:
            stream = topic.stream
            subscription = topic.subscribe(OWNER, positions[stream], fill, bell)
            held = orders.held.get(stream)
            return Input(
                stream,
                subscription,
                heads.get(stream, 0),
                resting=None if held is None else held.resting,
                skipped=orders.skipped.get(stream, frozenset()),
            )

        self.prices = input_of(sources.prices, sources.price_fill)
        self.accounts = input_of(sources.accounts, sources.account_fill)
        self.journals = {
            chain: input_of(topic, sources.journal_fills[chain]) for chain, topic in sorted(sources.journals.items())
        }

    @property
    def in_time(self) -> bool:
        """Whether prices and blocks are still folded in the order of their times; see the loop's invariant."""
        return self.prices.behind or any(journal.behind for journal in self.journals.values())

    async def earliest(self) -> Input[JournalEntry] | None:
        """Of all journals that have a next entry, the one with the earliest block. A checkpoint as `look` is."""
        waiting = [journal for journal in self.journals.values() if await journal.look()]
        return min(waiting, key=lambda journal: journal.next.block.timestamp, default=None)

    def ages(self) -> Iterator[float]:
        """Of what is not in hand yet, in seconds."""
        yield self.prices.age
        yield self.accounts.age
        for journal in self.journals.values():
            yield journal.age
