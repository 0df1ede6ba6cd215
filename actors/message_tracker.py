"""The message tracker: folds what the chains show of every cross-chain message, and tells how each stands.

INVARIANT: evidence, standings, changes, alarms and the cursors of the journals commit together, and only at places at
which every chain's state was the chain's: never inside a reorg. So a stop at any moment loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from actors.message_commits import Accept, MessageCommits
from actors.message_folding import NOTHING_YET, OWNER, MessageFolding, OperatorsWord, Receipts, TrackerStatistics
from actors.quarantine_keeper import Ward
from actors.stream_input import Input
from fusion_daemon.crosschain import MessageTracker, Rules, Standing
from fusion_daemon.crosschain.repository import load_dropped, load_state, load_told_at
from fusion_daemon.crosschain.settings import MessageSettings
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.quarantine.repository import settled_entries
from fusion_daemon.quarantine.rules import Orders, held_text, orders_of
from fusion_daemon.runtime import Actor, ActorContext, Bell, Desk, Fill, Mailbox, Topic
from fusion_daemon.store import Advance, Claim, Commit, Store

START_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Journals:
    """The journals that are folded, and how each is read from the store where its topic dropped something."""

    topics: Mapping[ChainId, Topic[JournalEntry]]
    fills: Mapping[ChainId, Fill[JournalEntry]]


OperatorsWords = Mailbox[OperatorsWord, Standing | None]


class MessageTrackerActor(Actor):
    name = OWNER

    def __init__(
        self,
        store: Store,
        settings: MessageSettings,
        journals: Journals,
        receipts: Callable[[], AbstractAsyncContextManager[Receipts]],
        topic: Topic[MessageChange],
        dispatcher: Bell,
        accept: Accept,
        ward: Ward,
        words: OperatorsWords,
        keep: Callable[[], float],
    ) -> None:
        """`keep`: for how many seconds evidence is kept at the least; asked at every look."""
        self._keep = keep
        self._words = words
        self._store = store
        self._settings = settings
        self._journals = journals
        self._receipts = receipts
        self._topic = topic
        self._dispatcher = dispatcher
        self._accept = accept
        self._ward = ward
        self._folding: MessageFolding | None = None

    def statistics(self) -> TrackerStatistics:
        return NOTHING_YET if self._folding is None else self._folding.statistics()

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, it commits what it has folded and returns. Raises Fenced when another tracker has
        claimed its streams, and whatever an entry makes it raise: at the second time that entry is set aside. When an
        operator has settled one, it starts over from the store."""
        async with self._receipts() as receipts:
            while not context.draining.is_set():
                await self._run_until_settled(context, receipts)

    async def _run_until_settled(self, context: ActorContext, receipts: Receipts) -> None:
        bell = Bell()
        revision = self._ward.follow(OWNER, bell)
        streams = [journal_stream(network.chain) for network in self._settings.networks]
        claim = await self._begun(await self._store.claim(OWNER, produces=[MESSAGE_STREAM], consumes=streams))
        settled = [*self._ward.entries_of(OWNER), *await self._store.read(settled_entries, OWNER)]
        orders = orders_of(settled).after(claim.positions)
        rules = Rules(self._settings.networks, self._settings.terms)
        state = await self._store.read(load_state, timeout=START_SECONDS)
        tracker = MessageTracker.restored(rules, state)
        self._topic.advance(claim.heads[MESSAGE_STREAM])
        commits = MessageCommits(OWNER, self._store, claim, tracker, self._topic, self._dispatcher, self._accept)
        inputs = {network.chain: self._input(network.chain, claim, orders, bell) for network in self._settings.networks}
        told_at = await self._store.read(load_told_at)
        folding = self._folding = MessageFolding(
            self._settings, self._store, tracker, commits, inputs, receipts, self._ward, told_at, self._keep
        )
        context.started()
        held = [held_text(entry) for _, entry in sorted(orders.held.items())]
        with self._words.attended(bell) as desk:
            await self._attend(context, folding, desk, bell, held, revision)

    async def _attend(
        self,
        context: ActorContext,
        folding: MessageFolding,
        desk: Desk[OperatorsWord, Standing | None],
        bell: Bell,
        held: Sequence[str],
        revision: int,
    ) -> None:
        async def answer(word: OperatorsWord) -> Standing | None:
            return await folding.obey(word, context.clock.now())

        while self._ward.revision(OWNER) == revision and not context.draining.is_set():
            await context.gate()
            worked = await folding.step(context)
            await desk.drain(answer)
            if not worked:
                await context.rest(folding.pause(context.clock.now()), bell)
            if trouble := [*folding.troubles(), *held]:
                context.degraded("; ".join(trouble))
            else:
                context.healthy()

    async def _begun(self, claim: Claim) -> Claim:
        """Of a journal that is older than its bridges' configuration, the tracker reads what is kept."""
        positions = dict(claim.positions)
        for network in self._settings.networks:
            stream = journal_stream(network.chain)
            if positions[stream] == 0:
                positions[stream] = await self._store.read(load_dropped, network.chain)
        advances = tuple(
            Advance(OWNER, stream, claim.epoch, 0, position)
            for stream, position in positions.items()
            if position > claim.positions[stream]
        )
        if advances:
            await self._store.commit(Commit(advances=advances))
        return replace(claim, positions=positions)

    def _input(self, chain: ChainId, claim: Claim, orders: Orders, bell: Bell) -> Input[JournalEntry]:
        topic, stream = self._journals.topics[chain], journal_stream(chain)
        position = claim.positions[stream]
        held = orders.held.get(stream)
        passed = orders.passed.get(stream)
        return Input(
            stream,
            topic.subscribe(OWNER, position, self._journals.fills[chain], bell),
            topic.head,
            resting=None if held is None else held.resting,
            skipped=frozenset() if passed is None else frozenset({passed}),
        )
