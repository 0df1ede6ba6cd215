"""The supervision tree: a branch per concern and one per chain, so that a chain's fault touches no other chain.

Consumers stand before producers and are stopped after them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random

from actors.alert_dispatcher import AlertDispatcher
from actors.chain_listener import ChainListener
from actors.chain_reader import longest_silence
from actors.message_tracker import Journals, MessageTrackerActor
from actors.oracle_poller import OraclePoller
from actors.quarantine_keeper import QuarantineKeeper
from actors.retention_keeper import RetentionKeeper
from actors.retention_settings import RetentionSettings
from actors.risk_calculator import RiskCalculator
from actors.risk_inputs import Sources
from actors.transaction_sender import TransactionSender
from fusion_daemon.accounts.repository import fill_changes
from fusion_daemon.alerting.acceptance import accept, accept_margin_events
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.repository import journal_fill, load_entries
from fusion_daemon.chain.rpc_endpoints import EndpointStatistics
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain_transactions import ChainTransactions
from fusion_daemon.config import Config
from fusion_daemon.domain.account import AccountChange, AccountRecord
from fusion_daemon.domain.alert import Alert
from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.journal import JournalEntry
from fusion_daemon.domain.margin import MarginEvent
from fusion_daemon.domain.price import Price
from fusion_daemon.feeds import ChainCalls
from fusion_daemon.fixtures import Fixtures
from fusion_daemon.oracle.repository import prices_after
from fusion_daemon.receipts import ChainReceipts
from fusion_daemon.receipts import longest_silence as longest_without_receipts
from fusion_daemon.runtime import (
    Actor,
    ChildSpec,
    Clock,
    SupervisorSpec,
    Topic,
)
from fusion_daemon.secret_files import SecretFiles, SecretMissing
from fusion_daemon.settings import (
    alerting_settings,
    message_settings,
    oracle_settings,
    risk_settings,
    transaction_settings,
)
from fusion_daemon.store import Reader, Store, Write

BEAT_LIMIT = 45.0
"""Seconds: longer than the store takes to find out that its database is away, and than it reads at most."""
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


class Lives:
    """How the next life of each actor is made, under one configuration."""

    def __init__(
        self,
        config: Config,
        chains: Sequence[ChainSettings],
        journals: Mapping[ChainId, Topic[JournalEntry]],
        fixed: Fixtures,
        retention: Callable[[], RetentionSettings],
    ) -> None:
        """`retention`: what is in force when it is asked. Raises the Failures of settings."""
        self._chains = chains
        self._journals = journals
        self._fixed = fixed
        self._retention = retention
        self._alerting = alerting_settings(config)
        self._oracle = oracle_settings(config)
        self._risk = risk_settings(config)
        self._messages = message_settings(config)
        self._transactions = transaction_settings(config)
        self._sources = _sources(fixed.store, fixed.table, fixed.prices, fixed.accounts, journals)

    def dispatcher(self) -> Actor:
        fixed, secrets = self._fixed, _optional(self._fixed.secret)
        return AlertDispatcher(self._alerting, secrets, fixed.aio, fixed.store, fixed.bell, Random())  # noqa: S311 - jitter

    def calculator(self) -> Actor:
        fixed, accept = self._fixed, _acceptance(self._alerting, self._fixed.clock)
        return RiskCalculator(
            fixed.store, self._risk, self._sources, fixed.margin, fixed.bell, fixed.requests, accept, fixed.ward
        )

    def tracker(self) -> Actor:
        fixed, messages = self._fixed, self._messages
        crossed = [each for each in self._chains if each.chain in messages.networks]
        return MessageTrackerActor(
            fixed.store,
            messages,
            Journals(self._journals, self._sources.journal_fills),
            lambda: ChainReceipts(fixed.aio, crossed, fixed.pools.open),
            fixed.messages,
            fixed.bell,
            _alarming(self._alerting, fixed.clock),
            fixed.ward,
            fixed.words,
            lambda: self._retention().messages,
        )

    def listener(self, settings: ChainSettings) -> Actor:
        fixed = self._fixed
        journal = self._journals[settings.chain]
        return ChainListener(settings, fixed.aio, fixed.store, journal, fixed.table, fixed.pools.open)

    def poller(self) -> Actor:
        fixed = self._fixed
        calls = partial(ChainCalls, fixed.aio, self._chains, fixed.pools.open)
        return OraclePoller(self._oracle, fixed.store, fixed.prices, calls)

    def sender(self) -> Actor:
        fixed = self._fixed
        nodes = partial(ChainTransactions, fixed.aio, self._chains, fixed.pools.open)
        return TransactionSender(self._transactions, fixed.store, nodes, fixed.secret, fixed.to_send)

    def keeper(self) -> Actor:
        return RetentionKeeper(self._retention, self._fixed.store)

    def warder(self) -> Actor:
        return QuarantineKeeper(self._fixed.ward, self._fixed.store)


def endpoints_of(alive: Mapping[str, Actor], chain: ChainId) -> Sequence[EndpointStatistics]:
    """Of the chain's listener, if it lives."""
    listener = alive.get(f"chain_listener:{chain}")
    return listener.statistics().endpoints if isinstance(listener, ChainListener) else ()


def branches_of(lives: Lives, chains: Sequence[ChainSettings], alive: dict[str, Actor]) -> Sequence[ChildSpec]:
    """In start order. `alive` is told of every new life, by name."""

    def branch(
        name: str, actor: str, build: Callable[[], Actor], *, silence: float = 0.0, required: bool = True
    ) -> ChildSpec:
        """`silence`: seconds that one wait of it may take."""
        limits = BEAT_LIMIT + silence, DATA_LIMITS[name.partition(":")[0]]
        return ChildSpec(name, _branch(alive, actor, build, limits, required=required))

    return [
        branch("quarantine", "quarantine_keeper", lives.warder),
        branch("alerting", "alert_dispatcher", lives.dispatcher),
        branch("risk", "risk_calculator", lives.calculator),
        branch("messages", "message_tracker", lives.tracker, silence=longest_without_receipts(chains)),
        *(
            branch(
                f"chain:{each.chain}",
                f"chain_listener:{each.chain}",
                partial(lives.listener, each),
                silence=longest_silence(each),
            )
            for each in chains
        ),
        branch("oracle", "oracle_poller", lives.poller),
        branch("transactions", "transaction_sender", lives.sender),
        branch("retention", "retention_keeper", lives.keeper, required=False),
    ]


def _branch(
    alive: dict[str, Actor],
    name: str,
    build: Callable[[], Actor],
    limits: tuple[float, float],
    *,
    required: bool = True,
) -> SupervisorSpec:
    """`limits`: of its beats and of its data."""
    def start() -> Actor:
        alive[name] = actor = build()
        return actor

    beat_limit, data_limit = limits
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
