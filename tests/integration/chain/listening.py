"""Runs a chain listener until it has seen what a test waits for, and reads back what it stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from actors.chain_listener import ChainListener
from fusion_daemon.aio import Aio
from fusion_daemon.chain.coverage import Ranges
from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.repository import journal_fill, load_coverage, set_start_block
from fusion_daemon.chain.rpc_pools import OpenEndpoints, own_endpoints
from fusion_daemon.chain.settings import ChainSettings, PollSettings
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import BalanceChange, JournalEntry, Op, journal_stream
from fusion_daemon.runtime import ActorContext, Clock, HealthLevel, SystemClock, Topic
from fusion_daemon.store import Reader, Row, Store
from tests.faults.fake_node import FakeNode
from tests.unit.chain.vault_logs import VAULT

CHAIN = ChainId(31_337)
PATIENCE = 20.0
TABLE = load_event_table()
_LOOK_SECONDS = 0.05

SETTINGS = ChainSettings(
    CHAIN,
    "test",
    (),
    (VAULT,),
    start_block=0,
    request_timeout=2.0,
    poll=PollSettings(shortest=0.01, longest=0.02),
)


class Recorder(Topic[JournalEntry]):
    """A topic that remembers everything published."""

    def __init__(self) -> None:
        super().__init__(journal_stream(CHAIN), 10_000)
        self.published: list[JournalEntry] = []
        self.moved = trio.Event()

    def publish(self, first: int, items: Sequence[JournalEntry]) -> None:
        super().publish(first, items)
        self.published.extend(items)
        self.moved.set()
        self.moved = trio.Event()


class WatchedContext(ActorContext):
    """Tells whoever waits when the actor reported its health."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name, clock)
        self.reported = trio.Event()
        self.beats = 0

    def beat(self) -> None:
        super().beat()
        self.beats += 1

    def _report(self, level: HealthLevel, reason: str) -> None:
        super()._report(level, reason)
        self.reported.set()
        self.reported = trio.Event()


@dataclass
class Life:
    """One run of a listener."""

    listener: ChainListener
    context: WatchedContext
    topic: Recorder
    crashed: trio.Event = field(default_factory=trio.Event)
    crash: Failure | None = None
    returned: trio.Event = field(default_factory=trio.Event)

    async def run(self) -> None:
        try:
            await self.listener.run(self.context)
            self.returned.set()
        except Failure as failure:
            self.crash = failure
            self.crashed.set()

    async def until_crash(self) -> Failure:
        """The failure that ended the life, which the test expects."""
        with trio.fail_after(PATIENCE):
            await self.crashed.wait()
        crash, self.crash = self.crash, None
        assert crash is not None
        return crash

    async def until_return(self) -> None:
        """Wait until it has ended by itself and without an error."""
        with trio.fail_after(PATIENCE):
            await self.returned.wait()

    async def until_tip(self, block_hash: bytes) -> None:
        await self.until_head(lambda: block_hash)

    async def until_head(self, block_hash: Callable[[], bytes]) -> None:
        """Of a chain that moves meanwhile."""
        with trio.fail_after(PATIENCE):
            while not self._at(block_hash()):
                await self.topic.moved.wait()

    async def until_whole(self, version: int = 2) -> None:
        """Wait until the late history of a filter version is whole."""
        with trio.fail_after(PATIENCE):
            while not any(each.filter_version == version and each.settles for each in self.topic.published):
                await self.topic.moved.wait()

    async def until_health(self, level: str) -> str:
        """Wait for a health level; its reason."""
        with trio.fail_after(PATIENCE):
            while self.context.health.level.name != level:
                await self.context.reported.wait()
        return self.context.health.reason

    async def until_reason(self, part: str) -> None:
        """Wait until the reason of the health says so."""
        with trio.fail_after(PATIENCE):
            while part not in self.context.health.reason:
                await self.context.reported.wait()

    async def until_request(self, node: FakeNode, count: int) -> None:
        """Wait until the node has answered `count` more requests."""
        with trio.fail_after(PATIENCE):
            await trio.to_thread.run_sync(node.wait_for_requests, len(node.requests) + count, PATIENCE)

    def _at(self, block_hash: bytes) -> bool:
        applied = [entry for entry in self.topic.published if entry.settles]
        return bool(applied) and applied[-1].block.hash == block_hash


@dataclass
class Listening:
    aio: Aio
    store: Store
    published: list[JournalEntry] = field(default_factory=list)
    """By all lives, in order."""

    def settings(
        self, start_block: int | None = 0, finality_depth: int = 64, request_timeout: float = 2.0
    ) -> ChainSettings:
        return replace(
            SETTINGS,
            start_block=start_block,
            finality_depth=finality_depth,
            request_timeout=request_timeout,
        )

    async def start_at(self, block: int) -> None:
        await self.store.transact(set_start_block, CHAIN, block)

    @asynccontextmanager
    async def live(
        self,
        *urls: str,
        settings: ChainSettings = SETTINGS,
        table: EventTable | None = None,
        endpoints: OpenEndpoints = own_endpoints,
    ) -> AsyncIterator[Life]:
        """`table`: what it understands; that of our contracts by default."""
        topic = Recorder()
        table = table or TABLE
        settings = replace(settings, rpc_urls=urls)
        listener = ChainListener(settings, self.aio, self.store, topic, table, endpoints)
        context = WatchedContext(listener.name, SystemClock())
        async with trio.open_nursery() as nursery:
            life = Life(listener, context, topic)
            nursery.start_soon(life.run)
            try:
                yield life
            finally:
                nursery.cancel_scope.cancel()
                self.published += topic.published
        if life.crash is not None:
            raise life.crash

    async def entries(self) -> Sequence[JournalEntry]:
        """The whole journal as a consumer reads it from the store."""
        return await journal_fill(self.store, TABLE, CHAIN)(0, 1_000_000)

    async def rows(self, sql: str) -> list[Row]:
        async def query(reader: Reader) -> list[Row]:
            return await reader.fetch(sql)

        return await self.store.read(query)

    async def until_audited(self, block: int, chain: ChainId = CHAIN, version: int = 1) -> None:
        """Wait until the logs of that filter version's contracts were audited up to that block."""
        sql = (
            f"SELECT min(audited) AS audited FROM chain_audits WHERE chain_id = {chain} AND filter_version = {version}"
        )
        with trio.fail_after(PATIENCE):
            while True:
                [row] = await self.rows(sql)
                audited = row.optional_integer("audited")
                if audited is not None and audited >= block:
                    return
                await trio.sleep(_LOOK_SECONDS)

    async def alter(self, sql: str) -> None:
        """What nobody should do to the tables."""

        async def change(writer: Reader) -> None:
            await writer.fetch(sql)

        await self.store.transact(change, timeout=PATIENCE)

    async def covered(self) -> Mapping[int, Ranges]:
        """Of each filter version, which blocks' logs were read."""
        return (await self.store.read(load_coverage, CHAIN)).ranges

    async def positions(self) -> dict[tuple[bytes, bytes, bytes, str], int]:
        rows = await self.rows("SELECT * FROM positions WHERE amount <> 0")
        return {
            (row.octets("vault"), row.octets("owner"), row.octets("token"), row.text("side")): row.integer("amount")
            for row in rows
        }


def fold(entries: Sequence[JournalEntry]) -> list[bytes]:
    """Hashes of the chain that a consumer holds after these entries; asserts that every entry fits."""
    chain: list[bytes] = []
    numbers: list[int] = []
    for place, entry in enumerate(entries, 1):
        assert entry.seq == place
        if entry.late:
            assert entry.block.hash in chain
        elif entry.op is Op.APPLY:
            assert not numbers or entry.block.number == numbers[-1] + 1
            chain.append(entry.block.hash)
            numbers.append(entry.block.number)
        else:
            assert entry.block.hash == chain.pop()
            assert entry.block.number == numbers.pop()
    return chain


def folded_positions(entries: Sequence[JournalEntry]) -> dict[tuple[bytes, bytes, bytes, str], int]:
    sums: dict[tuple[bytes, bytes, bytes, str], int] = {}
    for entry in entries:
        for change in entry.changes:
            if isinstance(change, BalanceChange):
                key = (change.vault, change.owner, change.token, change.side.value)
                sums[key] = sums.get(key, 0) + (change.amount if entry.op is Op.APPLY else -change.amount)
    return {key: amount for key, amount in sums.items() if amount}
