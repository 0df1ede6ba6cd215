"""What a registry command changes, given what is known. Pure: the registry commits the outcome.

INVARIANTS
* An address belongs to at most one account per chain, and stays there.
* Every command yields one stream entry per touched account, holding its whole record afterwards, and
  one audit row per touched account; all of them commit together or not at all.
* Only a verified contact is in a record.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fusion_daemon.accounts.audit import AuditEntry, By, audit_writes, detail_of
from fusion_daemon.accounts.contact_rules import check_contact
from fusion_daemon.accounts.records import record_json
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord, Channel, Contact
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import NATIVE, AccountId, Address, ChainId, hex_of
from fusion_daemon.store.writes import Append, Commit, Copy, Execute, Write

ChainAddress = tuple[ChainId, Address]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""No colon: `eip155:…` names an address that nobody registered."""
_TEXT_LENGTH = 200
_CHAIN_LIMIT = 2**53
"""EIP-2294 and JSON both end at safe integers."""


class InvalidAccount(Failure):
    """A registration that says something impossible."""


class AccountExists(Failure):
    """The id is taken."""


class AddressTaken(Failure):
    """The address is linked already."""


class UnknownAccount(Failure):
    """Nobody registered such an account."""


class ContactExists(Failure):
    """The account has that contact."""


class UnknownContact(Failure):
    """The account has no such contact."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """Raises InvalidAccount when it is made."""

    account: AccountId
    customer: str
    name: str
    addresses: tuple[ChainAddress, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.account):
            raise _invalid("its id is not 1 to 64 letters, digits, dots, dashes and underscores")
        for text in (self.customer, self.name):
            if not text.strip() or len(text) > _TEXT_LENGTH or not text.isprintable():
                raise _invalid(f"customer and name are 1 to {_TEXT_LENGTH} printable characters")
        for chain, address in self.addresses:
            checked_link(chain, address)


@dataclass(frozen=True, slots=True)
class KnownContact:
    contact: Contact
    verified: bool


@dataclass(frozen=True, slots=True)
class KnownAccount:
    account: AccountId
    customer: str
    name: str
    addresses: tuple[ChainAddress, ...]
    contacts: tuple[KnownContact, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """The part of the registry that a command is about: the accounts and the addresses it names."""

    accounts: Mapping[AccountId, KnownAccount]
    owners: Mapping[ChainAddress, AccountId]


@dataclass(frozen=True, slots=True)
class Decided:
    writes: tuple[Write, ...]
    records: tuple[AccountRecord, ...]
    """The touched accounts' records afterwards, in the order of their stream entries."""
    audit: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decision ready to commit, and what to publish once it has."""

    changes: tuple[AccountChange, ...]
    commit: Commit


def checked_link(chain: ChainId, address: Address) -> ChainAddress:
    """Raises InvalidAccount for a chain that cannot be and for an address that is nobody's."""
    if not 0 < chain < _CHAIN_LIMIT:
        raise _invalid(f"{chain} is not a chain id")
    if address in (NATIVE, bytes(20)):
        raise _invalid("the zero address and the native currency's belong to nobody")
    return chain, address


def register(known: Known, new: Sequence[NewAccount], by: By) -> Decided:
    """Raises InvalidAccount for none, AccountExists, AddressTaken; in a batch one refuses all."""
    if not new:
        raise _invalid("the list is empty")
    owners = dict(known.owners)
    ids = set(known.accounts)
    for each in new:
        if each.account in ids:
            raise AccountExists(
                f"There is an account {each.account!r} already.",
                "Nothing was registered.",
                "Choose another id, or read the account that has it.",
            )
        ids.add(each.account)
        for link in each.addresses:
            _claim_address(owners, link, each.account)
    records = tuple(
        AccountRecord(each.account, each.customer, each.name, tuple(sorted(each.addresses)), ()) for each in new
    )
    return Decided(
        (
            Copy("accounts", ("id", "customer", "name"), [(one.account, one.customer, one.name) for one in new]),
            Copy(
                "account_addresses",
                ("chain_id", "address", "account"),
                [(chain, address, one.account) for one in new for chain, address in one.addresses],
            ),
        ),
        records,
        tuple(
            AuditEntry(by, "account.register", record.account, "done", record_json(record).encode())
            for record in records
        ),
    )


def link_address(known: Known, account: AccountId, link: ChainAddress, by: By) -> Decided:
    """Raises UnknownAccount, AddressTaken."""
    owner = _account(known, account)
    _claim_address(dict(known.owners), link, account)
    chain, address = link
    return Decided(
        (
            Execute(
                "INSERT INTO account_addresses (chain_id, address, account) VALUES ($1, $2, $3)",
                (chain, address, account),
                expect=1,
            ),
        ),
        (record_of(replace(owner, addresses=(*owner.addresses, link))),),
        (
            AuditEntry(
                by,
                "account.link_address",
                account,
                "done",
                detail_of({"chain_id": chain, "address": hex_of(address)}),
            ),
        ),
    )


def add_contact(known: Known, contact: Contact, by: By) -> Decided:
    """An unverified contact. Raises UnknownAccount, InvalidContact, ContactExists."""
    owner = _account(known, contact.account)
    check_contact(contact.channel, contact.target, contact.secret)
    if _find(owner, contact.channel, contact.target) is not None:
        raise ContactExists(
            f"The account {contact.account!r} has this {contact.channel.value} contact already.",
            "Nothing was added.",
            "Read the account to see whether it is verified.",
        )
    return Decided(
        (
            Execute(
                "INSERT INTO account_contacts (account, channel, target, secret_name) VALUES ($1, $2, $3, $4)",
                (contact.account, contact.channel.value, contact.target, contact.secret),
                expect=1,
            ),
        ),
        (record_of(owner),),
        (_contact_entry("account.add_contact", contact.account, contact.channel, contact.target, by),),
    )


def verify_contact(known: Known, account: AccountId, channel: Channel, target: str, by: By) -> Decided:
    """An operator has made sure that the contact reaches the customer. Doing so again renews who and
    when. Raises UnknownAccount, UnknownContact."""
    owner = _account(known, account)
    found = _find(owner, channel, target)
    if found is None:
        raise UnknownContact(
            f"The account {account!r} has no such {channel.value} contact.",
            "Nothing was verified.",
            "Add the contact first, or spell its target as it was added.",
        )
    contacts = tuple(replace(each, verified=True) if each is found else each for each in owner.contacts)
    return Decided(
        (
            Execute(
                "UPDATE account_contacts SET verified_at = now(), verified_by = $4 "
                "WHERE account = $1 AND channel = $2 AND target = $3",
                (account, channel.value, target, by.principal),
                expect=1,
            ),
        ),
        (record_of(replace(owner, contacts=contacts)),),
        (_contact_entry("account.verify_contact", account, channel, target, by),),
    )


def prepare(decided: Decided, epoch: int, head: int) -> Prepared:
    """Everything of a command in one transaction, its stream entries numbered from `head` + 1."""
    rows = [(record.account, record_json(record)) for record in decided.records]
    return Prepared(
        tuple(AccountChange(seq, record) for seq, record in enumerate(decided.records, head + 1)),
        Commit(
            writes=(*decided.writes, audit_writes(decided.audit)),
            appends=(Append(ACCOUNT_STREAM, epoch, head, "account_changes", ("account", "record"), rows),),
        ),
    )


def record_of(known: KnownAccount) -> AccountRecord:
    """Addresses sorted, verified contacts only: equal registries have equal records."""
    return AccountRecord(
        known.account,
        known.customer,
        known.name,
        tuple(sorted(known.addresses)),
        tuple(each.contact for each in known.contacts if each.verified),
    )


def _account(known: Known, account: AccountId) -> KnownAccount:
    found = known.accounts.get(account)
    if found is None:
        raise unknown_account(account)
    return found


def unknown_account(account: str) -> UnknownAccount:
    return UnknownAccount(
        f"There is no account {account[:80]!r}.",
        "Nothing was read or changed.",
        "GET /v1/accounts lists the registered ones.",
    )


def _claim_address(owners: dict[ChainAddress, AccountId], link: ChainAddress, account: AccountId) -> None:
    if link in owners:
        raise AddressTaken(
            f"The address {hex_of(link[1])} on chain {link[0]} is linked to {owners[link]!r} already.",
            "An address belongs to one account, so nothing was changed.",
            "Check the address; a link is not moved.",
        )
    owners[link] = account


def _invalid(why: str) -> InvalidAccount:
    return InvalidAccount(f"This cannot be registered: {why}.", "Nothing was changed.", "Correct it and ask again.")


def _find(owner: KnownAccount, channel: Channel, target: str) -> KnownContact | None:
    for each in owner.contacts:
        if each.contact.channel is channel and each.contact.target == target:
            return each
    return None


def _contact_entry(action: str, account: AccountId, channel: Channel, target: str, by: By) -> AuditEntry:
    return AuditEntry(by, action, account, "done", detail_of({"channel": channel.value, "target": target}))
