"""A risk calculator on a real Postgres, its inputs committed by hand, and a store that can be cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import trio
from typing_extensions import TypeVarTuple, Unpack

from actors.quarantine_keeper import Ward
from actors.risk_calculator import MarginOf, RiskCalculator
from actors.risk_inputs import Sources
from fusion_daemon.accounts.records import record_json
from fusion_daemon.alerting.acceptance import accept_margin_events
from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord, Channel
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    CreditChange,
    IndexUpdate,
    JournalEntry,
    Op,
    journal_stream,
)
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.risk.settings import RiskSettings
from fusion_daemon.runtime import ActorContext, Bell, DeadLetters, Mailbox, ManualClock, Overflow, Topic
from fusion_daemon.store import Append, Claim, Commit, Execute, Reader, Store, Write
from tests.unit.risk.margin_scene import GENESIS, ONE, TOKENS, TWO, JournalWriter

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
DEADLINE = 60.0
DESK = Receiver("desk", Channel.WEBHOOK, "https://desk.example/hook", "desk-key")


@dataclass
class Fate:
    """After the calculator's commit number `cut`, over all its lives, the world ends once."""

    cut: int | None
    commits: int = 0


class CutStore(Store):
    """The real store for one life, whose scope is cancelled when fate says so."""

    def __init__(self, inner: Store, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate
        self.scope = trio.CancelScope()

    async def commit(self, commit: Commit) -> None:
        await self._inner.commit(commit)
        self._fate.commits += 1
        if self._fate.commits == self._fate.cut:
            self.scope.cancel()
            await trio.lowlevel.checkpoint()

    async def read(self, query: Callable[[Reader, Unpack[Ts]], Awaitable[T]], *args: *Ts, timeout: float = 30.0) -> T:
        return await self._inner.read(query, *args, timeout=timeout)

    async def claim(self, owner: str, *, produces: Sequence[str] = (), consumes: Sequence[str] = ()) -> Claim:
        return await self._inner.claim(owner, produces=produces, consumes=consumes)


@dataclass
class Bench:
    """Inputs as they are committed, and the topics that announce them."""

    store: Store
    settings: RiskSettings = field(default_factory=lambda: RiskSettings(TOKENS))
    clock: ManualClock = field(default_factory=lambda: ManualClock(float(GENESIS + 10_000)))
    writers: dict[ChainId, JournalWriter] = field(
        default_factory=lambda: {chain: JournalWriter(chain) for chain in (ONE, TWO)}
    )
    prices: list[Price] = field(default_factory=list)
    changes: list[AccountChange] = field(default_factory=list)
    margin: Topic[MarginEvent] = field(default_factory=lambda: Topic(MARGIN_STREAM, 10_000))
    dispatcher: Bell = field(default_factory=Bell)
    requests: Mailbox[MarginOf, AccountMargin | None] = field(
        default_factory=lambda: Mailbox("margin", 8, Overflow.FAIL, DeadLetters(ManualClock()))
    )
    ward: Ward = field(default_factory=lambda: Ward(ManualClock()))
    _epochs: dict[str, int] = field(default_factory=dict)
    _stored: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.price_topic: Topic[Price] = Topic(PRICE_STREAM, 4)
        self.account_topic: Topic[AccountChange] = Topic(ACCOUNT_STREAM, 4)
        self.journal_topics: dict[ChainId, Topic[JournalEntry]] = {
            chain: Topic(journal_stream(chain), 4) for chain in self.writers
        }

    # Committing inputs

    async def write_prices(self, *prices: Price) -> None:
        first = len(self.prices) + 1
        self.prices += prices
        rows = [
            (
                p.asset,
                p.usd,
                p.usd_low,
                p.usd_high,
                p.status.value,
                p.observed_at,
                p.published_at,
                "first",
                "{}",
            )
            for p in prices
        ]
        columns = (
            "asset",
            "usd",
            "usd_low",
            "usd_high",
            "status",
            "observed_at",
            "published_at",
            "reason",
            "sources",
        )
        await self._append(PRICE_STREAM, "prices", columns, rows, ())
        self.price_topic.publish(first, prices)

    async def write_accounts(self, *records: AccountRecord) -> None:
        first = len(self.changes) + 1
        changes = [AccountChange(seq, record) for seq, record in enumerate(records, first)]
        self.changes += changes
        rows = [(record.account, record_json(record)) for record in records]
        await self._append(ACCOUNT_STREAM, "account_changes", ("account", "record"), rows, ())
        self.account_topic.publish(first, changes)

    async def write_journal(self, chain: ChainId) -> None:
        """Commit what was drawn since the last time, as a chain listener does."""
        stream = journal_stream(chain)
        entries = self.writers[chain].entries[self._stored.get(stream, 0) :]
        rows = [(chain, entry.op.value, entry.block.hash, entry.block.number, 1, entry.settles) for entry in entries]
        columns = ("chain_id", "op", "block_hash", "block_number", "filter_version", "settles")
        writes = [write for entry in entries for write in _chain_writes(entry)]
        await self._append(stream, "chain_journal", columns, rows, writes)
        self.journal_topics[chain].publish(entries[0].seq, entries)

    async def _append(
        self,
        stream: str,
        table: str,
        columns: tuple[str, ...],
        rows: Sequence[tuple[object, ...]],
        writes: Sequence[Write],
    ) -> None:
        if stream not in self._epochs:
            self._epochs[stream] = (await self.store.claim(f"writer of {stream}", produces=(stream,))).epoch
        head = self._stored.get(stream, 0)
        append = Append(stream, self._epochs[stream], head, table, columns, rows)  # type: ignore[arg-type]
        await self.store.commit(Commit(tuple(writes), (append,)))
        self._stored[stream] = head + len(rows)

    # Running

    def sources(self) -> Sources:
        async def price_fill(after: int, limit: int) -> Sequence[Price]:
            return self.prices[after : after + limit]

        async def account_fill(after: int, limit: int) -> Sequence[AccountChange]:
            return self.changes[after : after + limit]

        def journal_fill(chain: ChainId) -> Callable[[int, int], Awaitable[Sequence[JournalEntry]]]:
            async def fill(after: int, limit: int) -> Sequence[JournalEntry]:
                return self.writers[chain].entries[after : after + limit]

            return fill

        async def entries_after(_reader: Reader, chain: ChainId, after: int, limit: int) -> Sequence[JournalEntry]:
            return self.writers[chain].entries[after : after + limit]

        return Sources(
            self.price_topic,
            price_fill,
            self.account_topic,
            account_fill,
            self.journal_topics,
            {chain: journal_fill(chain) for chain in self.writers},
            entries_after,
        )

    def calculator(self, store: Store) -> RiskCalculator:
        def accept(events: Sequence[MarginEvent], accounts: dict[AccountId, AccountRecord]) -> Sequence[Write]:
            return accept_margin_events(events, accounts, (DESK,), self.clock.now())

        return RiskCalculator(
            store,
            self.settings,
            self.sources(),
            self.margin,
            self.dispatcher,
            self.requests,
            accept,  # type: ignore[arg-type]
            self.ward,
        )

    async def live(
        self, store: Store, *, task_status: trio.TaskStatus[ActorContext] = trio.TASK_STATUS_IGNORED
    ) -> None:
        context = ActorContext("risk_calculator", self.clock, on_started=lambda: task_status.started(context))
        await self.calculator(store).run(context)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ActorContext]:
        async with trio.open_nursery() as nursery:
            context = await nursery.start(self.live, self.store)
            yield context
            nursery.cancel_scope.cancel()

    async def caught_up(self) -> AccountMargin:
        """Wait until everything committed so far is folded: the answer says what it rests on. The second such
        answer, because what was due when all was folded (a changed configuration) is done between the two."""
        answers = 0
        with trio.fail_after(DEADLINE):
            while True:
                shown = await self.requests.ask(MarginOf(AccountId("probe")), DEADLINE)
                if shown is None:
                    continue  # `probe` is not registered yet
                folded = {each.chain: each.seq for each in shown.inputs.chains}
                wanted = {chain: self._stored.get(journal_stream(chain), 0) for chain in self.writers}
                if shown.inputs.price_seq == len(self.prices) and folded == wanted:
                    answers += 1
                    if answers == 2:
                        return shown


def _chain_writes(entry: JournalEntry) -> Sequence[Write]:
    sign = 1 if entry.op is Op.APPLY else -1
    writes: list[Write] = []
    if entry.op is Op.RETRACT:
        delete = "DELETE FROM chain_registers WHERE chain_id = $1 AND block_hash = $2"
        writes.append(Execute(delete, (entry.chain, entry.block.hash)))
    for change in entry.changes:
        if isinstance(change, BalanceChange):
            writes.append(
                Execute(
                    "INSERT INTO positions AS held VALUES ($1, $2, $3, $4, $5, $6)"
                    " ON CONFLICT (chain_id, vault, owner, token, side)"
                    " DO UPDATE SET amount = held.amount + excluded.amount",
                    (
                        entry.chain,
                        change.vault,
                        change.owner,
                        change.token,
                        change.side.value,
                        sign * change.amount,
                    ),
                )
            )
        elif entry.op is Op.APPLY:
            kind, subject = "", b""
            values: tuple[int | None, ...] = ()
            match change:
                case IndexUpdate(_, token, index, rate, since):
                    kind, subject, values = "index", token, (index, rate, since, None, None, None, None)
                case AssetParameters(_, token, decimals, ltv, threshold):
                    kind, subject, values = "asset", token, (None, None, None, decimals, ltv, threshold, None)
                case CreditChange(_, owner, limit):
                    kind, subject, values = "credit", owner, (None, None, None, None, None, None, limit)
            writes.append(
                Execute(
                    "INSERT INTO chain_registers VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
                    (
                        entry.chain,
                        entry.block.hash,
                        change.log_index,
                        entry.block.number,
                        kind,
                        change.vault,
                        subject,
                        *values,
                    ),
                )
            )
    return writes
