"""Reads one chain for its listener: heads, spans, and how far the stored chain is on the node's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TypeVar, TypeVarTuple

from fusion_daemon.aio import Aio, AioTimeout
from fusion_daemon.chain.blocks import Head, Header, Log, Span
from fusion_daemon.chain.coverage import Ranges, stretch
from fusion_daemon.chain.endpoint_state import Event, State
from fusion_daemon.chain.finality import finality_violated
from fusion_daemon.chain.journal import ChainView, Finality
from fusion_daemon.chain.range_rules import Reason
from fusion_daemon.chain.ranges import RangeSize, first_size
from fusion_daemon.chain.reorg import common_ancestor, probes
from fusion_daemon.chain.rpc import ChainRpc, Complaint
from fusion_daemon.chain.rpc_errors import (
    BlockTooDense,
    RangeRefused,
    RpcFailure,
    Unanswered,
    complaint_of,
    crossing_unanswered,
)
from fusion_daemon.chain.rpc_patience import LONGEST_CROSSING, Patience
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import Inconsistent, check_headers, check_logs
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.runtime import ActorContext

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_DOOR_SECONDS = 5.0
_REQUESTS_PER_CROSSING = 4
"""A crossing may wait for nodes this many request timeouts, since it makes several requests."""
_YOUNG_BLOCKS = 32
"""Below the head: a node may not find their logs yet, also on a chain whose blocks are final at once."""
_MOST_BY_RECEIPTS = 100
"""Blocks: they have to come within one crossing."""
_LONGEST_BY_HASH = 100
"""Blocks: those asked by hash may each need their receipts, and have to come within one crossing."""


def longest_silence(settings: ChainSettings) -> float:
    """Seconds that a listener may wait for one crossing, without a beat."""
    return settings.request_timeout * _REQUESTS_PER_CROSSING


class ListenerDrains(Failure):
    """What was being read when the order to stop came is not stored; the next life reads it again."""


def _unheard() -> None:
    pass


def listener_drains(chain: ChainId) -> ListenerDrains:
    return ListenerDrains(
        f"The listener of chain {chain} was told to stop while it read.",
        "Nothing of what was read is stored.",
        "Nothing; started again, it reads on where it stood.",
    )


class ChainReader:
    """Trio side. Its answers are checked only as far as they are used here; the rest is the listener's to check."""

    def __init__(
        self,
        settings: ChainSettings,
        aio: Aio,
        rpc: ChainRpc,
        context: ActorContext,
        split: Callable[[Reason, str], None],
    ) -> None:
        """`split` hears of every range that an endpoint refused, and by which rule."""
        self._split = split
        self._progressed = context.beat
        self._pausing = partial(aio.to_trio, self._paused, timeout=_DOOR_SECONDS)
        self._settings = settings
        self._aio = aio
        self._rpc = rpc
        self._context = context
        self._sizes: dict[int, RangeSize] = {}
        """By endpoint: what one of them refuses says nothing about another."""
        self._complaints: list[Complaint] = []
        self.skipped: Ranges = ()
        """Blocks that are read without their logs."""

    def beside(self) -> ChainReader:
        """For somebody who reads beside the head: with range sizes of his own. What he sees of an endpoint counts for
        all, but that his crossings end is no sign that the head is followed."""
        reader = ChainReader(self._settings, self._aio, self._rpc, self._context, self._split)
        reader._complaints, reader._progressed = self._complaints, _unheard
        return reader

    def complain(self, endpoint: int, event: Event) -> None:
        """What was seen of an endpoint counts from the next head on."""
        self._complaints.append((endpoint, event))

    def blame(self, endpoint: int, failure: RpcFailure | Inconsistent) -> None:
        """A step with it ended so."""
        complaint = complaint_of(failure)
        if complaint is not None:
            self.complain(endpoint, complaint)

    async def head(self) -> Head:
        """Of the endpoint that is best by now."""
        complaints = tuple(self._complaints)
        self._complaints.clear()
        return await self._ask(self._rpc.fetch_head, complaints)

    def last_of(self, head: Head, finality: Finality, first: int, until: int) -> int:
        """Where a span from `first` would end as far as is known now; at `until` at most."""
        return self._size(head.endpoint).last(first, min(until, _bound(finality, first)))

    async def span(
        self, head: Head, finality: Finality, first: int, until: int, contracts: Sequence[Address]
    ) -> Span:
        """The next span from `first`, with the logs of `contracts` unless it is skipped; it ends at `until` at most.
        Several may be read at once."""
        by_hash = first > _oldest_by_hash(finality)
        until, skipped = stretch(self.skipped, first, until)
        wanted = () if skipped else contracts

        async def ask(last: int) -> Span:
            return await self._ask(self._rpc.fetch_span, head.endpoint, first, last, by_hash, wanted)

        span = await self._sized(head.endpoint, first, min(until, _bound(finality, first)), ask)
        return replace(span, without_logs=frozenset(each.number for each in span.headers)) if skipped else span

    async def told(self, endpoint: int, first: int, until: int, contracts: Sequence[Address]) -> Span:
        """What an endpoint says of final blocks when it is asked for their logs by range: those from `first` on, up to
        its only header; that is at `until` at most."""

        async def ask(last: int) -> Span:
            return await self._ask(self._rpc.fetch_told, endpoint, first, last, contracts)

        return await self._sized(endpoint, first, until, ask)

    async def proved(
        self, endpoint: int, numbers: Sequence[int], contracts: Sequence[Address], *, thorough: bool
    ) -> Span:
        """Blocks with the logs of their receipts, as `fetch_proved` reads them; no more than `by_receipts`. Raises
        Inconsistent where those contradict their own blocks."""
        span = await self._ask(self._rpc.fetch_proved, endpoint, numbers, contracts, thorough)
        check_logs(span)
        return span

    def by_receipts(self, endpoint: int) -> int:
        """So many blocks take no more than a second of what the endpoint allows, which the head needs too."""
        return max(1, min(_MOST_BY_RECEIPTS, int(self._rpc.statistics()[endpoint].rate)))

    def witnesses(self) -> tuple[int, ...]:
        """Two endpoints that tell of final blocks, those first that are not in use; so whoever the stored logs came
        from, one of the two is another. Fewer where there are none. One that lags tells the truth about what it has."""
        fit = [
            (seen.state is not State.ALIVE, seen.in_use, place)
            for place, seen in enumerate(self._rpc.statistics())
            if seen.state in {State.ALIVE, State.LAGGING}
        ]
        return tuple(place for _, _, place in sorted(fit)[:2])

    async def _sized(self, endpoint: int, first: int, until: int, ask: Callable[[int], Awaitable[Span]]) -> Span:
        """`ask` for the blocks from `first` up to the last one that it is called with, ever fewer while the endpoint
        refuses."""
        while True:
            last = self._size(endpoint).last(first, until)
            try:
                span = await ask(last)
            except RangeRefused as refused:
                said = refused.said
                size = self._size(endpoint).after_refusal(refused.first, refused.last, said.refusal)
                self._sizes[endpoint] = size
                self._split(said.refusal.reason, said.rule)
                until = first + size.blocks - 1  # whatever those beside it learn: the next one is smaller
                continue
            except BlockTooDense as dense:
                if dense.block <= first:
                    raise
                until = dense.block - 1  # what is before it can be had
                continue
            except Unanswered:
                self._sizes[endpoint] = self._size(endpoint).after_silence(last - first + 1)
                self._split(Reason.SILENCE, "")
                raise
            asked = span.headers[-1].number - first + 1
            self._sizes[endpoint] = self._size(endpoint).after_answer(asked, len(span.logs))
            return span

    def _size(self, endpoint: int) -> RangeSize:
        known = self._sizes.get(endpoint)
        return known or first_size(self._settings.longest_span, self._settings.logs_per_answer)

    async def branch(
        self, head: Head, finality: Finality, first: int, until: int, contracts: Sequence[Address]
    ) -> Span:
        headers: list[Header] = []
        logs: list[Log] = []
        repaired = 0
        without_logs: frozenset[int] = frozenset()
        while first <= until:
            span = await self.span(head, finality, first, until, contracts)
            headers += span.headers
            logs += span.logs
            repaired += span.repaired
            without_logs |= span.without_logs
            first = span.headers[-1].number + 1
        return Span(tuple(headers), tuple(logs), repaired, without_logs=without_logs)

    async def with_logs_of(
        self, head: Head, finality: Finality, span: Span, contracts: Sequence[Address]
    ) -> Span:
        """The span, with the logs of contracts that it was read without, however small the pieces that the endpoint
        gives. Asks for nothing where the blocks' bloom filters exclude them, or where they are skipped."""
        if not contracts:
            return span
        by_hash = span.headers[0].number > _oldest_by_hash(finality)
        logs, rest = list(span.logs), _with_logs(span)
        while rest:
            headers = rest.pop()
            try:
                more = await self._ask(self._rpc.fetch_more, head.endpoint, headers, by_hash, contracts)
            except RangeRefused as refused:
                if len(headers) == 1:
                    raise
                self._split(refused.said.refusal.reason, refused.said.rule)
                rest += [headers[: len(headers) // 2], headers[len(headers) // 2 :]]
                continue
            logs += more.logs
        return replace(span, logs=tuple(sorted(logs, key=lambda log: (log.block_number, log.log_index))))

    async def ancestor(self, view: ChainView, head: Head, until: int) -> BlockRef | None:
        """The highest stored block that is on the node's chain. None: it parts below our first block, of
        which nothing is final. Raises FinalityViolated when it parts below a final one: the node showed another
        block at its height. Blocks that it does not show at all are BlockUnknown."""
        lowest = view.blocks[0]
        for first, last in probes(lowest.number, until):
            headers = await self._ask(self._rpc.fetch_headers, head.endpoint, first, last)
            check_headers(headers, first)
            ancestor = common_ancestor(view.blocks, headers)
            if ancestor is not None:
                return ancestor
        if not view.rooted:
            return None
        raise finality_violated(view.chain, lowest)

    async def shown(self, number: int) -> Mapping[int, Hash32]:
        """The hash that each endpoint shows at a height; those that do not answer, or lack the block, are left out."""
        found: dict[int, Hash32] = {}
        for endpoint in range(len(self._settings.rpc_urls)):
            try:
                found[endpoint] = await self._ask(self._rpc.fetch_hash, endpoint, number)
            except RpcFailure as silent:
                self._context.log.info("no_witness", chain=self._settings.chain, reason=str(silent))
        return found

    async def _paused(self) -> None:
        self._progressed()

    async def _ask(self, question: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """One crossing to the nodes. Its end is progress, whatever it brings, so that neither a long reorg nor a silent
        endpoint is taken for a stuck actor."""
        try:
            with self._context.until_draining():
                patience = Patience(longest_silence(self._settings), self._pausing)
                return await self._aio.call(patience.ask, partial(question, *args), timeout=LONGEST_CROSSING)
        except AioTimeout as late:
            raise crossing_unanswered(late.seconds) from late
        finally:
            self._progressed()
        raise listener_drains(self._settings.chain)


def _with_logs(span: Span) -> list[tuple[Header, ...]]:
    """Its blocks that are not skipped, in runs of consecutive ones."""
    runs = groupby(span.headers, key=lambda header: header.number in span.without_logs)
    return [tuple(run) for skipped, run in runs if not skipped]


def _oldest_by_hash(finality: Finality) -> int:
    """Blocks above it, which are not final or still young, are asked for their logs by hash; the others by range."""
    return min(finality.finalized, finality.head - _YOUNG_BLOCKS)


def _bound(finality: Finality, first: int) -> int:
    """The last block that can be asked for together with `first`."""
    old = _oldest_by_hash(finality)
    return first + _LONGEST_BY_HASH - 1 if first > old else old
