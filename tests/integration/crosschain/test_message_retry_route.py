"""A message's retry over HTTP on a real Postgres: proposed once, on record, and refused where nothing would help."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import Evidence, MessageTracker, State
from fusion_daemon.crosschain.records import save_evidence, save_message
from fusion_daemon.crosschain.recovery import NotRecoverable
from fusion_daemon.crosschain.routes import Recoveries, recovery_routes
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Request, Role
from fusion_daemon.runtime import ManualClock
from fusion_daemon.store import Commit, Execute, Reader, Row, Store
from fusion_daemon.transactions.repository import propose_next, read_transaction
from fusion_daemon.transactions.views import TransactionDetail
from tests.unit.crosschain.world import NETWORKS, NOW, RULES, TERMS, A, B, Message, address, at

NONE: Mapping[str, object] = MappingProxyType({})
SIGNER = "0x" + "70" * 20
MESSAGE = Message()
STORED: list[Evidence] = [
    MESSAGE.sent(at(A, 10, 4, tx="call")),
    MESSAGE.called(at(A, 10, 3, tx="call")),
    MESSAGE.paid(at(A, 10, 2, tx="call")),
    MESSAGE.stored(at(B, 20)),
]
FIRST = f"message:{MESSAGE.id.hex()[:16]}:retry:1"


@dataclass
class Desk:
    aio: Aio
    store: Store
    rung: int = 0

    async def know(self, evidence: list[Evidence]) -> None:
        tracker = MessageTracker(RULES)
        for each in evidence:
            place = each.place
            tracker.apply(place.chain, BlockRef(place.block_number, place.block_hash, 0), [each])
        [transition] = tracker.settle(NOW)
        saved = save_message(transition, tracker.evidence_of(MESSAGE.id), 1, NOW)
        await self.store.commit(Commit((*save_evidence(evidence), saved), proof=Execute("SELECT true")))

    async def retry(self, body: Mapping[str, object] = NONE, message: str = hex_of(MESSAGE.id)) -> str:
        parts = Recoveries(self.aio, ManualClock(NOW), NETWORKS, TERMS, propose_next, self._ring)
        [route] = recovery_routes(self.store, parts)
        assert (route.method, route.path, route.role) == ("POST", "/v1/messages/{id}/retry", Role.OPERATOR)
        octets = json.dumps({"signer": SIGNER} | dict(body)).encode()
        caller = Principal("treasury-ops", Role.OPERATOR)
        request = Request("POST", {"id": message}, {}, {}, octets, caller, "request-1")
        reply = await self.aio.call(route.handler, request, timeout=30.0)
        assert reply.status == 202
        return str(json.loads(reply.body)["transaction"])

    def _ring(self) -> None:
        self.rung += 1

    async def proposed(self, id_: str) -> TransactionDetail:
        return await self.store.read(read_transaction, id_)

    async def rows(self, sql: str) -> list[Row]:
        async def query(reader: Reader) -> list[Row]:
            return await reader.fetch(sql)

        return await self.store.read(query)


@pytest.fixture
def desk(aio: Aio, store: Store) -> Desk:
    return Desk(aio, store)


async def test_it_is_proposed_once_while_it_is_open_and_every_word_is_on_record(desk: Desk) -> None:
    await desk.know(STORED)
    assert [await desk.retry(), await desk.retry({"gas_cap": 500_000})] == [FIRST, FIRST]
    found = (await desk.proposed(FIRST)).transaction
    assert (found.chain_id, found.to, found.signer) == (B, hex_of(address(B, 8)), SIGNER)
    assert (found.purpose, found.proposer, found.value) == ("bridge.retry", "treasury-ops", "0")
    assert MESSAGE.payload.hex() in found.data
    audit = await desk.rows("SELECT principal, action, object, detail FROM audit")
    assert [(row.text("principal"), row.text("action"), row.text("object")) for row in audit] == [
        ("treasury-ops", "message.retry", hex_of(MESSAGE.id))
    ] * 2
    assert desk.rung == 2


async def test_two_who_ask_at_once_propose_one(desk: Desk) -> None:
    await desk.know(STORED)
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await desk.retry())

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(ask)
    assert answers == [FIRST] * 6
    assert len(await desk.rows("SELECT id FROM transactions")) == 1


async def test_after_one_that_ended_there_is_a_next(desk: Desk) -> None:
    await desk.know(STORED)
    await desk.retry()
    await desk.store.commit(
        Commit((Execute("UPDATE transactions SET state = 'refused'"),), proof=Execute("SELECT true"))
    )
    assert await desk.retry() == FIRST.removesuffix("1") + "2"


async def test_what_would_help_nobody_is_refused_and_leaves_nothing(desk: Desk) -> None:
    await desk.know([*STORED[:3], MESSAGE.received(at(B, 20))])
    with pytest.raises(NotRecoverable, match=State.EXECUTED.value):
        await desk.retry()
    assert not await desk.rows("SELECT id FROM transactions UNION ALL SELECT object FROM audit")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"signer": "me"}, 422),
        ({"value": "1"}, 422),
        ({"fee_cap": "-1"}, 422),
        ({"fee_cap": "0"}, 422),
        ({"gas_cap": 0}, 422),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(desk: Desk, body: dict[str, object], status: int) -> None:
    await desk.know(STORED)
    with pytest.raises(Problem) as problem:
        await desk.retry(body)
    assert problem.value.status == status


async def test_nobody_knows_another_message(desk: Desk) -> None:
    await desk.know(STORED)
    for name in ("0x" + "00" * 32, "0x00", "x"):
        with pytest.raises(Problem) as problem:
            await desk.retry(message=name)
        assert problem.value.status == 404
