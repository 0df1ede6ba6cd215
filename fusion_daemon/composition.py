"""Who is built from what: topics, actors, the supervision tree and the routes. Knows everybody; decides nothing.

The tree: a branch per concern and one per chain, so that a chain's fault touches no other chain. Consumers
stand before producers and are stopped after them.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Protocol, runtime_checkable

from actors.alert_dispatcher import AlertDispatcher
from actors.chain_listener import ChainListener
from actors.chain_reader import longest_silence
from actors.message_folding import OperatorsWord
from actors.message_tracker import Journals, MessageTrackerActor, OperatorsWords
from actors.oracle_poller import OraclePoller
from actors.quarantine_keeper import QuarantineKeeper, Ward
from actors.retention_keeper import RetentionKeeper, RetentionSettings
from actors.risk_calculator import MarginOf, MarginRequests, RiskCalculator
from actors.risk_inputs import Sources
from actors.transaction_sender import TransactionSender
from fusion_daemon.accounts.audit import By
from fusion_daemon.accounts.registry import PostgresRegistryStore, Registry
from fusion_daemon.accounts.repository import fill_changes
from fusion_daemon.accounts.routes import AuditRows
from fusion_daemon.accounts.routes import routes as account_routes
from fusion_daemon.aio import Aio
from fusion_daemon.alerting.acceptance import accept, accept_margin_events
from fusion_daemon.alerting.routes import routes as alert_routes
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.repository import journal_fill, load_entries
from fusion_daemon.chain.routes import routes as chain_routes
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain_transactions import ChainTransactions
from fusion_daemon.config import Config
from fusion_daemon.crosschain import MessageId, Standing
from fusion_daemon.crosschain.clients.second_opinions import SecondOpinions
from fusion_daemon.crosschain.routes import Explaining, Recoveries, Say, recovery_routes, word_routes
from fusion_daemon.crosschain.routes import routes as message_routes
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord
from fusion_daemon.domain.alert import Alert
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.feeds import ChainCalls
from fusion_daemon.http import Routes
from fusion_daemon.http.principals import Principals
from fusion_daemon.oracle.repository import prices_after
from fusion_daemon.oracle.routes import routes as price_routes
from fusion_daemon.quarantine.routes import routes as dead_letter_routes
from fusion_daemon.receipts import ChainReceipts
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.risk.routes import routes as margin_routes
from fusion_daemon.runtime import (
    Actor,
    Bell,
    ChildSpec,
    Clock,
    Codec,
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
    explorer_settings,
    message_settings,
    oracle_settings,
    principal_settings,
    retention_settings,
    risk_settings,
    transaction_settings,
)
from fusion_daemon.store import Reader, Store, Write
from fusion_daemon.transactions.repository import propose_next
from fusion_daemon.transactions.routes import routes as transaction_routes

TOPIC_CAPACITY = 4_096
"""Items that a slow consumer may lag in memory; beyond it reads the store."""
MARGIN_REQUESTS = 64
MESSAGE_WORDS = 16
ASK_SECONDS = 5.0
BEAT_LIMIT = 30.0
DATA_LIMITS = {
    "quarantine": 60.0,
    "alerting": 60.0,
    "risk": 30.0,
    "messages": 120.0,
    "chain": 120.0,
    "oracle": 60.0,
    "retention": 1_800.0,
    "transactions": 60.0,
}
"""Seconds: how old what an actor knows may be. The last look at what is set aside, a delivery that is due, an entry
that is not folded, the last look at what journals hold, the last block, the last good reading of an asset, the last
look at what may be dropped, the last look at the chains on which something is to be sent."""
PARTING = {
    "quarantine_keeper": (0.5, 5.0),
    "alert_dispatcher": (4.0, 8.0),
    "risk_calculator": (2.0, 5.0),
    "message_tracker": (2.0, 5.0),
    "chain_listener": (0.5, 6.0),
    "oracle_poller": (0.5, 5.0),
    "retention_keeper": (0.5, 5.0),
    "transaction_sender": (0.4, 5.0),
}
"""Seconds that an actor has on an ordered stop to finish what it has accepted, and then, cancelled, to clean up.
Attempts at receivers take the longest; the others have a commit under way, and no more. One stops after the other."""


AnyTopic = Topic[Price] | Topic[AccountChange] | Topic[JournalEntry] | Topic[MarginEvent] | Topic[MessageChange]


@runtime_checkable
class Counting(Protocol):
    """An actor that counts what it does."""

    def statistics(self) -> object: ...


@dataclass(frozen=True, slots=True)
class Stand:
    """What one configuration makes of the house. Everything that a reload exchanges is made, and so checked, before
    anything is touched."""

    config: Config
    principals: Principals
    retention: RetentionSettings
    journals: Mapping[ChainId, Topic[JournalEntry]]
    branches: Mapping[str, ChildSpec]
    """By name, in start order. A branch keeps the settings with which it was made."""
    routes: Routes

    @property
    def tree(self) -> SupervisorSpec:
        return SupervisorSpec(tuple(self.branches.values()))


@dataclass(frozen=True, slots=True)
class Fixtures:
    """What stays, whatever the configuration says."""

    secret: SecretFiles
    clock: Clock
    aio: Aio
    store: Store
    bell: Bell
    """Of the alert dispatcher."""
    to_send: Bell
    """Of the transaction sender: rung after a commit with `propose` in it."""
    prices: Topic[Price]
    accounts: Topic[AccountChange]
    margin: Topic[MarginEvent]
    messages: Topic[MessageChange]
    dead_letters: DeadLetters
    ward: Ward
    requests: MarginRequests
    words: OperatorsWords
    """About messages, for their tracker."""
    opinions: SecondOpinions
    table: EventTable
    registry: Registry
    audit: AuditRows
    alive: dict[str, Actor] = field(default_factory=dict)
    """The present life of every actor, by name: what metrics are read from."""

    def mailboxes(self) -> Sequence[MailboxStatistics]:
        """Any thread."""
        return (self.requests.statistics(), self.words.statistics())

    def counted(self, name: str) -> object:
        """What an actor's present life has counted, or None. Any thread."""
        return _count(self.alive.get(name))


def _count(actor: object) -> object:
    return actor.statistics() if isinstance(actor, Counting) else None


class House:
    """Everything that lives in one process, wired but not yet started. Trio side; properties from any thread."""

    def __init__(self, config: Config, fixtures: Fixtures) -> None:
        """Raises as `design`."""
        self.fixtures = fixtures
        self.stand = self.design(config, {})
        """In force."""
        self.retention = self.stand.retention
        """What the retention keeper asks at every pass."""

    @property
    def topics(self) -> Sequence[AnyTopic]:
        fixed = self.fixtures
        return [fixed.prices, fixed.accounts, fixed.margin, fixed.messages, *self.stand.journals.values()]

    def design(self, config: Config, journals: Mapping[ChainId, Topic[JournalEntry]]) -> Stand:
        """What a configuration would make of the house: a chain that it has in common with `journals` keeps its topic.
        Changes nothing. Raises SecretMissing and the Failures of settings."""
        chains = [chain_settings(chain, self.fixtures.secret) for chain in config.chains]
        kept = {each.chain: self._journal(each.chain, journals) for each in chains}
        users = [principal_settings(each, self.fixtures.secret) for each in config.http.principals]
        return Stand(
            config=config,
            principals=Principals(users, own_uid=os.getuid()),
            retention=retention_settings(config),
            journals=kept,
            branches={each.name: each for each in self._branches(config, chains, kept)},
            routes=self._routes(config, chains),
        )

    def _branches(
        self, config: Config, chains: Sequence[ChainSettings], journals: Mapping[ChainId, Topic[JournalEntry]]
    ) -> Sequence[ChildSpec]:
        fixed = self.fixtures
        aio, store, alive = fixed.aio, fixed.store, fixed.alive
        alerting, oracle, risk = alerting_settings(config), oracle_settings(config), risk_settings(config)
        messages = message_settings(config)
        sources = _sources(store, fixed.table, fixed.prices, fixed.accounts, journals)

        def dispatcher() -> Actor:
            secrets = _optional(fixed.secret)
            return AlertDispatcher(alerting, secrets, aio, store, fixed.bell, Random())  # noqa: S311 - jitter

        def calculator() -> Actor:
            accept = _acceptance(alerting, fixed.clock)
            return RiskCalculator(
                store, risk, sources, fixed.margin, fixed.bell, fixed.requests, accept, fixed.ward
            )

        def tracker() -> Actor:
            return MessageTrackerActor(
                store,
                messages,
                Journals(journals, sources.journal_fills),
                lambda: ChainReceipts(aio, [each for each in chains if each.chain in messages.networks]),
                fixed.messages,
                fixed.bell,
                _alarming(alerting, fixed.clock),
                fixed.ward,
                fixed.words,
                lambda: self.retention.messages,
            )

        def listener(settings: ChainSettings) -> Actor:
            return ChainListener(settings, aio, store, journals[settings.chain], fixed.table)

        def poller() -> Actor:
            return OraclePoller(oracle, store, fixed.prices, lambda: ChainCalls(aio, chains))

        def keeper() -> Actor:
            return RetentionKeeper(lambda: self.retention, store)

        def sender() -> Actor:
            settings = transaction_settings(config)
            return TransactionSender(
                settings, store, lambda: ChainTransactions(aio, chains), fixed.secret, fixed.to_send
            )

        def warder() -> Actor:
            return QuarantineKeeper(fixed.ward, store)

        return [
            ChildSpec("quarantine", _branch(alive, "quarantine_keeper", warder, DATA_LIMITS["quarantine"])),
            ChildSpec("alerting", _branch(alive, "alert_dispatcher", dispatcher, DATA_LIMITS["alerting"])),
            ChildSpec("risk", _branch(alive, "risk_calculator", calculator, DATA_LIMITS["risk"])),
            ChildSpec("messages", _branch(alive, "message_tracker", tracker, DATA_LIMITS["messages"])),
            *(_chain_branch(alive, each, listener) for each in chains),
            ChildSpec("oracle", _branch(alive, "oracle_poller", poller, DATA_LIMITS["oracle"])),
            ChildSpec(
                "transactions", _branch(alive, "transaction_sender", sender, DATA_LIMITS["transactions"])
            ),
            ChildSpec(
                "retention",
                _branch(alive, "retention_keeper", keeper, DATA_LIMITS["retention"], required=False),
            ),
        ]

    def _journal(self, chain: ChainId, present: Mapping[ChainId, Topic[JournalEntry]]) -> Topic[JournalEntry]:
        if chain in present:
            return present[chain]
        return Topic[JournalEntry](journal_stream(chain), TOPIC_CAPACITY, self.fixtures.clock)

    def _recoveries(self, config: Config) -> Recoveries:
        fixed = self.fixtures
        messages = message_settings(config)
        return Recoveries(fixed.aio, fixed.clock, messages.networks, messages.terms, propose_next, fixed.to_send.ring)

    def _routes(self, config: Config, chains: Sequence[ChainSettings]) -> Routes:
        fixed = self.fixtures
        return [
            *account_routes(fixed.store, fixed.aio, fixed.registry, frozenset(each.chain for each in chains)),
            *margin_routes(fixed.store, _asking(fixed.aio, fixed.requests)),
            *price_routes(fixed.store),
            *alert_routes(fixed.store),
            *message_routes(fixed.store, _locks(config), _explaining(config, fixed.opinions)),
            *word_routes(_saying(fixed.aio, fixed.words)),
            *recovery_routes(fixed.store, self._recoveries(config)),
            *chain_routes(fixed.aio, fixed.store, {each.chain: each.name for each in chains}),
            *transaction_routes(fixed.store, fixed.aio, fixed.clock, fixed.to_send.ring),
            *dead_letter_routes(
                fixed.store,
                fixed.aio,
                fixed.dead_letters.statistics,
                {fixed.requests.name: fixed.requests.replay},
                fixed.ward.settled,
            ),
        ]

def build_house(config: Config, secret: SecretFiles, clock: Clock, aio: Aio, store: Store) -> House:
    """Raises as `House.design`."""
    accounts = Topic[AccountChange](ACCOUNT_STREAM, TOPIC_CAPACITY, clock)
    ward = Ward(clock)
    dead_letters = DeadLetters(clock, ward)
    codec = Codec(_encoded, _decoded)
    fixtures = Fixtures(
        secret=secret,
        clock=clock,
        aio=aio,
        store=store,
        bell=Bell(),
        to_send=Bell(),
        prices=Topic[Price](PRICE_STREAM, TOPIC_CAPACITY, clock),
        accounts=accounts,
        margin=Topic[MarginEvent](MARGIN_STREAM, TOPIC_CAPACITY, clock),
        messages=Topic[MessageChange](MESSAGE_STREAM, TOPIC_CAPACITY, clock),
        dead_letters=dead_letters,
        ward=ward,
        requests=Mailbox("margin_requests", MARGIN_REQUESTS, Overflow.FAIL, dead_letters, codec),
        words=Mailbox("message_words", MESSAGE_WORDS, Overflow.FAIL, dead_letters),
        opinions=SecondOpinions(clock),
        table=load_event_table(),
        registry=Registry(PostgresRegistryStore(store), accounts),
        audit=AuditRows(store, aio),
    )
    return House(config, fixtures)


def _branch(
    alive: dict[str, Actor],
    name: str,
    build: Callable[[], Actor],
    data_limit: float,
    *,
    beat_limit: float = BEAT_LIMIT,
    required: bool = True,
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
        beat_limit=beat_limit,
        data_limit=data_limit,
        required=required,
    )
    return SupervisorSpec((child,))


def _chain_branch(
    alive: dict[str, Actor], settings: ChainSettings, build: Callable[[ChainSettings], Actor]
) -> ChildSpec:
    name = f"chain_listener:{settings.chain}"
    limit = BEAT_LIMIT + longest_silence(settings)
    branch = _branch(alive, name, lambda: build(settings), DATA_LIMITS["chain"], beat_limit=limit)
    return ChildSpec(f"chain:{settings.chain}", branch)


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


def _locks(config: Config) -> Mapping[ChainId, Address]:
    return dict(risk_settings(config).locks.keys())


def _explaining(config: Config, opinions: SecondOpinions) -> Explaining:
    return Explaining(message_settings(config).networks, partial(opinions.ask, explorer_settings(config)))


def _alarming(alerting: AlertingSettings, clock: Clock) -> Callable[[Alert], Sequence[Write]]:
    return lambda alarm: accept(alarm, None, alerting.receivers, clock.now())


def _optional(secret: SecretFiles) -> Callable[[str], str | None]:
    """The dispatcher makes a failed attempt of a secret that is not there, and says which."""

    def find(name: str) -> str | None:
        try:
            return secret(name)
        except SecretMissing:
            return None

    return find


def _encoded(message: MarginOf) -> bytes:
    return message.account.encode()


def _decoded(payload: bytes) -> MarginOf:
    return MarginOf(AccountId(payload.decode()))


def _asking(aio: Aio, requests: MarginRequests) -> Callable[[AccountId], Awaitable[AccountMargin | None]]:
    async def ask(account: AccountId) -> AccountMargin | None:
        return await aio.to_trio(requests.ask, MarginOf(account), ASK_SECONDS, timeout=2 * ASK_SECONDS)

    return ask


def _saying(aio: Aio, words: OperatorsWords) -> Say:
    async def say(message: MessageId, abandon: bool, by: By) -> Standing | None:
        word = OperatorsWord(message, abandon, by)
        return await aio.to_trio(words.ask, word, ASK_SECONDS, timeout=2 * ASK_SECONDS)

    return say
