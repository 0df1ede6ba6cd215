"""When an endpoint shows another block where a final one is stored: is it that endpoint, or the chain?

INVARIANTS
* While the chain is latched nothing is read from it; the latch is stored, so that a restart does not forget it, and
  those who would act on the chain see it.
* It is taken away only after the final block was seen again, hash for hash, at another endpoint than the one that
  denied it (at the only one, where there is one).
"""

from __future__ import annotations

from collections.abc import Sequence

from actors.chain_reader import ChainReader
from fusion_daemon.chain.endpoint_state import Contradicted, Restored, State
from fusion_daemon.chain.finality import FinalityViolated, finality_violated, keeps_root
from fusion_daemon.chain.repository import latch, load_latched
from fusion_daemon.chain.rpc_endpoints import EndpointStatistics
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.runtime import ActorContext
from fusion_daemon.store import Store

RECONSIDER_SECONDS = 30.0
"""How often a contradicted endpoint is asked whether it has come back."""


class FinalityWatch:
    """Of one life of a chain's listener. Trio side."""

    def __init__(
        self, settings: ChainSettings, store: Store, reader: ChainReader, context: ActorContext, epoch: int
    ) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        self._context = context
        self._epoch = epoch
        self.latched: str | None = None
        """Why; None: the chain is followed."""
        self._accuser: int | None = None
        """The endpoint for whose word it is latched; unknown after a restart."""
        self.disproved: frozenset[int] = frozenset()
        """Endpoints that others contradicted, until they show the stored chain again."""
        self._suspects: set[int] = set()
        self._reconsidered = 0.0
        """When they were last asked, by the monotonic clock."""

    async def restore(self, endpoints: Sequence[EndpointStatistics]) -> None:
        """`endpoints`: as others who ask them may have kept them since the life before."""
        self.disproved = frozenset(each for each, seen in enumerate(endpoints) if seen.state is State.FORKED)
        self.latched = await self._store.read(load_latched, self._settings.chain)

    def suspect(self, endpoint: int) -> None:
        """It shows another block somewhere below the last final one. It is judged at the next look."""
        self._suspects.add(endpoint)

    async def accused(self, endpoint: int, root: BlockRef, violated: FinalityViolated) -> None:
        """`endpoint` shows another block at the height of `root`. Asks all of them, and latches the chain unless they
        contradict it. One that was contradicted before is not asked about again: the others may just be silent."""
        if endpoint in self.disproved or await self._kept(root, endpoint):
            self.disproved |= {endpoint}
            self._reader.complain(endpoint, Contradicted(f"It shows another block at {root.number}, which is final."))
            self._reconsidered = self._context.clock.monotonic()
            self._context.log.warning("endpoint_forked", chain=self._settings.chain, reason=str(violated))
            return
        self._accuser = endpoint
        self._context.log.error("finality_violated", chain=self._settings.chain, reason=str(violated))
        await self._tell(str(violated))

    async def recheck(self, root: BlockRef) -> bool:
        """May the chain be followed? Takes the latch away when the endpoints show the final block again."""
        while self._suspects and self.latched is None:
            await self.accused(self._suspects.pop(), root, finality_violated(self._settings.chain, root))
        if self.latched is None:
            await self._reconsider(root)
        elif await self._kept(root, self._accuser):
            self._context.log.warning("finality_restored", chain=self._settings.chain, block=root.number)
            await self._tell(None)
        return self.latched is None

    async def _reconsider(self, root: BlockRef) -> None:
        now = self._context.clock.monotonic()
        if not self.disproved or now - self._reconsidered < RECONSIDER_SECONDS:
            return
        self._reconsidered = now
        shown = await self._reader.shown(root.number)
        for endpoint in [each for each in self.disproved if shown.get(each) == root.hash]:
            self.disproved -= {endpoint}
            self._reader.complain(endpoint, Restored())

    async def _kept(self, root: BlockRef, accuser: int | None) -> bool:
        shown = await self._reader.shown(root.number)
        return keeps_root(root.hash, shown, accuser, len(self._settings.rpc_urls))

    async def _tell(self, reason: str | None) -> None:
        await self._store.commit(latch(self._settings.chain, self._epoch, reason))
        self.latched = reason
