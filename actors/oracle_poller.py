"""Reads every chain's feeds, and publishes what is worth a number: the one writer of the stream `prices`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, TypeVarTuple

import trio

from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.oracle.calls import CallFailed, CallMany, OpenCalls, identity_calls, judge_identity, round_call
from fusion_daemon.oracle.chainlink import FeedMismatch, read_round
from fusion_daemon.oracle.feed_book import FeedBook, SourceStatistics
from fusion_daemon.oracle.records import append_prices
from fusion_daemon.oracle.repository import latest_prices
from fusion_daemon.oracle.settings import ChainlinkSource, OracleSettings
from fusion_daemon.runtime import Actor, ActorContext, Bell, Topic
from fusion_daemon.store import Claim, Commit, Reader

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

NAME = "oracle_poller"


class PriceStore(Protocol):
    """The part of the store that the poller uses. Trio side."""

    async def claim(self, owner: str, *, produces: Sequence[str] = (), consumes: Sequence[str] = ()) -> Claim: ...

    async def read(self, query: Callable[[Reader, *Ts], Awaitable[T]], *args: *Ts, timeout: float = 30.0) -> T: ...

    async def commit(self, commit: Commit) -> None: ...


class OraclePoller(Actor):
    """One task a chain keeps the book of last words up to date; one task publishes from it.

    So a chain whose node hangs delays nobody, and while a commit is under way newer readings overwrite
    older ones: consumers get the latest, not a backlog. Whatever the store refuses is a crash, and the
    next life starts from what is committed. Asked to drain, it finishes the commit under way and returns; what has
    been read since is dropped, and read anew by the next life.
    """

    name = NAME

    def __init__(self, settings: OracleSettings, store: PriceStore, topic: Topic[Price], calls: OpenCalls) -> None:
        self._settings = settings
        self._store = store
        self._topic = topic
        self._calls = calls
        self._bell = Bell()
        self._book = FeedBook(settings, ())

    def statistics(self) -> tuple[SourceStatistics, ...]:
        """Every source's counts in this life."""
        return self._book.statistics()

    async def run(self, context: ActorContext) -> None:
        claim = await self._store.claim(self.name, produces=[PRICE_STREAM])
        self._book = book = FeedBook(self._settings, await self._store.read(latest_prices))
        self._topic.advance(claim.heads[PRICE_STREAM])
        async with self._calls() as call_many, trio.open_nursery() as nursery:
            context.started()
            chains = self._settings.on_chains()
            for chain, sources in chains.items():
                nursery.start_soon(self._poll, context, call_many, chain, sources)
            if not chains:
                self._bell.ring()
            await self._publish(context, book, claim)
            nursery.cancel_scope.cancel("nothing is published any more")

    async def _poll(
        self, context: ActorContext, call_many: CallMany, chain: ChainId, sources: Sequence[ChainlinkSource]
    ) -> None:
        while True:
            wanted = [source for source in sources if not self._book.refused(source.name)]
            if wanted:
                await self._read_feeds(context, call_many, chain, wanted)
                self._bell.ring()
            await trio.sleep(self._settings.poll_interval)

    async def _read_feeds(
        self, context: ActorContext, call_many: CallMany, chain: ChainId, sources: Sequence[ChainlinkSource]
    ) -> None:
        """One batch: the rounds of all feeds, and the identity of those that have not proved it yet."""
        book = self._book
        unproved = [source for source in sources if not book.checked(source.name)]
        calls = [call for source in unproved for call in identity_calls(source)]
        try:
            answers = await call_many(chain, [*calls, *map(round_call, sources)])
        except CallFailed as error:
            for source in sources:
                book.record_silence(source.name, str(error))
            return
        for at, source in enumerate(unproved):
            self._prove(context, book, source, answers[2 * at : 2 * at + 2])
        for source, answer in zip(sources, answers[len(calls) :], strict=True):
            if book.refused(source.name):
                continue
            if isinstance(answer, CallFailed):
                book.record_silence(source.name, str(answer))
            elif book.checked(source.name):
                now = context.clock.now()
                book.record(read_round(source, answer, now, self._settings.skew))

    def _prove(
        self,
        context: ActorContext,
        book: FeedBook,
        source: ChainlinkSource,
        answers: Sequence[bytes | CallFailed],
    ) -> None:
        finding = judge_identity(source, answers)
        if finding is None:
            book.confirm(source.name)
        elif isinstance(finding, FeedMismatch):
            book.refuse(source.name, finding)
            context.log.error("feed refused", source=source.name, reason=str(finding))
        else:
            book.record_silence(source.name, str(finding))

    async def _publish(self, context: ActorContext, book: FeedBook, claim: Claim) -> None:
        head = claim.heads[PRICE_STREAM]
        while True:
            # Also without news: heartbeats fall due and readings grow too old.
            await context.rest(self._settings.poll_interval, self._bell)
            await context.gate()
            if context.draining.is_set():
                return
            publications = book.due(head, context.clock.now())
            if publications:
                await self._store.commit(append_prices(publications, claim.epoch, head))
                self._topic.publish(head + 1, [each.price for each in publications])
                book.published(publications)
                head += len(publications)
            self._tell(context, book)

    def _tell(self, context: ActorContext, book: FeedBook) -> None:
        now = context.clock.now()
        troubles = book.troubles(now)
        as_of = book.as_of(now)
        if as_of is not None:
            context.fresh(as_of)
        if not troubles:
            context.healthy()
        elif book.without_price(now):
            context.unhealthy(" | ".join(troubles))
        else:
            context.degraded(" | ".join(troubles))
