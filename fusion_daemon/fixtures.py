"""What stays in the house whatever the configuration says: topics, mailboxes, the registry, and who is alive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from actors.message_tracker import OperatorsWords
from actors.quarantine_keeper import Ward
from actors.risk_calculator import MarginOf, MarginRequests
from fusion_daemon.accounts.registry import PostgresRegistryStore, Registry
from fusion_daemon.accounts.routes import AuditRows
from fusion_daemon.aio import Aio
from fusion_daemon.chain.events import EventTable, load_event_table
from fusion_daemon.chain.rpc_pools import EndpointPools
from fusion_daemon.crosschain.clients.second_opinions import SecondOpinions
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import MARGIN_STREAM, MarginEvent
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.domain.price import PRICE_STREAM, Price
from fusion_daemon.risk.clients.calculators import Calculators
from fusion_daemon.runtime import (
    Actor,
    Bell,
    Clock,
    Codec,
    DeadLetters,
    Mailbox,
    MailboxStatistics,
    Overflow,
    Topic,
)
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.store import Store

TOPIC_CAPACITY = 4_096
"""Items that a slow consumer may lag in memory; beyond it reads the store."""
MARGIN_REQUESTS = 64
MESSAGE_WORDS = 16


@runtime_checkable
class Counting(Protocol):
    """An actor that counts what it does."""

    def statistics(self) -> object: ...


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
    calculators: Calculators
    table: EventTable
    registry: Registry
    audit: AuditRows
    pools: EndpointPools = field(default_factory=EndpointPools)
    """Of all who ask chains."""
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


def build_fixtures(secret: SecretFiles, clock: Clock, aio: Aio, store: Store) -> Fixtures:
    accounts = Topic[AccountChange](ACCOUNT_STREAM, TOPIC_CAPACITY, clock)
    ward = Ward(clock)
    dead_letters = DeadLetters(clock, ward)
    codec = Codec(_encoded, _decoded)
    return Fixtures(
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
        calculators=Calculators(),
        table=load_event_table(),
        registry=Registry(PostgresRegistryStore(store), accounts),
        audit=AuditRows(store, aio),
    )


def _encoded(message: MarginOf) -> bytes:
    return message.account.encode()


def _decoded(payload: bytes) -> MarginOf:
    return MarginOf(AccountId(payload.decode()))
