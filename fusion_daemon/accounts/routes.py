"""The registry's HTTP: accounts, their addresses and contacts, and the audit trail.

Handlers run on the asyncio side. Reads go straight to the store; commands cross into trio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import TypeVarTuple

import msgspec

from fusion_daemon.accounts.audit import AuditEntry, By, record
from fusion_daemon.accounts.contact_rules import InvalidContact
from fusion_daemon.accounts.decisions import (
    AccountExists,
    AddressTaken,
    ChainAddress,
    ContactExists,
    InvalidAccount,
    NewAccount,
    UnknownAccount,
    UnknownContact,
    unknown_account,
)
from fusion_daemon.accounts.registry import Registry
from fusion_daemon.accounts.repository import list_accounts, list_audit, read_account, read_accounts
from fusion_daemon.aio import Aio
from fusion_daemon.domain.account import AccountRecord, Channel, Contact
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import AccountId, ChainId, parse_address
from fusion_daemon.http.body import body_as
from fusion_daemon.http.pages import PAGE_QUERY, bad_cursor, page_of, page_reply
from fusion_daemon.http.problem import invalid
from fusion_daemon.http.route import Reply, Request, Role, Route, Routes, reply_json
from fusion_daemon.store import Store

COMMAND_TIMEOUT = 20.0
"""Seconds; below the server's own deadline, so that the answer names the command."""
BATCH_LIMIT = 2000
"""Accounts in one POST: what one commit writes in well under a second."""

_FAILURES: dict[type[Failure], int] = {
    InvalidAccount: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidContact: HTTPStatus.UNPROCESSABLE_ENTITY,
    AccountExists: HTTPStatus.CONFLICT,
    AddressTaken: HTTPStatus.CONFLICT,
    ContactExists: HTTPStatus.CONFLICT,
    UnknownAccount: HTTPStatus.NOT_FOUND,
    UnknownContact: HTTPStatus.NOT_FOUND,
}

Ts = TypeVarTuple("Ts")


class AddressForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    chain_id: int
    address: str


class AccountForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    customer: str
    name: str
    addresses: tuple[AddressForm, ...] = ()


class ContactForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    channel: Channel
    target: str
    secret: str | None = None


class VerifyForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    channel: Channel
    target: str


class AuditRows:
    """The audit trail for commands without a database effect (http's AuditTrail). asyncio side."""

    def __init__(self, store: Store, aio: Aio) -> None:
        self._store = store
        self._aio = aio

    async def record(
        self, *, principal: str, action: str, target: str, outcome: str, detail: bytes, request_id: str
    ) -> None:
        entry = AuditEntry(By(principal, request_id), action, target, outcome, detail)
        await self._aio.to_trio(record, self._store, entry, timeout=COMMAND_TIMEOUT)


def routes(store: Store, aio: Aio, registry: Registry, chains: Collection[ChainId]) -> Routes:
    """`chains`: those that are read. A link on another is refused: its positions would never be seen, and the
    account would look healthy."""
    commands = _Commands(store, aio, registry, chains)

    async def listed(request: Request) -> Reply:
        page = page_of(request)
        accounts = await store.query(list_accounts, page.after, page.limit)
        return page_reply(page, "/v1/accounts", "accounts", accounts, accounts[-1].id if accounts else None)

    async def shown(request: Request) -> Reply:
        account = await store.query(read_account, request.path["id"])
        if account is None:
            raise unknown_account(request.path["id"])
        return reply_json(account)

    async def audited(request: Request) -> Reply:
        page = page_of(request)
        if page.after is not None and not (page.after.isascii() and page.after.isdigit()):
            raise bad_cursor()
        before = None if page.after is None else int(page.after)
        rows = await store.query(list_audit, before, page.limit)
        return page_reply(page, "/v1/audit", "audit", rows, str(rows[-1].id) if rows else None)

    return (
        Route("GET", "/v1/accounts", listed, "Registered accounts, in pages by id.", query=PAGE_QUERY),
        Route("GET", "/v1/accounts/{id}", shown, "One account.", failures=_FAILURES),
        Route("GET", "/v1/audit", audited, "Who changed what, newest first.", query=PAGE_QUERY),
        _command("/v1/accounts", commands.register, "Register an account, or a list of them at once."),
        _command("/v1/accounts/{id}/addresses", commands.link_address, "Link an address on a chain."),
        _command("/v1/accounts/{id}/contacts", commands.add_contact, "Add a contact, not yet verified."),
        _command("/v1/accounts/{id}/contacts/verify", commands.verify_contact, "Attest that a contact is right."),
    )


def _command(path: str, handler: Callable[[Request], Awaitable[Reply]], summary: str) -> Route:
    return Route("POST", path, handler, summary, Role.OPERATOR, _FAILURES)


class _Commands:
    def __init__(self, store: Store, aio: Aio, registry: Registry, chains: Collection[ChainId]) -> None:
        self._store = store
        self._aio = aio
        self._registry = registry
        self._chains = chains

    async def register(self, request: Request) -> Reply:
        many = request.body.lstrip()[:1] == b"["
        forms = body_as(request, list[AccountForm]) if many else [body_as(request, AccountForm)]
        if len(forms) > BATCH_LIMIT:
            raise invalid(f"A list may have at most {BATCH_LIMIT} accounts.")
        new = [self._new_account(form) for form in forms]
        records = await self._aio.to_trio(self._registry.register_many, new, _by(request), timeout=COMMAND_TIMEOUT)
        shown = await self._store.query(read_accounts, [each.account for each in records])
        if many:
            return reply_json({"accounts": shown}, HTTPStatus.CREATED)
        return reply_json(shown[0], HTTPStatus.CREATED, {"Location": f"/v1/accounts/{shown[0].id}"})

    async def link_address(self, request: Request) -> Reply:
        chain, address = self._link(body_as(request, AddressForm))
        return await self._changed(
            self._registry.link_address, AccountId(request.path["id"]), chain, address, _by(request)
        )

    async def add_contact(self, request: Request) -> Reply:
        form = body_as(request, ContactForm)
        contact = Contact(AccountId(request.path["id"]), form.channel, form.target, form.secret)
        return await self._changed(self._registry.add_contact, contact, _by(request))

    async def verify_contact(self, request: Request) -> Reply:
        form = body_as(request, VerifyForm)
        return await self._changed(
            self._registry.verify_contact,
            AccountId(request.path["id"]),
            form.channel,
            form.target,
            _by(request),
        )

    def _new_account(self, form: AccountForm) -> NewAccount:
        links = tuple(self._link(address) for address in form.addresses)
        return NewAccount(AccountId(form.id), form.customer, form.name, links)

    def _link(self, form: AddressForm) -> ChainAddress:
        chain = ChainId(form.chain_id)
        if chain not in self._chains:
            read = ", ".join(map(str, sorted(self._chains)))
            raise invalid(
                f"Chain {chain} is not read here ({read}); a link cannot be taken back, so configure the chain first."
            )
        try:
            return chain, parse_address(form.address)
        except ValueError as error:
            raise invalid("An address is 0x and 40 hex digits.") from error

    async def _changed(self, command: Callable[[*Ts], Awaitable[AccountRecord]], *args: *Ts) -> Reply:
        """The answer is the account as GET shows it: with the contact that was just added, verified or not."""
        record = await self._aio.to_trio(command, *args, timeout=COMMAND_TIMEOUT)
        return reply_json((await self._store.query(read_accounts, [record.account]))[0])


def _by(request: Request) -> By:
    return By(request.caller().name, request.request_id)
