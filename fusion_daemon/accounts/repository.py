"""The registry's SQL. All functions run on the asyncio side, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from fusion_daemon.accounts.audit import AuditEntry, audit_row
from fusion_daemon.accounts.decisions import ChainAddress, Known, KnownAccount, KnownContact
from fusion_daemon.accounts.records import record_from_json
from fusion_daemon.domain.account import AccountChange, Channel, Contact
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId, parse_address
from fusion_daemon.store import Reader, Row, Store

_SELECT = """
SELECT a.id, a.customer, a.name, a.created_at,
       (SELECT coalesce(json_agg(json_build_object(
                   'chain_id', l.chain_id, 'address', '0x' || encode(l.address, 'hex'))
               ORDER BY l.chain_id, l.address), '[]')
          FROM account_addresses l WHERE l.account = a.id) AS addresses,
       (SELECT coalesce(json_agg(json_build_object(
                   'channel', c.channel, 'target', c.target, 'secret', c.secret_name,
                   'verified_at', c.verified_at, 'verified_by', c.verified_by)
               ORDER BY c.channel, c.target), '[]')
          FROM account_contacts c WHERE c.account = a.id) AS contacts
  FROM accounts a"""


class AddressView(msgspec.Struct, frozen=True):
    chain_id: int
    address: str
    """`0x` + lower-case hex."""


class ContactView(msgspec.Struct, frozen=True):
    channel: Channel
    target: str
    secret: str | None
    """The name of the credential, not the credential."""
    verified_at: datetime | None
    verified_by: str | None


class AccountView(msgspec.Struct, frozen=True):
    """An account as the API shows it, unverified contacts included."""

    id: str
    customer: str
    name: str
    created_at: datetime
    addresses: tuple[AddressView, ...]
    contacts: tuple[ContactView, ...]


class AuditView(msgspec.Struct, frozen=True):
    id: int
    at: datetime
    principal: str
    action: str
    object: str
    outcome: str
    detail: msgspec.Raw
    request_id: str


_ADDRESSES = msgspec.json.Decoder(tuple[AddressView, ...])
_CONTACTS = msgspec.json.Decoder(tuple[ContactView, ...])


async def load_known(reader: Reader, accounts: Sequence[AccountId], addresses: Sequence[ChainAddress]) -> Known:
    """What a command about these accounts and addresses has to know."""
    rows = await reader.fetch(f"{_SELECT} WHERE a.id = ANY($1::text[])", list(accounts))
    owners = await reader.fetch(
        "SELECT chain_id, address, account FROM account_addresses "
        "JOIN unnest($1::bigint[], $2::bytea[]) AS asked (chain_id, address) USING (chain_id, address)",
        [chain for chain, _ in addresses],
        [address for _, address in addresses],
    )
    found = [_known(_view(row)) for row in rows]
    return Known(
        {each.account: each for each in found},
        {
            (ChainId(row.integer("chain_id")), Address(row.octets("address"))): AccountId(row.text("account"))
            for row in owners
        },
    )


async def read_changes(reader: Reader, after: int, limit: int) -> tuple[AccountChange, ...]:
    """The stream's entries after+1 … after+limit."""
    rows = await reader.fetch(
        "SELECT seq, record FROM account_changes WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit
    )
    return tuple(AccountChange(row.integer("seq"), record_from_json(row.json("record"))) for row in rows)


def fill_changes(store: Store) -> Callable[[int, int], Awaitable[Sequence[AccountChange]]]:
    """trio side: the `fill` of a subscription to the topic `accounts`."""

    async def fill(after: int, limit: int) -> Sequence[AccountChange]:
        return await store.read(read_changes, after, limit)

    return fill


async def write_audit(reader: Reader, entry: AuditEntry) -> None:
    """One row in the caller's own read-write transaction (`Store.transact`), together with its effect."""
    await reader.fetch(
        "INSERT INTO audit (principal, action, object, outcome, detail, request_id) "
        "VALUES ($1, $2, $3, $4, $5::jsonb, $6)",
        *audit_row(entry),
    )


async def read_account(reader: Reader, account: str) -> AccountView | None:
    row = await reader.fetch_one(f"{_SELECT} WHERE a.id = $1", account)
    return None if row is None else _view(row)


async def read_accounts(reader: Reader, accounts: Sequence[AccountId]) -> tuple[AccountView, ...]:
    """Accounts that exist, in the order asked for."""
    rows = await reader.fetch(f"{_SELECT} WHERE a.id = ANY($1::text[])", list(accounts))
    found = {row.text("id"): _view(row) for row in rows}
    return tuple(found[each] for each in accounts)


async def list_accounts(reader: Reader, after: str | None, limit: int) -> tuple[AccountView, ...]:
    """A keyset page by id."""
    rows = await reader.fetch(f"{_SELECT} WHERE a.id > $1 ORDER BY a.id LIMIT $2", after or "", limit)
    return tuple(_view(row) for row in rows)


async def list_audit(reader: Reader, before: int | None, limit: int) -> tuple[AuditView, ...]:
    """A keyset page, newest first."""
    rows = await reader.fetch(
        "SELECT id, at, principal, action, object, outcome, detail, request_id FROM audit "
        "WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before,
        limit,
    )
    return tuple(
        AuditView(
            row.integer("id"),
            row.moment("at"),
            row.text("principal"),
            row.text("action"),
            row.text("object"),
            row.text("outcome"),
            msgspec.Raw(row.json("detail")),
            row.text("request_id"),
        )
        for row in rows
    )


def _view(row: Row) -> AccountView:
    return AccountView(
        row.text("id"),
        row.text("customer"),
        row.text("name"),
        row.moment("created_at"),
        _ADDRESSES.decode(row.json("addresses")),
        _CONTACTS.decode(row.json("contacts")),
    )


def _known(view: AccountView) -> KnownAccount:
    account = AccountId(view.id)
    return KnownAccount(
        account,
        view.customer,
        view.name,
        tuple((ChainId(each.chain_id), parse_address(each.address)) for each in view.addresses),
        tuple(
            KnownContact(Contact(account, each.channel, each.target, each.secret), each.verified_at is not None)
            for each in view.contacts
        ),
    )
