"""Obeys what operators order about a chain's history: replays and redecodes, piece by piece, and skips.

INVARIANTS
* It only reads, see `chain_companions`; what an order has come to is stored with what it repaired. Killed anywhere, the
  next life goes on behind the last piece that was committed.
* One order after the other, the oldest first. One that does not get on ends as failed, so that those behind it come on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from actors.aside import aside
from actors.chain_audit import AuditStatistics
from actors.chain_comparison import ChainComparison, Compared, NoWitness, OtherChain, WitnessFailed
from actors.chain_history import Finding
from actors.chain_reader import ListenerDrains
from fusion_daemon.chain.audit_rows import difference_writes
from fusion_daemon.chain.blocks import Head, Span
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.factories import created
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.chain.order_plans import Piece, Step, next_piece, plan_skips, plan_step, trouble_commit
from fusion_daemon.chain.orders import Kind, Order, Skip, Tally
from fusion_daemon.chain.repair import Repair, decodable
from fusion_daemon.chain.repository import load_audited
from fusion_daemon.chain.repository_orders import load_ordered, load_undecoded
from fusion_daemon.chain.rpc_errors import endpoint_name
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.failure import Failure
from fusion_daemon.runtime import ActorContext, Bell
from fusion_daemon.store import Store

_MOST_NAMED = 5
MOST_TRIES = 30
"""In a row without getting on, each after the longest polling interval."""


@dataclass(frozen=True, slots=True)
class _Found:
    skips: tuple[Skip, ...]
    """That are not made good."""
    step: Step | None
    """None: some of the skips are not in force yet."""
    compared: Compared | None = None


class ChainOrders:
    """Of one life of a chain's listener. Trio side."""

    def __init__(
        self,
        settings: ChainSettings,
        store: Store,
        comparison: ChainComparison,
        context: ActorContext,
        table: EventTable,
        ready: Bell,
        audit: AuditStatistics,
        accuse: Callable[[int], None],
    ) -> None:
        """`accuse` hears of an endpoint that shows another block where a final one is stored."""
        self._settings = settings
        self._store = store
        self._comparison = comparison
        self._context = context
        self._table = table
        self._ready = ready
        self._audit = audit
        self._accuse = accuse
        self._names = [endpoint_name(url) for url in settings.rpc_urls]
        self._settled = Bell()
        """Rings when what was handed over is committed, or will not be."""
        self._committing = False
        self._view: ChainView | None = None
        self._found: _Found | None = None
        self._tries = 0
        self._unfit: frozenset[int] = frozenset()
        """Endpoints that failed since the last piece."""

    @property
    def trouble(self) -> str | None:
        """What was skipped is missing in every balance. An order's own trouble is told with the order."""
        tip = None if self._view is None else self._view.tip
        skips = () if self._view is None or tip is None else self._view.coverage.skips(tip.number)
        if not skips:
            return None
        blocks = ", ".join(f"{each.first}-{each.last}" for each in skips[:_MOST_NAMED])
        return (
            f"Of chain {self._settings.chain}, blocks {blocks} were skipped by an operator's order: what happened in"
            " them is missing in balances. See the runbook BlocksSkipped; `fusion-daemon replay` reads them."
        )

    def look(self, view: ChainView, head: Head | None = None) -> None:
        self._view = view
        if self._committing:
            self._committing = False
            self._settled.ring()

    async def take(self, view: ChainView, epoch: int) -> Finding | None:
        found, self._found = self._found, None
        if found is None:
            return None
        if found.compared is not None and not self._comparison.takes(found.compared):
            self._settled.ring()
            return None
        self._committing = True
        if found.step is None:
            fresh = [skip for skip in found.skips if skip.in_force_at is None]
            return plan_skips(view, epoch, fresh), Span((), ())
        plan = await aside(plan_step, view, epoch, self._table, found.step, found.skips)
        return plan, Span((), found.step.repair.missing)

    async def run(self) -> None:
        while not self._context.draining.is_set():
            try:
                found = await self._next()
            except ListenerDrains:
                return
            if found is None:
                await self._context.rest(self._settings.poll.longest)
                continue
            self._found = found
            self._ready.ring()
            await self._settled.wait()
            self._note(found)
            if found.compared is not None:
                _, self._audit.differing = await self._store.read(load_audited, self._settings.chain)

    async def _next(self) -> _Found | None:
        ordered = await self._store.read(load_ordered, self._settings.chain)
        if any(skip.in_force_at is None for skip in ordered.skips):
            return _Found(ordered.skips, None)
        view, order = self._view, ordered.order
        if view is None or order is None:
            return None
        if order.kind is Kind.REDECODE:
            return _Found(ordered.skips, await self._redecoded(order))
        return await self._replayed(view, order, ordered.skips)

    async def _redecoded(self, order: Order) -> Step:
        asked = Range(order.next, order.range.last)
        undecoded = await self._store.read(load_undecoded, self._settings.chain, asked)
        logs = await aside(decodable, self._table, undecoded.logs)
        found = Tally(
            blocks=undecoded.until - order.next + 1,
            logs=len(undecoded.logs),
            decodable=len(logs),
            repaired=0 if order.dry_run else len(logs),
        )
        if order.dry_run:
            return Step(order, undecoded.until, found)
        made = tuple(created(self._table, self._settings.factories, logs))
        return Step(order, undecoded.until, found, Repair(undecoded.blocks, redecoded=logs, created=made))

    async def _replayed(self, view: ChainView, order: Order, skips: tuple[Skip, ...]) -> _Found | None:
        piece = next_piece(view.coverage, Range(order.next, order.range.last))
        if not piece.stretch.versions:
            return _Found(skips, Step(order, piece.stretch.range.last, Tally()))
        try:
            compared = await self._comparison.compare(
                view.coverage, piece.stretch, self._unfit, by_receipts=bool(piece.skipped)
            )
        except WitnessFailed as failure:
            self._unfit |= {failure.endpoint}
            await self._failed(order, failure)
        except OtherChain as failure:
            self._unfit |= {failure.endpoint}
            self._accuse(failure.endpoint)
            await self._failed(order, failure)
        except NoWitness as failure:
            self._unfit = frozenset()
            await self._failed(order, failure)
        else:
            self._tries, self._unfit = 0, frozenset()
            return _Found(skips, self._step(order, piece, compared), compared)
        return None

    def _step(self, order: Order, piece: Piece, compared: Compared) -> Step:
        asked, missing = compared.stretch.range, compared.repair.missing
        blocks = asked.last - asked.first + 1
        # What retention has dropped is not read again, nor is what endpoints do not agree about.
        whole = compared.blocks == blocks and not compared.differences
        read = piece.skipped if whole and not order.dry_run else ()
        found = Tally(
            blocks=compared.blocks,
            logs=compared.logs,
            missing=len(missing),
            repaired=0 if order.dry_run else len(missing),
            differing=len(compared.differences),
            made_good=blocks if read else 0,
        )
        if order.dry_run:
            return Step(order, asked.last, found)
        further = difference_writes(order.chain, asked, compared.differences, self._names)
        return Step(order, asked.last, found, compared.repair, read, further)

    async def _failed(self, order: Order, failure: Failure) -> None:
        self._tries += 1
        failed, trouble = self._tries >= MOST_TRIES, str(failure)
        self._context.log.info("order_put_off", chain=order.chain, order=order.number, failed=failed, reason=trouble)
        if failed or trouble != order.trouble:
            await self._store.commit(trouble_commit(order, trouble, failed=failed))
        self._tries = 0 if failed else self._tries

    def _note(self, found: _Found) -> None:
        if found.step is not None and found.step.until >= found.step.order.range.last:
            order, tally = found.step.order, found.step.order.tally.plus(found.step.found)
            self._context.log.info(
                "order_done",
                chain=order.chain,
                order=order.number,
                kind=order.kind.value,
                dry_run=order.dry_run,
                repaired=tally.repaired,
                differing=tally.differing,
            )
