"""Follows one chain block by block and writes its journal.

A step looks at an endpoint's head, proves by hash that the stored tip is still on that chain, and then either
extends the tip or, when the chains part, retracts to the common ancestor and applies the new branch. Catching
up from far behind and following the head are the same code: spans of blocks, one transaction each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import trio

from actors.aside import aside
from actors.chain_catch_up import CatchUp
from actors.chain_companions import Companions, companions
from actors.chain_finality import FinalityWatch
from actors.chain_hints import announced
from actors.chain_reader import ChainReader, ListenerDrains, listener_drains
from actors.listener_statistics import ListenerStatistics
from fusion_daemon.aio import Aio, AioTimeout
from fusion_daemon.chain.blocks import Head, Span
from fusion_daemon.chain.coverage import Coverage
from fusion_daemon.chain.endpoint_state import Behind
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.factories import created
from fusion_daemon.chain.finality import FinalityViolated
from fusion_daemon.chain.journal import ChainView, Finality, Plan, StoredLogs, finality_of, plan_extend, plan_reorg
from fusion_daemon.chain.polling import Polling, Stillness
from fusion_daemon.chain.reorg import parting
from fusion_daemon.chain.repository import load_logs, load_view, propose_start_block, register_contracts
from fusion_daemon.chain.rpc import ChainRpc, open_rpc
from fusion_daemon.chain.rpc_errors import BlockTooDense, RateLimited, RpcFailure, WrongChain
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import Inconsistent, Unlinked, check_span
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.domain.journal import BlockRef, JournalEntry, journal_stream
from fusion_daemon.runtime import Actor, ActorContext, Topic
from fusion_daemon.store import Store, WriteConflict

_DOOR_SECONDS = 5.0
_BEAT_SECONDS = 5.0

_Ahead = tuple[Plan, Span] | Failure | AioTimeout
"""What is handed from reading to committing."""


class ChainListener(Actor):
    """One chain's only writer. Rebuilds its view from the store at every start; a crash loses nothing.

    Asked to drain, it gives up what it reads, finishes the commit under way (and that of what has been read to its end
    meanwhile), and returns.
    """

    def __init__(
        self,
        settings: ChainSettings,
        aio: Aio,
        store: Store,
        topic: Topic[JournalEntry],
        table: EventTable,
        endpoints: OpenEndpoints = own_endpoints,
    ) -> None:
        self.name = f"chain_listener:{settings.chain}"
        self._settings = settings
        self._aio = aio
        self._store = store
        self._topic = topic
        self._table = table
        self._endpoints = endpoints
        self._polling = Polling(settings.poll)
        self._stillness = Stillness()
        self._announced = False
        self._statistics = ListenerStatistics()
        # Set by `run` before anything else reads them.
        self._context: ActorContext
        self._epoch: int
        self._view: ChainView
        self._reader: ChainReader
        self._rpc: ChainRpc
        self._finality: FinalityWatch
        self._companions: Companions

    def statistics(self) -> ListenerStatistics:
        """A copy."""
        now = self._statistics
        return replace(now, splits=dict(now.splits), audit=replace(now.audit))

    async def run(self, context: ActorContext) -> None:
        self._context = context
        stream = journal_stream(self._settings.chain)
        claim = await self._store.claim(self.name, produces=(stream,))
        self._epoch = claim.epoch
        self._topic.advance(claim.heads[stream])
        with trio.CancelScope(shield=True):  # else nobody would close what was opened
            self._rpc = await self._aio.call(open_rpc, self._settings, self._endpoints, timeout=_DOOR_SECONDS)
        self._reader = ChainReader(self._settings, self._aio, self._rpc, context, self._statistics.split)
        self._finality = FinalityWatch(self._settings, self._store, self._reader, context, self._epoch)
        readers = [self._reader.beside() for _ in range(2)]
        self._companions = companions(
            self._settings, self._store, readers, context, self._table, self._statistics.audit, self._finality.suspect
        )
        self._statistics.endpoints = self._rpc.statistics()
        try:
            context.started()
            await self._propose_start()
            self._view = await self._stored_view(context, claim.heads[stream])
            await self._finality.restore(self._statistics.endpoints)
            async with announced(self._aio, self._settings, self._ring) as heads, self._companions.beside():
                self._statistics.announced = heads
                while not context.draining.is_set():
                    await context.gate()
                    await self._rest(context, await self._step(context))
        except ListenerDrains as draining:  # in the midst of a step; without an error, since nobody wants it any more
            context.log.debug("reading_given_up", reason=str(draining))
        finally:
            with trio.CancelScope(shield=True):
                await self._aio.call(self._rpc.close, timeout=_DOOR_SECONDS)

    async def _propose_start(self) -> None:
        chain, start = self._settings.chain, self._settings.start_block
        if start is not None:
            await self._store.transact(propose_start_block, chain, start)

    async def _stored_view(self, context: ActorContext, seq: int) -> ChainView:
        """The stored chain, as soon as it has a start block."""
        chain = self._settings.chain
        while True:
            view = await self._store.read(load_view, chain, seq)
            if view is not None:
                return await self._configured(view)
            context.degraded(
                f"Chain {chain} has no start block. Nothing is read. Set `start_block` in the configuration,"
                f" or POST /v1/chains/{chain}/start-block."
            )
            await context.gate()
            await context.rest(self._settings.poll.longest)
            if context.draining.is_set():
                raise listener_drains(chain)

    async def _configured(self, view: ChainView) -> ChainView:
        """With the contracts that the configuration names by now. Those of a chain that has no block yet are stored
        with its first."""
        coverage = view.coverage.configured(self._settings.contracts, view.start)
        if view.blocks and coverage != view.coverage:
            await self._store.commit(register_contracts(view.chain, self._epoch, view.coverage, coverage))
        if view.tip is not None:
            self._statistics.read(coverage, view.tip.number)
        return replace(view, coverage=coverage)

    async def _step(self, context: ActorContext) -> float:
        """One look at the head and what follows from it; seconds to rest afterwards. Only faults of the
        outside end here; what the store or a bug raises ends the actor, whose next life starts from what is
        stored."""
        if self._view.tip is None:  # the start may still be moved
            self._view = await self._stored_view(context, self._view.seq)
        self._reader.skipped = self._view.coverage.skipped
        try:
            looked = await self._look(context)
        except WriteConflict:
            if self._view.tip is not None:
                raise
            return self._settings.poll.shortest  # the start was moved while the first blocks were read
        except RateLimited as limited:
            self._polling = self._polling.limited()
            self._statistics.rate_limits += 1
            return self._failed(context, limited, limited.retry_after)
        except (WrongChain, BlockTooDense) as failure:
            self._statistics.dense += isinstance(failure, BlockTooDense)
            if self._finality.latched is None:
                context.unhealthy(str(failure))
            return self._settings.poll.longest
        except (RpcFailure, Inconsistent) as failure:
            self._polling = self._polling.failed()
            self._statistics.faults += 1
            return self._failed(context, failure, None)
        self._polling = self._polling.succeeded()
        if looked is None:
            return self._settings.poll.longest
        self._judge(context, *looked)
        self._companions.look(self._view, looked[0])
        return self._polling.interval(self._view.blocks)

    async def _look(self, context: ActorContext) -> tuple[Head, bool] | None:
        """Follow an endpoint's head. True: the stored chain was proved to be on the node's. None: the chain stands
        still, or the endpoint was contradicted by the others."""
        if self._view.blocks and not await self._finality.recheck(self._view.blocks[0]):
            context.unhealthy(str(self._finality.latched))
            return None
        head = await self._reader.head()
        try:
            return head, await self._follow(context, head)
        except (RpcFailure, Inconsistent) as failure:
            self._reader.blame(head.endpoint, failure)
            raise
        except FinalityViolated as violated:
            await self._finality.accused(head.endpoint, self._view.blocks[0], violated)
        if self._finality.latched is not None:
            context.unhealthy(self._finality.latched)
        else:
            self._degrade_for_forked(context)
        return None

    def _degrade_for_forked(self, context: ActorContext) -> None:
        names = ", ".join(self._statistics.endpoints[each].name for each in sorted(self._finality.disproved))
        context.degraded(
            f"Chain {self._settings.chain} is another one at {names}: it shows another block where the others show the"
            " final one that is stored. It is not believed. Replace it, or have its provider look at it."
        )

    def _judge(self, context: ActorContext, head: Head, verified: bool) -> None:
        """The chain's health after a look. `verified`: hash for hash; a head that says nothing about the stored chain
        proves nothing."""
        now = context.clock.monotonic()
        still = self._stillness = self._stillness.looked(self._view.blocks, now, self._settings.poll.stillness)
        if still.looks:
            what = f"It has shown no new block for {now - still.since:.0f} s."
            self._reader.complain(head.endpoint, Behind(what, self._view.next_number))
        if self._view.tip is not None:
            context.fresh(self._view.tip.timestamp)
        if still.looks >= len(self._settings.rpc_urls):
            context.degraded(
                f"Chain {self._settings.chain} shows no new block for {now - still.since:.0f} s at any endpoint. What"
                " happens on it is not seen. Check its status, and its RPC endpoints against another source."
            )
        elif self._finality.disproved:
            self._degrade_for_forked(context)
        elif self._companions.trouble is not None:
            context.degraded(self._companions.trouble)
        elif verified:
            context.healthy()

    def _failed(self, context: ActorContext, failure: Exception, asked: float | None) -> float:
        context.log.warning("chain_read_failed", chain=self._settings.chain, reason=str(failure))
        if self._finality.latched is None:
            context.degraded(str(failure))
        return self._polling.backoff(asked)

    async def _follow(self, context: ActorContext, head: Head) -> bool:
        """Bring the stored chain to an endpoint's head. True: the stored chain was proved to be on the
        node's.
        """
        view = self._view
        self._statistics.headed(head.header)
        if head.header.number >= view.next_number:
            try:
                await self._extend(context, head)
            except Unlinked:
                await self._reorganise(context, head)
            return True
        known = view.block_at(head.header.number)
        if known is None:  # below what can still change: an endpoint that is far behind, or starts later
            self._note_behind(context, head)
            return False
        if known.hash != head.header.hash:
            await self._reorganise(context, head)
        elif known.number < view.next_number - 1:
            # The same block at a lower height is a lagging endpoint (or a rollback, which the next block of
            # another hash will prove): nothing is retracted on a guess.
            self._note_behind(context, head)
        return True

    def _note_behind(self, context: ActorContext, head: Head) -> None:
        tip = self._view.next_number - 1
        context.log.info("endpoint_behind", chain=self._view.chain, head=head.header.number)
        self._reader.complain(head.endpoint, Behind(f"Its head {head.header.number} is below our block {tip}.", tip))

    async def _extend(self, context: ActorContext, head: Head) -> None:
        """Commit span after span up to the head; those behind it are read and planned meanwhile. Raises Unlinked
        when the stored tip is not on the node's chain."""
        failure: Failure | AioTimeout | None = None
        send, receive = trio.open_memory_channel[_Ahead](0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._plan_ahead, send, head)
            async with receive:
                async for ahead in receive:
                    try:
                        if not isinstance(ahead, tuple):
                            raise ahead
                        await self._commit(context, *ahead)
                    except (Failure, AioTimeout) as caught:
                        # Raised again below, outside of the nursery that would wrap it.
                        failure = caught
                        nursery.cancel_scope.cancel()
                        break
        if failure is not None:
            raise failure

    async def _plan_ahead(self, send: trio.MemorySendChannel[_Ahead], head: Head) -> None:
        """Plans from the tip to the head, each on the view that the one before it will leave. If one of them
        is not committed, those behind it are dropped: only a commit moves `self._view`."""
        view = self._view
        finality = finality_of(head, view, self._settings.finality_depth)
        contracts, workers = view.coverage.addresses, self._settings.workers
        catch_up = CatchUp(self._reader, head, finality, view.next_number, contracts, workers)
        async with send, trio.open_nursery() as nursery:
            nursery.start_soon(catch_up.read)
            try:
                while view.next_number <= head.header.number:
                    span = await self._with_created(head, finality, view.coverage, contracts, await catch_up.take())
                    parent = view.tip.hash if view.tip is not None else None
                    await aside(check_span, span, view.next_number, parent)
                    stored = await self._stored_logs(view, (), span)
                    plan = await aside(plan_extend, view, self._epoch, self._table, finality, span, stored)
                    await send.send((plan, span))
                    view = plan.view
            except (Failure, AioTimeout) as failure:
                await send.send(failure)
            nursery.cancel_scope.cancel()  # what is read behind a failure

    async def _reorganise(self, context: ActorContext, head: Head) -> None:
        """Retract to the common ancestor and apply the node's branch up to the old height; what is above it
        is an ordinary extension of the next step. The branch is read and checked before anything is
        written."""
        view = self._view
        tip, begun = view.tip, context.clock.monotonic()
        assert tip is not None
        until = min(head.header.number, tip.number)
        ancestor = await self._reader.ancestor(view, head, until)
        first = view.start if ancestor is None else ancestor.number + 1
        if first > until:
            return  # the node came back to our chain while it was asked: the next step sees
        finality = finality_of(head, view, self._settings.finality_depth)
        branch = await self._reader.branch(head, finality, first, until, view.coverage.addresses)
        try:
            await aside(check_span, branch, first, None if ancestor is None else ancestor.hash)
        except Unlinked as moved:
            raise Inconsistent(moved.happened, "The chain moved while it was read.", "Nothing.") from moved
        ancestor, branch = parting(view.blocks, ancestor, branch)
        if not branch.headers:
            return  # the node came back to our chain while it was asked: the next step sees
        first = branch.headers[0].number
        kept = view.coverage.retracted(first - 1)
        branch = await self._with_created(head, finality, kept, view.coverage.addresses, branch)
        lost = [block for block in view.blocks if block.number >= first]
        stored = await self._stored_logs(view, lost, branch)
        plan = await aside(plan_reorg, view, self._epoch, self._table, finality, ancestor, branch, stored)
        await self._commit(context, plan, branch)
        self._statistics.reorganised(lost, stored, context.clock.monotonic() - begun)
        context.log.warning(
            "chain_reorganised",
            chain=view.chain,
            depth=len(lost),
            block=first,
            tip=hex_of(branch.headers[-1].hash),
        )

    async def _with_created(
        self, head: Head, finality: Finality, known: Coverage, read: Sequence[Address], span: Span
    ) -> Span:
        """The span, with what factories created in it or before it, which it was not `read` with."""
        found = tuple(created(self._table, self._settings.factories, span.logs))
        known = known.created(found)
        further = [contract for contract in known.addresses if contract not in read]
        span = await self._reader.with_logs_of(head, finality, span, further)
        return replace(span, logs=known.counting(span.logs), created=found)

    async def _stored_logs(self, view: ChainView, lost: Sequence[BlockRef], span: Span) -> StoredLogs:
        """Of the stored blocks that a plan touches: those lost and those that come back."""
        wanted = [*lost, *(header.ref for header in span.headers if header.hash in view.orphans)]
        if not wanted:
            return {}
        return await self._store.read(load_logs, self._table, view.chain, wanted)

    async def _commit(self, context: ActorContext, plan: Plan, span: Span) -> None:
        await self._store.commit(plan.commit)
        # From here on it has happened: no checkpoint may come between the commit and its publication.
        self._view = plan.view
        if plan.entries:
            self._topic.publish(plan.entries[0].seq, plan.entries)
        self._polling = self._polling.progressed()
        context.beat()
        self._statistics.committed(plan, span)

    async def _rest(self, context: ActorContext, seconds: float) -> None:
        """Sleep in slices that beat, since an idle chain is not a stuck one, until a new head is announced. What comes
        of late history meanwhile is committed."""
        until = context.clock.monotonic() + seconds
        while (left := until - context.clock.monotonic()) > 0 and not context.draining.is_set():
            if self._announced and self._polling.heeds_hints:
                break
            await context.rest(min(left, _BEAT_SECONDS), self._companions.ready)
            context.beat()
            await self._commit_late(context)
        self._announced = False

    def _ring(self) -> None:
        self._announced = True
        self._companions.ready.ring()

    async def _commit_late(self, context: ActorContext) -> None:
        while self._finality.latched is None and (found := await self._companions.take(self._view, self._epoch)):
            await self._commit(context, *found)
            self._companions.look(self._view)
