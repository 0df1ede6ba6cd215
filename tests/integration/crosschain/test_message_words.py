"""An operator's word about a message: it outlives the tracker that heard it, is on record, and is refused too late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from actors.message_folding import OperatorsWord
from actors.message_tracker import Journals, MessageTrackerActor, OperatorsWords
from actors.quarantine_keeper import Ward
from fusion_daemon.accounts.audit import By
from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import MessageId, Standing
from fusion_daemon.crosschain.routes import TooLateToAbandon, word_routes
from fusion_daemon.crosschain.settings import MessageSettings
from fusion_daemon.domain.identifiers import ChainId, Hash32, hex_of
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Request, Role
from fusion_daemon.runtime import ActorContext, Bell, DeadLetters, Mailbox, ManualClock, Overflow, Topic
from fusion_daemon.store import Store
from tests.integration.crosschain.test_message_retry_route import MESSAGE, STORED, Desk
from tests.unit.crosschain.world import NETWORKS, NOW, TERMS, B, at

PATIENCE = 10.0
WORDS = "SELECT principal, action, object, outcome FROM audit ORDER BY id"
CHANGES = "SELECT before, after, cause FROM message_changes ORDER BY seq"


async def no_places(_chain: ChainId, _hashes: Sequence[Hash32], /) -> Mapping[tuple[Hash32, int], int]:
    return {}


async def nothing(_after: int, _limit: int) -> Sequence[JournalEntry]:
    return ()


@asynccontextmanager
async def no_receipts() -> AsyncIterator[object]:
    yield no_places


class Tracking:
    """A tracker of chains on which nothing happens, in one life after another."""

    def __init__(self, aio: Aio, store: Store) -> None:
        self.aio, self.store, self.clock = aio, store, ManualClock(NOW)
        self.ward = Ward(self.clock)
        self.words: OperatorsWords = Mailbox("words", 4, Overflow.FAIL, DeadLetters(self.clock))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._live)
            yield
            nursery.cancel_scope.cancel()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        chains = [network.chain for network in NETWORKS]
        topics = {chain: Topic[JournalEntry](journal_stream(chain), 16, self.clock) for chain in chains}
        for topic in topics.values():
            topic.advance(0)
        actor = MessageTrackerActor(
            self.store,
            MessageSettings(NETWORKS, TERMS),
            Journals(topics, dict.fromkeys(chains, nothing)),
            no_receipts,  # type: ignore[arg-type]
            Topic[MessageChange](MESSAGE_STREAM, 16, self.clock),
            Bell(),
            lambda _alarm: (),
            self.ward,
            self.words,
            lambda: 400 * 86_400.0,
        )
        await actor.run(ActorContext("message_tracker", self.clock, on_started=task_status.started))

    async def say(self, verb: str, message: Hash32 = MESSAGE.id) -> str:
        async def say(message: MessageId, abandon: bool, by: By) -> Standing | None:
            word = OperatorsWord(message, abandon, by)
            return await self.aio.to_trio(self.words.ask, word, PATIENCE, timeout=PATIENCE)

        route = {each.path: each for each in word_routes(say)}[f"/v1/messages/{{id}}/{verb}"]
        assert (route.method, route.role) == ("POST", Role.OPERATOR)
        caller = Principal("treasury-ops", Role.OPERATOR)
        request = Request("POST", {"id": hex_of(message)}, {}, {}, b"", caller, "request-1")
        reply = await self.aio.call(route.handler, request, timeout=PATIENCE)
        return reply.body.decode()


async def test_a_word_outlives_the_life_that_heard_it_until_it_is_taken_back(aio: Aio, store: Store) -> None:
    tracking, desk = Tracking(aio, store), Desk(aio, store)
    await desk.know(STORED)
    async with tracking.running():
        assert '"abandoned"' in await tracking.say("abandon")
    async with tracking.running():
        assert '"abandoned"' in await tracking.say("abandon")
        assert '"app_failed"' in await tracking.say("resume")
    async with tracking.running():
        assert '"app_failed"' in await tracking.say("resume")
    assert [(row.text("before"), row.text("after"), row.text("cause")) for row in await desk.rows(CHANGES)] == [
        ("app_failed", "abandoned", "operator"),
        ("abandoned", "app_failed", "operator"),
    ]
    said = [tuple(row.text(each) for each in ("principal", "action", "object")) for row in await desk.rows(WORDS)]
    assert said == [("treasury-ops", f"message.{verb}", hex_of(MESSAGE.id)) for verb in ("abandon", "resume")]


async def test_what_is_applied_cannot_be_given_up(aio: Aio, store: Store) -> None:
    tracking, desk = Tracking(aio, store), Desk(aio, store)
    await desk.know([*STORED[:3], MESSAGE.received(at(B, 20))])
    async with tracking.running():
        with pytest.raises(TooLateToAbandon):
            await tracking.say("abandon")
        with pytest.raises(Problem):
            await tracking.say("abandon", Hash32(bytes(32)))
    assert not await desk.rows(
        "SELECT object FROM audit UNION ALL SELECT encode(message, 'hex') FROM abandoned_messages"
    )
