"""Transactions over HTTP on a real Postgres: seen by all, decided by operators, each decision on record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec
import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.transaction import Intent
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Request, Role, Route
from fusion_daemon.runtime import ManualClock
from fusion_daemon.store import Commit, Execute, Reader, Store
from fusion_daemon.transactions.commands import (
    AlreadyApproved,
    OwnTransaction,
    TransactionSettled,
    UnknownTransaction,
)
from fusion_daemon.transactions.proposal import propose
from fusion_daemon.transactions.routes import routes
from fusion_daemon.transactions.views import TransactionDetail, TransactionPage
from tests.integration.transactions.sending import PAYMENT

NOW = 1_000_000.0
ID = PAYMENT.id
VERBS = ("approve", "refuse", "cancel")


@dataclass
class Office:
    aio: Aio
    store: Store
    rung: int = 0

    def __post_init__(self) -> None:
        made = routes(self.store, self.aio, ManualClock(NOW), self._ring)
        self.routes = {(each.method, each.path.removeprefix("/v1/transactions")): each for each in made}

    def _ring(self) -> None:
        self.rung += 1

    async def propose(self, *intents: Intent) -> None:
        for intent in intents:
            await self.store.commit(Commit(tuple(propose(intent, NOW)), proof=Execute("SELECT true")))

    async def ask(self, route: Route, id_: str = "", query: Mapping[str, str] | None = None, by: str = "ada") -> bytes:
        request = Request(route.method, {"id": id_}, query or {}, {}, b"", Principal(by, Role.OPERATOR), "request-1")
        reply = await self.aio.call(route.handler, request, timeout=30.0)
        assert reply.status == 200
        return reply.body

    async def say(self, verb: str, by: str = "ada", id_: str = ID) -> TransactionDetail:
        body = await self.ask(self.routes["POST", f"/{{id}}/{verb}"], id_, by=by)
        return msgspec.json.decode(body, type=TransactionDetail)

    async def listed(self, **query: str) -> TransactionPage:
        return msgspec.json.decode(await self.ask(self.routes["GET", ""], query=query), type=TransactionPage)

    async def one(self, id_: str = ID) -> TransactionDetail:
        return msgspec.json.decode(await self.ask(self.routes["GET", "/{id}"], id_), type=TransactionDetail)

    async def audit(self) -> list[tuple[str, str, str, str]]:
        async def query(reader: Reader) -> list[tuple[str, str, str, str]]:
            rows = await reader.fetch("SELECT principal, action, object, detail FROM audit ORDER BY id")
            return [
                (row.text("principal"), row.text("action"), row.text("object"), json.loads(row.json("detail"))["state"])
                for row in rows
            ]

        return await self.store.read(query)


@pytest.fixture
def office(aio: Aio, store: Store) -> Office:
    return Office(aio, store)


async def test_everybody_reads_and_operators_decide(office: Office) -> None:
    assert {key: each.role for key, each in office.routes.items()} == {
        ("GET", ""): None,
        ("GET", "/{id}"): None,
        **{("POST", f"/{{id}}/{verb}"): Role.OPERATOR for verb in VERBS},
    }


async def test_the_queue_is_listed_newest_first_in_pages_and_by_state(office: Office) -> None:
    await office.propose(*(replace(PAYMENT, id=f"pay:{number}") for number in (1, 2, 3)))
    await office.say("refuse", id_="pay:2")
    first = await office.listed(limit="2")
    assert [each.id for each in first.transactions] == ["pay:3", "pay:2"]
    assert first.next_cursor is not None
    assert [each.id for each in (await office.listed(limit="2", cursor=first.next_cursor)).transactions] == ["pay:1"]
    assert [each.id for each in (await office.listed(state="refused")).transactions] == ["pay:2"]
    for query in ({"state": "lost"}, {"cursor": "x"}):
        with pytest.raises(Problem):
            await office.listed(**query)


async def test_each_word_changes_the_transaction_rings_the_sender_and_is_on_record(office: Office) -> None:
    await office.propose(*(replace(PAYMENT, id=f"pay:{number}") for number in (1, 2, 3)))
    approved = await office.say("approve", id_="pay:1")
    assert (approved.transaction.state, approved.transaction.approvals) == ("proposed", ("ada",))
    refused, cancelled = await office.say("refuse", id_="pay:2"), await office.say("cancel", "bob", id_="pay:3")
    assert (refused.transaction.state, refused.transaction.reason) == ("refused", "By ada.")
    assert (cancelled.transaction.state, cancelled.transaction.reason) == ("cancelled", "By bob.")
    assert [each.kind for each in (await office.one("pay:1")).steps] == ["proposed", "vouched"]
    assert office.rung == 3
    assert await office.audit() == [
        ("ada", "transaction.approve", "pay:1", "proposed"),
        ("ada", "transaction.refuse", "pay:2", "refused"),
        ("bob", "transaction.cancel", "pay:3", "cancelled"),
    ]


async def test_a_word_that_may_not_be_said_changes_nothing(office: Office) -> None:
    await office.propose(PAYMENT)

    async def refused(failure: type[Failure], verb: str, by: str = "ada", id_: str = ID) -> None:
        before = await office.audit()
        with pytest.raises(failure):
            await office.say(verb, by, id_)
        assert await office.audit() == before

    await refused(OwnTransaction, "approve", PAYMENT.proposer)
    await office.say("approve")
    await refused(AlreadyApproved, "approve")
    await office.say("refuse")
    for verb in VERBS:
        await refused(TransactionSettled, verb, "bob")
        await refused(UnknownTransaction, verb, id_="pay:77")
    with pytest.raises(UnknownTransaction):
        await office.one("pay:77")
    statuses = office.routes["POST", "/{id}/approve"].failures
    assert (statuses[OwnTransaction], statuses[AlreadyApproved], statuses[UnknownTransaction]) == (409, 409, 404)
