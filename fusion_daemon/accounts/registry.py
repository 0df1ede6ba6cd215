"""The registry: the one writer of the stream `accounts`.

INVARIANT: a change is published only after its commit has answered. When it did not answer (an
error, a cancellation), nobody knows whether it happened; then the next command claims the stream
anew, which fences the old commit off or finds it in the head, and announces that head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from fusion_daemon.accounts.audit import By
from fusion_daemon.accounts.decisions import (
    ChainAddress,
    Decided,
    Known,
    NewAccount,
    Prepared,
    add_contact,
    checked_link,
    link_address,
    prepare,
    register,
    verify_contact,
)
from fusion_daemon.accounts.repository import load_known
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord, Channel, Contact
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId
from fusion_daemon.runtime import Topic
from fusion_daemon.store import Fenced, Reader, Store
from fusion_daemon.store.writes import Commit

OWNER = "accounts"


class RegistryTakenOver(Failure):
    """Another daemon has claimed the registry of this database."""


@dataclass(frozen=True, slots=True)
class Standing:
    epoch: int
    head: int


Prepare = Callable[[Known], Prepared]


class RegistryStore(Protocol):
    """What the registry needs of the store. trio side."""

    async def claim(self) -> Standing: ...

    async def prepare(
        self, accounts: Sequence[AccountId], addresses: Sequence[ChainAddress], prepare: Prepare
    ) -> Prepared:
        """`prepare` on what is known of them; beside trio, not on it, for a batch takes milliseconds."""
        ...

    async def commit(self, commit: Commit) -> None: ...


class PostgresRegistryStore:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self) -> Standing:
        claim = await self._store.claim(OWNER, produces=(ACCOUNT_STREAM,))
        return Standing(claim.epoch, claim.heads[ACCOUNT_STREAM])

    async def prepare(
        self, accounts: Sequence[AccountId], addresses: Sequence[ChainAddress], prepare: Prepare
    ) -> Prepared:
        async def load_and_prepare(reader: Reader) -> Prepared:
            return prepare(await load_known(reader, accounts, addresses))

        return await self._store.read(load_and_prepare)

    async def commit(self, commit: Commit) -> None:
        await self._store.commit(commit)


class Registry:
    """Commands on accounts. trio side; one at a time, in order of arrival.

    Every command raises the Failures of its decision, RegistryTakenOver, and what the store raises.
    Cancelled, it may or may not have happened.
    """

    def __init__(self, store: RegistryStore, topic: Topic[AccountChange]) -> None:
        self._store = store
        self._topic = topic
        self._lock = trio.Lock()
        self._standing: Standing | None = None
        self._taken_over = False

    async def open(self) -> None:
        """Claim the stream and announce its head, so that subscribers find what they lack."""
        async with self._lock:
            await self._stand()

    async def register(self, new: NewAccount, by: By) -> AccountRecord:
        return (await self.register_many([new], by))[0]

    async def register_many(self, new: Sequence[NewAccount], by: By) -> tuple[AccountRecord, ...]:
        """All of them in one commit, or none."""
        return await self._change(
            [each.account for each in new],
            [link for each in new for link in each.addresses],
            lambda known: register(known, new, by),
        )

    async def link_address(self, account: AccountId, chain: ChainId, address: Address, by: By) -> AccountRecord:
        link = checked_link(chain, address)
        records = await self._change([account], [link], lambda known: link_address(known, account, link, by))
        return records[0]

    async def add_contact(self, contact: Contact, by: By) -> AccountRecord:
        records = await self._change([contact.account], [], lambda known: add_contact(known, contact, by))
        return records[0]

    async def verify_contact(self, account: AccountId, channel: Channel, target: str, by: By) -> AccountRecord:
        records = await self._change([account], [], lambda known: verify_contact(known, account, channel, target, by))
        return records[0]

    async def _change(
        self,
        accounts: Sequence[AccountId],
        addresses: Sequence[ChainAddress],
        decide: Callable[[Known], Decided],
    ) -> tuple[AccountRecord, ...]:
        async with self._lock:
            standing = await self._stand()
            prepared = await self._store.prepare(
                accounts, addresses, lambda known: prepare(decide(known), standing.epoch, standing.head)
            )
            self._standing = None
            try:
                await self._store.commit(prepared.commit)
            except Fenced:
                # Claiming again would take the stream back from whoever has it, and so on for ever.
                self._taken_over = True
                raise
            self._standing = Standing(standing.epoch, standing.head + len(prepared.changes))
            self._topic.publish(standing.head + 1, prepared.changes)
            return tuple(change.record for change in prepared.changes)

    async def _stand(self) -> Standing:
        if self._taken_over:
            raise RegistryTakenOver(
                "Another daemon has claimed the registry of this database.",
                "This one changes no accounts any more; nothing was changed now.",
                "Ask the other daemon, or stop it and restart this one.",
            )
        if self._standing is None:
            self._standing = await self._store.claim()
            self._topic.advance(self._standing.head)
        return self._standing
