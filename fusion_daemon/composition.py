"""Who is built from what, under one configuration: journals, the supervision tree and the routes. Decides nothing."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from actors.message_folding import OperatorsWord
from actors.message_tracker import OperatorsWords
from actors.retention_settings import RetentionSettings
from actors.risk_calculator import MarginOf, MarginRequests
from fusion_daemon.accounts.audit import By
from fusion_daemon.accounts.routes import routes as account_routes
from fusion_daemon.aio import Aio
from fusion_daemon.alerting.routes import routes as alert_routes
from fusion_daemon.branches import Lives, branches_of, endpoints_of
from fusion_daemon.chain.routes import routes as chain_routes
from fusion_daemon.chain.routes_orders import order_routes
from fusion_daemon.chain.rpc_routes import endpoint_routes
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.config import Config
from fusion_daemon.crosschain import MessageId, Standing
from fusion_daemon.crosschain.clients.second_opinions import SecondOpinions
from fusion_daemon.crosschain.routes import Explaining, Recoveries, Say, recovery_routes, word_routes
from fusion_daemon.crosschain.routes import routes as message_routes
from fusion_daemon.domain.account import AccountChange
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId
from fusion_daemon.domain.journal import JournalEntry, journal_stream
from fusion_daemon.domain.margin import MarginEvent
from fusion_daemon.domain.message import MessageChange
from fusion_daemon.domain.price import Price
from fusion_daemon.fixtures import TOPIC_CAPACITY, Fixtures, build_fixtures
from fusion_daemon.http import Routes
from fusion_daemon.http.principals import Principals
from fusion_daemon.oracle.routes import routes as price_routes
from fusion_daemon.quarantine.routes import routes as dead_letter_routes
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.risk.routes import routes as margin_routes
from fusion_daemon.runtime import (
    ChildSpec,
    Clock,
    SupervisorSpec,
    Topic,
)
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.settings import (
    chain_settings,
    explorer_settings,
    message_settings,
    principal_settings,
    retention_settings,
    risk_settings,
)
from fusion_daemon.store import Store
from fusion_daemon.transactions.repository import propose_next
from fusion_daemon.transactions.routes import routes as transaction_routes

ASK_SECONDS = 5.0

AnyTopic = Topic[Price] | Topic[AccountChange] | Topic[JournalEntry] | Topic[MarginEvent] | Topic[MessageChange]


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
        lives = Lives(config, chains, kept, self.fixtures, lambda: self.retention)
        users = [principal_settings(each, self.fixtures.secret) for each in config.http.principals]
        return Stand(
            config=config,
            principals=Principals(users, own_uid=os.getuid()),
            retention=retention_settings(config),
            journals=kept,
            branches={each.name: each for each in branches_of(lives, chains, self.fixtures.alive)},
            routes=self._routes(config, chains),
        )

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
            *order_routes(fixed.aio, fixed.store, {each.chain: each.name for each in chains}),
            *endpoint_routes({each.chain: each.name for each in chains}, partial(endpoints_of, fixed.alive)),
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
    return House(config, build_fixtures(secret, clock, aio, store))


def _locks(config: Config) -> Mapping[ChainId, Address]:
    return dict(risk_settings(config).locks.keys())


def _explaining(config: Config, opinions: SecondOpinions) -> Explaining:
    return Explaining(message_settings(config).networks, partial(opinions.ask, explorer_settings(config)))


def _asking(aio: Aio, requests: MarginRequests) -> Callable[[AccountId], Awaitable[AccountMargin | None]]:
    async def ask(account: AccountId) -> AccountMargin | None:
        return await aio.to_trio(requests.ask, MarginOf(account), ASK_SECONDS, timeout=2 * ASK_SECONDS)

    return ask


def _saying(aio: Aio, words: OperatorsWords) -> Say:
    async def say(message: MessageId, abandon: bool, by: By) -> Standing | None:
        word = OperatorsWord(message, abandon, by)
        return await aio.to_trio(words.ask, word, ASK_SECONDS, timeout=2 * ASK_SECONDS)

    return say
