"""Who is built from what: topics, actors, the supervision tree and the routes. Knows everybody; decides nothing.

The tree: a branch per concern and one per chain, so that a chain's fault touches no other chain. Consumers
stand before producers and are stopped after them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol, runtime_checkable

from actors.alert_dispatcher import AlertDispatcher
from actors.chain_listener import ChainListener
from actors.oracle_poller import OraclePoller
from actors.retention_keeper import RetentionKeeper
from actors.risk_calculator import MarginOf, MarginRequests, RiskCalculator, Sources
from fusion_daemon.accounts.registry import PostgresRegistryStore, Registry
from fusion_daemon.accounts.repository import fill_changes
from fusion_daemon.accounts.routes import AuditRows
from fusion_daemon.accounts.routes import routes as account_routes
from fusion_daemon.aio import Aio
from fusion_daemon.alerting.acceptance import accept_margin_events
from fusion_daemon.alerting.routes import routes as alert_routes
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.repository import journal_fill, load_entries
from fusion_daemon.chain.routes import routes as chain_routes
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.config import Config
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.feeds import ChainCalls
from fusion_daemon.http import Routes
from fusion_daemon.oracle.repository import prices_after
from fusion_daemon.oracle.routes import routes as price_routes
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.risk.routes import routes as margin_routes
from fusion_daemon.runtime import (
    Actor,
    Bell,
    ChildSpec,
    Clock,
    DeadLetters,
    Mailbox,
    MailboxStatistics,
    Overflow,
    SupervisorSpec,
    Topic,
)
from fusion_daemon.secret_files import SecretFiles, SecretMissing
from fusion_daemon.settings import (
    alerting_settings,
    chain_settings,
    oracle_settings,
    retention_settings,
    risk_settings,
)
from fusion_daemon.store import Reader, Store, Write

TOPIC_CAPACITY = 4_096
"""Items that a slow consumer may lag in memory; beyond it reads the store."""
MARGIN_REQUESTS = 64
ASK_SECONDS = 5.0
BEAT_LIMIT = 30.0
DATA_LIMITS = {"alerting": 60.0, "risk": 30.0, "chain": 120.0, "oracle": 60.0, "retention": 1_800.0}
"""Seconds: how old what an actor knows may be. A delivery that is due, an entry that is not folded, the last block, the
last good reading of an asset, the last look at what may be dropped."""
PARTING = {
    "alert_dispatcher": (4.0, 8.0),
    "risk_calculator": (2.0, 5.0),
    "chain_listener": (0.5, 6.0),
    "oracle_poller": (0.5, 5.0),
    "retention_keeper": (0.5, 5.0),
}
"""Seconds that an actor has on an ordered stop to finish what it has accepted, and then, cancelled, to clean up.
Attempts at receivers take the longest; the others have a commit under way, and no more. One stops after the other."""


AnyTopic = Topic[Price] | Topic[AccountChange] | Topic[JournalEntry] | Topic[MarginEvent]


@runtime_checkable
class Counting(Protocol):
    """An actor that counts what it does."""

    def statistics(self) -> object: ...


@dataclass(slots=True)
class House:
    """Everything that lives in one process, wired but not yet started."""

    tree: SupervisorSpec
    topics: tuple[AnyTopic, ...]
    requests: MarginRequests
    dead_letters: DeadLetters
    registry: Registry
    audit: AuditRows
    routes: Routes
    alive: dict[str, Actor] = field(default_factory=dict)
    """The present life of every actor, by name: what metrics are read from."""

    def mailboxes(self) -> Sequence[MailboxStatistics]:
        """Any thread."""
        return (self.requests.statistics(),)

    def counted(self, name: str) -> object:
        """What an actor's present life has counted, or None. Any thread."""
        return _count(self.alive.get(name))


def _count(actor: object) -> object:
    return actor.statistics() if isinstance(actor, Counting) else None


def build_house(config: Config, secret: SecretFiles, clock: Clock, aio: Aio, store: Store, calls: ChainCalls) -> House:
    """Raises SecretMissing and the Failures of settings."""
    chains = [chain_settings(chain, secret) for chain in config.chains]
    alerting = alerting_settings(config)
    bell = Bell()
    prices = Topic[Price](PRICE_STREAM, TOPIC_CAPACITY, clock)
    accounts = Topic[AccountChange](ACCOUNT_STREAM, TOPIC_CAPACITY, clock)
    margin = Topic[MarginEvent](MARGIN_STREAM, TOPIC_CAPACITY, clock)
    journals = {each.chain: Topic[JournalEntry](journal_stream(each.chain), TOPIC_CAPACITY, clock) for each in chains}
    dead_letters = DeadLetters(clock)
    requests: MarginRequests = Mailbox("margin_requests", MARGIN_REQUESTS, Overflow.FAIL, dead_letters)
    table = load_event_table()
    sources = _sources(store, table, prices, accounts, journals)
    registry = Registry(PostgresRegistryStore(store), accounts)
    audit = AuditRows(store, aio)
    alive: dict[str, Actor] = {}

    def dispatcher() -> Actor:
        return AlertDispatcher(alerting, _optional(secret), aio, store, bell, Random())  # noqa: S311 - jitter

    def calculator() -> Actor:
        accept = _acceptance(alerting, clock)
        return RiskCalculator(store, risk_settings(config), sources, margin, bell, requests, accept)

    def listener(settings: ChainSettings) -> Actor:
        return ChainListener(settings, aio, store, journals[settings.chain], table)

    def poller() -> Actor:
        return OraclePoller(oracle_settings(config), store, prices, calls)

    def keeper() -> Actor:
        return RetentionKeeper(retention_settings(config), store)

    branches = [
        ChildSpec("alerting", _branch(alive, "alert_dispatcher", dispatcher, DATA_LIMITS["alerting"])),
        ChildSpec("risk", _branch(alive, "risk_calculator", calculator, DATA_LIMITS["risk"])),
        *(_chain_branch(alive, each, listener) for each in chains),
        ChildSpec("oracle", _branch(alive, "oracle_poller", poller, DATA_LIMITS["oracle"])),
        ChildSpec("retention", _branch(alive, "retention_keeper", keeper, DATA_LIMITS["retention"], required=False)),
    ]
    routes = [
        *account_routes(store, aio, registry, frozenset(journals)),
        *margin_routes(store, _asking(aio, requests)),
        *price_routes(store),
        *alert_routes(store),
        *chain_routes(aio, store, {each.chain: each.name for each in chains}),
    ]
    topics: list[AnyTopic] = [prices, accounts, margin, *journals.values()]
    tree = SupervisorSpec(tuple(branches))
    return House(tree, tuple(topics), requests, dead_letters, registry, audit, routes, alive)


def _branch(
    alive: dict[str, Actor], name: str, build: Callable[[], Actor], data_limit: float, *, required: bool = True
) -> SupervisorSpec:
    def start() -> Actor:
        alive[name] = actor = build()
        return actor

    drain, stop = PARTING[name.partition(":")[0]]
    child = ChildSpec(
        name,
        start,
        drain_timeout=drain,
        stop_timeout=stop,
        beat_limit=BEAT_LIMIT,
        data_limit=data_limit,
        required=required,
    )
    return SupervisorSpec((child,))


def _chain_branch(
    alive: dict[str, Actor], settings: ChainSettings, build: Callable[[ChainSettings], Actor]
) -> ChildSpec:
    name = f"chain_listener:{settings.chain}"
    return ChildSpec(
        f"chain:{settings.chain}", _branch(alive, name, lambda: build(settings), DATA_LIMITS["chain"])
    )


def _sources(
    store: Store,
    table: EventTable,
    prices: Topic[Price],
    accounts: Topic[AccountChange],
    journals: Mapping[ChainId, Topic[JournalEntry]],
) -> Sources:
    async def price_fill(after: int, limit: int) -> Sequence[Price]:
        return await store.read(prices_after, after, limit)

    async def entries_after(reader: Reader, chain: ChainId, after: int, limit: int) -> Sequence[JournalEntry]:
        return await load_entries(reader, table, chain, after, limit)

    return Sources(
        prices=prices,
        price_fill=price_fill,
        accounts=accounts,
        account_fill=fill_changes(store),
        journals=journals,
        journal_fills={chain: journal_fill(store, table, chain) for chain in journals},
        entries_after=entries_after,
    )


def _acceptance(
    alerting: AlertingSettings, clock: Clock
) -> Callable[[Sequence[MarginEvent], Mapping[AccountId, AccountRecord]], Sequence[Write]]:
    def accept(events: Sequence[MarginEvent], accounts: Mapping[AccountId, AccountRecord]) -> Sequence[Write]:
        return accept_margin_events(events, accounts, alerting.receivers, clock.now())

    return accept


def _optional(secret: SecretFiles) -> Callable[[str], str | None]:
    """The dispatcher makes a failed attempt of a secret that is not there, and says which."""

    def find(name: str) -> str | None:
        try:
            return secret(name)
        except SecretMissing:
            return None

    return find


def _asking(aio: Aio, requests: MarginRequests) -> Callable[[AccountId], Awaitable[AccountMargin | None]]:
    async def ask(account: AccountId) -> AccountMargin | None:
        return await aio.to_trio(requests.ask, MarginOf(account), ASK_SECONDS, timeout=2 * ASK_SECONDS)

    return ask
