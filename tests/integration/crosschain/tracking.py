"""Two chain listeners and the message tracker on one store. Each can be killed and given a new life at any moment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from actors.chain_listener import ChainListener
from actors.message_folding import receipts_unavailable
from actors.message_tracker import Journals, MessageTrackerActor
from actors.quarantine_keeper import Ward
from fusion_daemon.aio import Aio
from fusion_daemon.alerting.acceptance import accept
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.repository import journal_fill
from fusion_daemon.chain.settings import ChainSettings, PollSettings
from fusion_daemon.crosschain import Terms
from fusion_daemon.crosschain.settings import MessageSettings
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.receipts import ChainReceipts
from fusion_daemon.runtime import Actor, ActorContext, Bell, Clock, DeadLetters, Mailbox, Overflow, SystemClock, Topic
from fusion_daemon.store import Reader, Row, Store
from fusion_daemon.store.writes import SqlScalar
from tests.integration.crosschain.pair import Pair

PATIENCE = 30.0
_INTERVAL = 0.005
TRACKER = 2
"""Its place among the actors; the listeners stand at their side's number."""
_SEEN = """
SELECT s.tip_hash, s.finalized, j.head AS journal, coalesce(c.position, 0) AS folded
FROM chain_state AS s JOIN streams AS j ON j.name = $2
LEFT JOIN cursors AS c ON c.stream = j.name AND c.consumer = 'message_tracker'
WHERE s.chain_id = $1
"""


class MutedReceipts(ChainReceipts):
    def __init__(self, aio: Aio, chains: Sequence[ChainSettings], mute: Collection[ChainId]) -> None:
        super().__init__(aio, chains)
        self._mute = mute

    async def __call__(self, chain: ChainId, transactions: Sequence[Hash32]) -> Mapping[tuple[Hash32, int], int]:
        if chain in self._mute:
            raise receipts_unavailable(chain, "was muted by a test")
        return await super().__call__(chain, transactions)


@dataclass
class Tracking:
    aio: Aio
    store: Store
    pair: Pair
    nursery: trio.Nursery
    terms: Terms = field(default_factory=Terms)
    clock: Clock = field(default_factory=SystemClock)
    """The tracker's."""
    mute: set[ChainId] = field(default_factory=set)
    """Chains whose nodes tell no receipts."""
    unread: set[Address] = field(default_factory=set)
    """Contracts that the configuration of the listeners does not name."""
    told: ActorContext | None = None
    """Of the tracker's last life."""
    keep: float = 400 * 86_400.0
    """Seconds for which evidence is kept."""
    _scopes: dict[int, tuple[trio.CancelScope, trio.Event]] = field(default_factory=dict)
    _topics: dict[ChainId, Topic[JournalEntry]] = field(default_factory=dict)

    # Lives

    async def start(self, *actors: int) -> None:
        """Those that are not alive; all of them when none is named."""
        for place in actors or (0, 1, TRACKER):
            if place not in self._scopes:
                actor = self._tracker() if place == TRACKER else self._listener(place)
                self._scopes[place] = (trio.CancelScope(), trio.Event())
                self.nursery.start_soon(self._live, actor, *self._scopes[place])

    async def kill(self, *actors: int) -> None:
        """Wherever they are, without a farewell. All of them: a new process, nothing in memory is left."""
        for place in actors or tuple(self._scopes):
            if place in self._scopes:
                scope, ended = self._scopes.pop(place)
                scope.cancel()
                await ended.wait()
        if not actors:
            self._topics.clear()

    async def _live(self, actor: Actor, scope: trio.CancelScope, ended: trio.Event) -> None:
        clock = self.clock if isinstance(actor, MessageTrackerActor) else SystemClock()
        context = ActorContext(actor.name, clock)
        if isinstance(actor, MessageTrackerActor):
            self.told = context
        with scope:
            await actor.run(context)
        ended.set()

    def _chain(self, side: int) -> ChainSettings:
        network = self.pair.networks()[self.pair.chain(side)]
        return ChainSettings(
            network.chain,
            "test",
            (self.pair.nodes[side].url,),
            tuple(each for each in network.emitters if each not in self.unread),
            start_block=self.pair.first_blocks[side],
            request_timeout=5.0,
            poll=PollSettings(shortest=0.005, longest=0.01),
        )

    def _topic(self, chain: ChainId) -> Topic[JournalEntry]:
        return self._topics.setdefault(chain, Topic(journal_stream(chain), 4_096))

    def _listener(self, side: int) -> Actor:
        topic = self._topic(self.pair.chain(side))
        return ChainListener(self._chain(side), self.aio, self.store, topic, load_event_table())

    def _tracker(self) -> Actor:
        settings = [self._chain(side) for side in (0, 1)]
        table = load_event_table()
        chains = [each.chain for each in settings]
        return MessageTrackerActor(
            self.store,
            MessageSettings(self.pair.networks(), self.terms),
            Journals(
                {chain: self._topic(chain) for chain in chains},
                {chain: journal_fill(self.store, table, chain) for chain in chains},
            ),
            lambda: MutedReceipts(self.aio, settings, self.mute),
            Topic[MessageChange](MESSAGE_STREAM, 4_096),
            Bell(),
            lambda alarm: accept(alarm, None, (), self.clock.now()),
            Ward(SystemClock()),
            Mailbox("message_words", 1, Overflow.FAIL, DeadLetters(self.clock)),
            lambda: self.keep,
        )

    # Waiting and looking

    async def quiet(self, *, folded: bool = True) -> None:
        """Until what is stored of both chains is what their nodes show, and, `folded`, the tracker has folded it."""
        with trio.fail_after(PATIENCE):
            for side in (0, 1):
                tip, finalized = self.pair.tip(side), self.pair.finalized(side)
                while not await self._is_seen(side, tip, finalized, folded):  # noqa: ASYNC110 - it is stored by others
                    await trio.sleep(_INTERVAL)

    async def _is_seen(self, side: int, tip: bytes, finalized: int, folded: bool) -> bool:
        chain = self.pair.chain(side)
        rows = await self.rows(_SEEN, chain, journal_stream(chain))
        return any(
            row.optional_octets("tip_hash") == tip
            and (row.optional_integer("finalized") or 0) >= finalized
            and (not folded or row.integer("journal") == row.integer("folded"))
            for row in rows
        )

    async def until(self, sql: str, *arguments: SqlScalar) -> None:
        """Until the query gives a row."""
        with trio.fail_after(PATIENCE):
            while not await self.rows(sql, *arguments):  # noqa: ASYNC110 - it is stored by others
                await trio.sleep(_INTERVAL)

    async def until_muted(self, *sides: int) -> None:
        """Until the tracker's health names these chains as mute, and no other."""
        with trio.fail_after(PATIENCE):
            while self._named_mute() != {self.pair.chain(side) for side in sides}:  # noqa: ASYNC110 - told by the actor
                await trio.sleep(_INTERVAL)

    def _named_mute(self) -> set[ChainId]:
        reason = "" if self.told is None else self.told.health.reason
        chains = (self.pair.chain(side) for side in (0, 1))
        return {chain for chain in chains if f"chain {chain} was muted" in reason}

    async def rows(self, sql: str, *arguments: SqlScalar) -> list[Row]:
        async def query(reader: Reader) -> list[Row]:
            return await reader.fetch(sql, *arguments)

        return await self.store.read(query)

    async def states(self) -> list[str]:
        """Of all messages, in the order in which they last changed."""
        return [row.text("state") for row in await self.rows("SELECT state FROM messages ORDER BY changes")]


@asynccontextmanager
async def tracking(
    aio: Aio, store: Store, pair: Pair, terms: Terms | None = None, clock: Clock | None = None
) -> AsyncIterator[Tracking]:
    """Nothing is alive yet."""
    async with trio.open_nursery() as nursery:
        yield Tracking(aio, store, pair, nursery, terms or Terms(), clock or SystemClock())
        nursery.cancel_scope.cancel()
