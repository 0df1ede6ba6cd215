"""Dead letters over HTTP on a real Postgres: seen by all, decided by operators, each decision on record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from fusion_daemon.aio import Aio
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Reply, Request, Role, Route
from fusion_daemon.quarantine.repository import keep
from fusion_daemon.quarantine.routes import routes
from fusion_daemon.quarantine.rules import (
    AlreadySettled,
    Entry,
    NotReplayable,
    Phase,
    SetAside,
    State,
    UnknownDeadLetter,
)
from fusion_daemon.quarantine.views import ListView, SetAsideDetail, SettledView
from fusion_daemon.runtime import Codec, DeadLetters, Mailbox, ManualClock, Overflow, Reason
from fusion_daemon.store import Reader, Row, Store, StoreUnavailable

SECRET = "Boom: over 7"


@dataclass
class Desk:
    aio: Aio
    store: Store
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.office = DeadLetters(ManualClock(1_000.0))
        codec: Codec[int] = Codec(lambda message: b"%d" % message, int)
        self.box: Mailbox[int, None] = Mailbox("margin", 1, Overflow.FAIL, self.office, codec)
        self.routes = {
            (each.method, each.path): each
            for each in routes(
                self.store, self.aio, self.office.statistics, {"margin": self.box.replay}, self.told.append
            )
        }

    def route(self, method: str, path: str) -> Route:
        return self.routes[method, f"/v1/deadletters{path}"]

    async def ask(self, method: str, path: str, query: Mapping[str, str] | None = None, number: object = 1) -> Reply:
        caller = Principal("treasury-ops", Role.OPERATOR)
        request = Request(method, {"id": str(number)}, query or {}, {}, b"", caller, "request-1")
        return await self.aio.call(self.route(method, path).handler, request, timeout=30.0)

    async def listed(self, **query: str) -> ListView:
        return msgspec.json.decode((await self.ask("GET", "", query)).body, type=ListView)

    async def settle(self, verb: str, number: int = 1) -> SettledView:
        answer = await self.ask("POST", f"/{{id}}/{verb}", number=number)
        return msgspec.json.decode(answer.body, type=SettledView)

    async def put_aside(self, *found: SetAside) -> None:
        await self.store.transact(keep, found)

    async def audit(self) -> list[tuple[str, ...]]:
        async def query(reader: Reader) -> list[Row]:
            return await reader.fetch("SELECT principal, action, object, outcome FROM audit ORDER BY id")

        columns = ("principal", "action", "object", "outcome")
        return [tuple(row.text(each) for each in columns) for row in await self.store.read(query)]


@pytest.fixture
def desk(aio: Aio, store: Store) -> Desk:
    return Desk(aio, store)


def message(mark: str, payload: bytes | None = b"7", source: str = "margin") -> SetAside:
    return SetAside(mark, source, None, "int", payload, SECRET, 1_000.0)


def entry(seq: int, stream: str = "journal:1", phase: Phase = Phase.FOLD, mark: str | None = None) -> SetAside:
    place = Entry(stream, seq, seq - 1, phase)
    return SetAside(mark or f"{stream}#{seq}", "risk_calculator", place, "JournalEntry", None, SECRET, 1_000.0)


async def test_a_list_tells_what_it_was_and_not_what_it_held(desk: Desk) -> None:
    await desk.put_aside(message("a"), entry(3), entry(4))
    desk.office.record("margin", 7, Reason.FULL)
    view = await desk.listed()
    assert [(each.id, each.source, each.stream, each.seq) for each in view.set_aside] == [
        (3, "risk_calculator", "journal:1", 4),
        (2, "risk_calculator", "journal:1", 3),
        (1, "margin", None, None),
    ]
    assert [(each.mailbox, each.reason, each.count) for each in view.dead_letters.counts] == [("margin", "full", 1)]
    assert view.dead_letters.latest[0].at.timestamp() == 1_000.0
    assert SECRET.encode() not in (await desk.ask("GET", "")).body


async def test_it_is_listed_in_pages_and_by_state(desk: Desk) -> None:
    await desk.put_aside(*(entry(seq) for seq in range(1, 6)))
    seen: list[int] = []
    query = {"limit": "2"}
    while True:
        view = await desk.listed(**query)
        seen += [each.id for each in view.set_aside]
        if view.next_cursor is None:
            break
        query["cursor"] = view.next_cursor
    assert seen == [5, 4, 3, 2, 1]
    await desk.settle("discard", 2)
    assert [each.id for each in (await desk.listed(state="discarded")).set_aside] == [2]
    assert [each.id for each in (await desk.listed(state="held")).set_aside] == [5, 4, 3, 1]
    for wrong in ({"state": "gone"}, {"cursor": "eA"}):
        with pytest.raises(Problem):
            await desk.listed(**wrong)


async def test_the_traceback_is_for_operators(desk: Desk) -> None:
    await desk.put_aside(message("a"))
    assert desk.route("GET", "/{id}").role is Role.OPERATOR
    detail = msgspec.json.decode((await desk.ask("GET", "/{id}")).body, type=SetAsideDetail)
    assert (detail.traceback, detail.payload, detail.set_aside.state) == (SECRET, "7", State.HELD)
    for number in (2, 0, -1, "x", 2**70):
        with pytest.raises(UnknownDeadLetter):
            await desk.ask("GET", "/{id}", number=number)


async def test_a_message_goes_back_into_its_mailbox(desk: Desk) -> None:
    await desk.put_aside(message("a"))
    done = await desk.settle("replay")
    assert (done.state, desk.told) == (State.REPLAYED, ["margin"])
    assert "in the mailbox margin again" in done.means
    assert desk.box.statistics().queued == 1
    assert await desk.audit() == [("treasury-ops", "deadletter.replay", "1", "done")]
    with pytest.raises(AlreadySettled):
        await desk.settle("discard")


async def test_what_a_mailbox_refuses_is_held_again_and_both_are_on_record(desk: Desk) -> None:
    await desk.box.tell(1)
    await desk.put_aside(message("a"), message("b", b"seven"), message("c", source="gone"))
    for number in (1, 2, 3):
        with pytest.raises(NotReplayable):
            await desk.settle("replay", number)
    assert {each.state for each in (await desk.listed()).set_aside} == {State.HELD}
    assert desk.told == []
    audited = await desk.audit()
    assert [each[3].partition(":")[0] for each in audited] == ["done", "failed"] * 3
    assert "its limit" in audited[1][3]


async def test_a_message_that_is_on_its_way_back_arrives_though_nobody_waits_for_the_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on record as replayed: nobody could replay it again."""
    await desk.put_aside(message("a"))
    on_its_way, go_on, tell = trio.Event(), trio.Event(), desk.box.tell

    async def slow(number: int) -> None:
        on_its_way.set()
        await go_on.wait()
        await tell(number)

    monkeypatch.setattr(desk.box, "tell", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.settle, "replay")
        await on_its_way.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            for _ in range(3):  # until the word of it has crossed to asyncio and back
                await wait_all_tasks_blocked()
                await desk.aio.call(asyncio.sleep, 0, timeout=30.0)
        go_on.set()
    assert desk.box.statistics().queued == 1


async def test_a_decision_whose_answer_is_lost_is_told_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its consumer would hold the stream for ever, and nothing would be left to decide."""
    await desk.put_aside(entry(3), entry(4))
    transact = Store.transact

    async def mute(self: Store, *work: object, timeout: float = 30.0) -> None:
        await transact(self, *work, timeout=timeout)  # type: ignore[arg-type]
        raise StoreUnavailable("It did not say.", "It may have happened.", "Wait.")

    with monkeypatch.context() as outage:
        outage.setattr(Store, "transact", mute)
        for number, verb in enumerate(("replay", "discard"), 1):
            with pytest.raises(StoreUnavailable):
                await desk.settle(verb, number)
    assert [each.state for each in (await desk.listed()).set_aside] == [State.DISCARDED, State.REPLAYED]
    assert desk.told == 2 * ["risk_calculator"]
    with pytest.raises(AlreadySettled):
        await desk.settle("replay")
    assert desk.told == 3 * ["risk_calculator"], "the commit may have come after the word of it"


async def test_what_cannot_be_replayed_leaves_no_row(desk: Desk) -> None:
    await desk.put_aside(message("a", None), entry(3, "prices"))
    for number in (1, 2):
        with pytest.raises(NotReplayable):
            await desk.settle("replay", number)
    assert await desk.audit() == []
    assert "passed over" in (await desk.settle("discard", 2)).means


async def test_an_entry_is_held_once_and_what_it_did_last_counts(desk: Desk) -> None:
    await desk.put_aside(entry(3))
    await desk.put_aside(entry(3), entry(3, phase=Phase.START, mark="again"))
    (found,) = (await desk.listed()).set_aside
    await desk.settle("replay", found.id)
    await desk.put_aside(entry(3))  # written again after a lost answer
    assert len((await desk.listed()).set_aside) == 1
    await desk.put_aside(entry(3, mark="anew"))
    assert [each.state for each in (await desk.listed()).set_aside] == [State.HELD, State.REPLAYED]
