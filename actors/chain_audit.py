"""Audits a chain behind its finality: stored logs are compared with what endpoints show; what is missing is repaired.

INVARIANTS
* It only reads, see `chain_companions`. Where it goes on from is stored with what it found.
* It is never in the way of the head: while the chain catches up it has nothing to do, behind it rests as long as it
  read, and level with finality it waits, so that many blocks are compared at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from actors.aside import aside
from actors.chain_comparison import ChainComparison, Compared, NoWitness, OtherChain, WitnessFailed
from actors.chain_history import Finding
from actors.chain_reader import ListenerDrains
from fusion_daemon.chain.audit import lowest_audited, next_stretch, still_audits
from fusion_daemon.chain.audit_rows import audit_record
from fusion_daemon.chain.blocks import Head, Span
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.journal import ChainView
from fusion_daemon.chain.repair import plan_repair
from fusion_daemon.chain.repository import load_audited
from fusion_daemon.chain.rpc_errors import endpoint_name
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.runtime import ActorContext, Bell
from fusion_daemon.store import Store

_LEVEL_RESTS = 15
"""Of the longest polling interval, between two comparisons of a chain that is audited as far as it is final."""
_UNFIT_SECONDS = 60.0
"""For which an endpoint that failed is not asked again, unless it named a time."""
_PATIENCE = 600.0
"""Seconds without any comparison, while there is something to compare, that are told."""


@dataclass(slots=True)
class AuditStatistics:
    """Counters since this life of the listener began, and where the audit stands."""

    audited: int | None = None
    """The last block up to which every contract was audited."""
    mismatches: int = 0
    """Logs that were missing or differed."""
    repaired: int = 0
    """Logs that were missing and are stored by now."""
    differing: int = 0
    """Logs that differ and are left to an operator, those of earlier lives included."""


class ChainAudit:
    """Of one life of a chain's listener. Trio side."""

    def __init__(
        self,
        settings: ChainSettings,
        store: Store,
        comparison: ChainComparison,
        context: ActorContext,
        table: EventTable,
        ready: Bell,
        statistics: AuditStatistics,
        accuse: Callable[[int], None],
    ) -> None:
        """`accuse` hears of an endpoint that shows another block where a final one is stored."""
        self._settings = settings
        self._store = store
        self._comparison = comparison
        self._context = context
        self._table = table
        self._ready = ready
        self._statistics = statistics
        self._accuse = accuse
        self._names = [endpoint_name(url) for url in settings.rpc_urls]
        self._wanted = Bell()
        self._view: ChainView | None = None
        self._found: Compared | None = None
        self._audited: Mapping[int, int] = {}
        self._unfit: dict[int, float] = {}
        """Endpoints not to ask, and until when by the monotonic clock."""
        self._recount = self._differed = False
        """Logs that differ are counted in the store: also an operator may do something about them. What was found is
        there at the look after it was taken."""
        self._waiting_since: float | None = None
        self._stuck: str | None = None

    @property
    def trouble(self) -> str | None:
        if self._statistics.differing:
            return (
                f"Endpoints of chain {self._settings.chain} show other logs of final blocks than those that are stored"
                f" (so far {self._statistics.differing}). What is stored was not changed: balances may be wrong. See"
                " the runbook ChainAuditDiffers."
            )
        return self._stuck

    def look(self, view: ChainView, head: Head | None = None) -> None:
        self._view = view
        self._statistics.audited = lowest_audited(view.coverage, self._audited)
        self._recount, self._differed = self._recount or self._differed, False
        self._wanted.ring()

    async def take(self, view: ChainView, epoch: int) -> Finding | None:
        found, self._found = self._found, None
        if found is None:
            return None
        self._view = None
        self._wanted.ring()
        if not still_audits(view, found.stretch) or not self._comparison.takes(found):
            return None
        record = audit_record(view.chain, found.stretch, found.differences, self._names)
        plan = await aside(plan_repair, view, epoch, self._table, found.repair, record)
        self._audited = {**self._audited, **dict.fromkeys(found.stretch.versions, found.stretch.range.last)}
        self._count(found)
        return plan, Span((), found.repair.missing)

    async def run(self) -> None:
        self._audited, self._statistics.differing = await self._store.read(load_audited, self._settings.chain)
        self._recount = self._statistics.differing > 0
        while not self._context.draining.is_set():
            if self._recount:
                _, self._statistics.differing = await self._store.read(load_audited, self._settings.chain)
                self._recount = self._statistics.differing > 0
            view = self._view
            stretch = None if view is None or self._found is not None else next_stretch(view, self._audited)
            if view is None or stretch is None:
                self._waiting_since = None if view is not None else self._waiting_since
                await self._wanted.wait()
                continue
            begun = self._context.clock.monotonic()
            try:
                compared = await self._comparison.compare(view.coverage, stretch, self._unfit_now(begun))
            except ListenerDrains:
                return
            except NoWitness as failure:
                self._failed(str(failure))
                await self._context.rest(self._settings.poll.longest)
            except WitnessFailed as failure:
                self._failed(str(failure))
                self._unfit[failure.endpoint] = begun + (failure.retry_after or _UNFIT_SECONDS)
                await self._context.rest(self._settings.poll.shortest)
            except OtherChain as failure:
                self._failed(str(failure))
                self._unfit[failure.endpoint] = begun + _UNFIT_SECONDS
                self._accuse(failure.endpoint)
                await self._context.rest(self._settings.poll.shortest)
            else:
                await self._hand_over(view, compared, self._context.clock.monotonic() - begun)

    async def _hand_over(self, view: ChainView, compared: Compared, took: float) -> None:
        self._stuck = self._waiting_since = None
        self._found = compared
        self._ready.ring()
        audited = {**self._audited, **dict.fromkeys(compared.stretch.versions, compared.stretch.range.last)}
        level = next_stretch(view, audited) is None and not compared.differences
        await self._context.rest(_LEVEL_RESTS * self._settings.poll.longest if level else took)

    def _unfit_now(self, now: float) -> frozenset[int]:
        self._unfit = {endpoint: until for endpoint, until in self._unfit.items() if until > now}
        return frozenset(self._unfit)

    def _failed(self, reason: str) -> None:
        chain, now = self._settings.chain, self._context.clock.monotonic()
        self._context.log.debug("audit_put_off", chain=chain, reason=reason)
        since = self._waiting_since = now if self._waiting_since is None else self._waiting_since
        if now - since >= _PATIENCE:
            self._stuck = f"Chain {chain} has not been audited for {now - since:.0f} s. {reason}"

    def _count(self, found: Compared) -> None:
        missing, differing = len(found.repair.missing), len(found.differences)
        self._statistics.mismatches += missing + differing
        self._statistics.repaired += missing
        self._differed = differing > 0
        if missing or differing:
            self._context.log.warning(
                "audit_mismatch",
                chain=self._settings.chain,
                first=found.stretch.range.first,
                last=found.stretch.range.last,
                repaired=missing,
                differing=differing,
            )
