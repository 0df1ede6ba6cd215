"""The registry on a real Postgres, asked over its real sockets."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import trio

from fusion_daemon.accounts.audit import AuditEntry, By, audit_writes, record
from fusion_daemon.accounts.decisions import NewAccount, record_of
from fusion_daemon.accounts.registry import PostgresRegistryStore, Registry, RegistryTakenOver
from fusion_daemon.accounts.repository import fill_changes, list_accounts, list_audit, load_known, write_audit
from fusion_daemon.accounts.routes import AuditRows, routes
from fusion_daemon.aio import Aio
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountChange, AccountRecord
from fusion_daemon.domain.identifiers import AccountId, Address, ChainId, hex_of
from fusion_daemon.http.principals import Principals, hash_token
from fusion_daemon.http.route import Role
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.serving import serving
from fusion_daemon.http.settings import HttpSettings, PrincipalSettings
from fusion_daemon.runtime import Bell, Subscription, Topic
from fusion_daemon.store import Commit, Execute, Fenced, Reader, Store

TOKEN = "operator-" + "o" * 32
HOOK = "https://desk.example/hook"
BY = By("test", "req-0")
SHORT = {"chain_id": 1, "address": "0x12"}
CHAINS = (ChainId(1), ChainId(2), ChainId(3))
FAR = {"chain_id": 2**63, "address": "0x" + "1" * 40}


async def _records(reader: Reader) -> tuple[AccountRecord, ...]:
    """Every account's record, by id."""
    ids = [AccountId(view.id) for view in await list_accounts(reader, None, 200)]
    known = (await load_known(reader, ids, ())).accounts
    return tuple(record_of(known[each]) for each in ids)


class Silent:
    def warning(self, event: str, **fields: object) -> None:
        pass

    def error(self, event: str, **fields: object) -> None:
        pass


@dataclass
class Desk:
    aio: Aio
    store: Store
    registry: Registry
    topic: Topic[AccountChange]
    consumer: Subscription[AccountChange]
    port: int

    async def ask(
        self, method: str, target: str, body: object = None, token: str = TOKEN
    ) -> tuple[int, dict[str, object]]:
        payload = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: localhost:{self.port}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
            + (f"Authorization: Bearer {token}\r\n" if token else "")
            + "X-Request-Id: req-1\r\n\r\n"
        )
        with trio.fail_after(30):
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
                await stream.send_all(head.encode() + payload)
                received = b"".join([chunk async for chunk in stream])
        top, _, rest = received.partition(b"\r\n\r\n")
        answer = json.loads(rest)
        assert isinstance(answer, dict)
        return int(top.split()[1]), answer

    async def heard(self) -> list[AccountChange]:
        heard: list[AccountChange] = []
        while self.consumer.ready:
            heard += await self.consumer.take(1000)
        return heard


@asynccontextmanager
async def desk(aio: Aio, store: Store) -> AsyncIterator[Desk]:
    topic = Topic[AccountChange](ACCOUNT_STREAM, 5000)
    consumer = topic.subscribe("risk", 0, fill_changes(store), Bell())
    registry = Registry(PostgresRegistryStore(store), topic)
    await registry.open()
    principals = Principals(
        [PrincipalSettings("alice", Role.OPERATOR, token_hash=hash_token(TOKEN))], os.getuid()
    )
    server = AdminServer(HttpSettings(), routes(store, aio, registry, CHAINS), principals, Silent())
    async with serving(aio, server, stop_timeout=15.0) as bound:
        assert bound.port is not None
        yield Desk(aio, store, registry, topic, consumer, bound.port)


def address(number: int) -> Address:
    return Address(number.to_bytes(20, "big"))


def form(name: str, *numbers: int) -> dict[str, object]:
    links = [{"chain_id": chain, "address": hex_of(address(n))} for n in numbers for chain in (1, 2)]
    return {"id": name, "customer": f"Customer {name}", "name": f"Account {name}", "addresses": links}


async def test_an_account_from_registration_to_a_verified_contact(aio: Aio, store: Store) -> None:
    async with desk(aio, store) as here:
        status, made = await here.ask("POST", "/v1/accounts", form("a", 1))
        assert (status, made["id"]) == (201, "a")
        link = {"chain_id": 3, "address": "0x" + "AB" * 20}
        status, linked = await here.ask("POST", "/v1/accounts/a/addresses", link)
        assert status == 200
        assert {"chain_id": 3, "address": "0x" + "ab" * 20} in _list(linked["addresses"])
        contact = {"channel": "webhook", "target": HOOK, "secret": "hook"}
        status, added = await here.ask("POST", "/v1/accounts/a/contacts", contact)
        unverified = contact | {"verified_at": None, "verified_by": None}
        assert (status, added["contacts"]) == (200, [unverified])
        seen = {"channel": "webhook", "target": HOOK}
        status, verified = await here.ask("POST", "/v1/accounts/a/contacts/verify", seen)
        status, shown = await here.ask("GET", "/v1/accounts/a", token="")
        assert (status, shown) == (200, verified)
        [kept] = _list(shown["contacts"])
        assert isinstance(kept, dict)
        assert (kept["verified_by"], kept["secret"]) == ("alice", "hook")
        assert str(kept["verified_at"]).startswith("20")

        heard = await here.heard()
        assert [change.seq for change in heard] == [1, 2, 3, 4]
        assert [len(change.record.contacts) for change in heard] == [0, 0, 0, 1]
        assert await store.read(_records) == (heard[-1].record,)
        # A consumer that lagged reads the very same entries from the store.
        assert list(await fill_changes(store)(0, 10)) == heard
        assert list(await fill_changes(store)(2, 1)) == heard[2:3]

        status, audit = await here.ask("GET", "/v1/audit", token="")
        rows = _list(audit["audit"])
        assert [
            (row["action"], row["object"], row["principal"], row["outcome"], row["request_id"])
            for row in rows
        ] == [
            (f"account.{what}", "a", "alice", "done", "req-1")
            for what in ("verify_contact", "add_contact", "link_address", "register")
        ]
        assert rows[0]["detail"] == seen


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/accounts", form("a"), 409, "account-exists"),
        ("/v1/accounts", [form("b"), form("a")], 409, "account-exists"),
        ("/v1/accounts", form("b", 1), 409, "address-taken"),
        ("/v1/accounts", form("b b"), 422, "invalid-account"),
        ("/v1/accounts", form("b") | {"addresses": [SHORT]}, 422, "invalid"),
        ("/v1/accounts", form("b") | {"addresses": [FAR]}, 422, "invalid"),
        ("/v1/accounts", form("b") | {"colour": "red"}, 422, "invalid"),
        ("/v1/accounts", [], 422, "invalid-account"),
        ("/v1/accounts", [form(f"b{n}") for n in range(2001)], 422, "invalid"),
        ("/v1/accounts/a/addresses", {"chain_id": 1, "address": "0x" + "0" * 39 + "1"}, 409, "address-taken"),
        ("/v1/accounts/a/addresses", FAR, 422, "invalid"),
        ("/v1/accounts/a/addresses", {"chain_id": 4, "address": "0x" + "2" * 40}, 422, "invalid"),
        ("/v1/accounts/b/addresses", {"chain_id": 1, "address": "0x" + "2" * 40}, 404, "unknown-account"),
        ("/v1/accounts/a/contacts", {"channel": "email", "target": "x"}, 422, "invalid-contact"),
        ("/v1/accounts/a/contacts", {"channel": "webhook", "target": HOOK}, 422, "invalid-contact"),
        ("/v1/accounts/a/contacts", {"channel": "pigeon", "target": "x"}, 422, "invalid"),
        ("/v1/accounts/a/contacts/verify", {"channel": "email", "target": "x@y"}, 404, "unknown-contact"),
    ],
)  # fmt: skip
async def test_what_is_refused_changes_nothing(
    aio: Aio, store: Store, path: str, body: object, status: int, code: str
) -> None:
    async with desk(aio, store) as here:
        await here.ask("POST", "/v1/accounts", form("a", 1))
        before = await _counts(store)
        answered, problem = await here.ask("POST", path, body)
        assert (answered, problem["code"]) == (status, code), problem
        assert await _counts(store) == before
        assert len(await here.heard()) == 1


async def test_without_a_token_nothing_changes(aio: Aio, store: Store) -> None:
    async with desk(aio, store) as here:
        status, problem = await here.ask("POST", "/v1/accounts", form("a", 1), token="")
        assert (status, problem["code"]) == (401, "unauthorized")
        status, problem = await here.ask("GET", "/v1/accounts/a", token="")
        assert (status, problem["code"]) == (404, "unknown-account")
        assert await _counts(store) == (0, 0, 0, 0)


async def test_two_thousand_accounts_are_one_commit_and_pages_show_each_once(aio: Aio, store: Store) -> None:
    async with desk(aio, store) as here:
        commits = store.statistics().commits
        status, made = await here.ask("POST", "/v1/accounts", [form(f"n{n:04d}", n + 1) for n in range(2000)])
        assert (status, len(_list(made["accounts"]))) == (201, 2000)
        assert store.statistics().commits == commits + 1
        assert len(await here.heard()) == 2000
        assert await _counts(store) == (2000, 4000, 2000, 2000)
        seen: list[object] = []
        target = "/v1/accounts?limit=199"
        while True:
            _, page = await here.ask("GET", target, token="")
            seen += [account["id"] for account in _list(page["accounts"])]
            if page["next_cursor"] is None:
                break
            target = f"/v1/accounts?limit=199&cursor={page['next_cursor']}"
        assert seen == [f"n{n:04d}" for n in range(2000)]
        _, newest = await here.ask("GET", "/v1/audit?limit=1", token="")
        _, older = await here.ask("GET", f"/v1/audit?limit=1&cursor={newest['next_cursor']}", token="")
        assert _list(newest["audit"])[0]["id"] == _list(older["audit"])[0]["id"] + 1


async def test_commands_from_many_clients_at_once_give_an_address_to_one(aio: Aio, store: Store) -> None:
    answers: list[int] = []

    async def claim(name: str) -> None:
        answers.append((await here.ask("POST", "/v1/accounts", form(name, 7)))[0])

    async with desk(aio, store) as here:
        async with trio.open_nursery() as nursery:
            for n in range(10):
                nursery.start_soon(claim, f"n{n}")
        assert sorted(answers) == [201] + [409] * 9
        assert len(await here.heard()) == 1


async def test_a_second_daemon_takes_over_and_the_first_stays_out(aio: Aio, store: Store) -> None:
    async with desk(aio, store) as first:
        await first.registry.register(NewAccount(AccountId("a"), "c", "n"), BY)
        topic = Topic[AccountChange](ACCOUNT_STREAM, 100)
        second = Registry(PostgresRegistryStore(store), topic)
        await second.open()
        assert topic.head == 1
        with pytest.raises(Fenced):
            await first.registry.register(NewAccount(AccountId("b"), "c", "n"), BY)
        with pytest.raises(RegistryTakenOver):
            await first.registry.register(NewAccount(AccountId("b"), "c", "n"), BY)
        status, problem = await first.ask("POST", "/v1/accounts", form("b"))
        assert (status, problem["code"]) == (503, "registry-taken-over")
        await second.register(NewAccount(AccountId("b"), "c", "n"), BY)
        assert [each.account for each in await store.read(_records)] == ["a", "b"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET principal = 'mallory'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "UPDATE audit SET id = DEFAULT",
    ],
)
async def test_the_audit_trail_is_append_only(
    aio: Aio, store: Store, postgres_dsn: str, statement: str
) -> None:
    await record(store, AuditEntry(BY, "test", "x", "done"))

    async def tamper() -> None:
        connection = await asyncpg.connect(postgres_dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
        await aio.call(tamper, timeout=10)


async def test_an_audit_row_goes_with_its_effect_or_not_at_all(aio: Aio, store: Store) -> None:
    entry = AuditEntry(BY, "test", "x", "done")
    doomed = Commit(writes=(audit_writes([entry]), Execute("SELECT 1 / 0")), proof=Execute("SELECT false"))
    with pytest.raises(asyncpg.DivisionByZeroError):
        await store.commit(doomed)
    assert (await _counts(store))[2] == 0


async def test_a_transaction_takes_its_audit_row_with_it(aio: Aio, store: Store) -> None:
    entry = AuditEntry(BY, "chain.start_block", "1", "done", b'{"block": 7}')

    async def change(reader: Reader, divisor: int) -> None:
        await write_audit(reader, entry)
        await reader.fetch(f"SELECT 1 / {divisor}")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await store.transact(change, 0)
    assert (await _counts(store))[2] == 0
    await store.transact(change, 1)
    [row] = await store.read(list_audit, None, 10)
    assert (row.action, row.object, bytes(row.detail)) == ("chain.start_block", "1", b'{"block": 7}')


async def test_a_command_without_a_database_effect_is_audited_by_itself(aio: Aio, store: Store) -> None:
    rows = AuditRows(store, aio)

    async def note() -> None:
        for outcome in ("requested", "done"):
            await rows.record(
                principal="alice",
                action="actor.pause",
                target="poller",
                outcome=outcome,
                detail=b"{}",
                request_id="r",
            )

    await aio.call(note, timeout=10)
    assert (await _counts(store))[2] == 2


async def _counts(store: Store) -> tuple[int, ...]:
    """Rows of accounts, addresses, audit and stream entries."""

    async def count(reader: Reader) -> tuple[int, ...]:
        tables = ("accounts", "account_addresses", "audit", "account_changes")
        rows = [await reader.fetch_one(f"SELECT count(*) AS n FROM {table}") for table in tables]
        return tuple(row.integer("n") for row in rows if row is not None)

    return await store.read(count)


def _list(value: object) -> Sequence[dict[str, Any]]:
    assert isinstance(value, list)
    return value
