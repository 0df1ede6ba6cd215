"""Rule: however many read a message, its explorer is asked once in a while, for a bounded time, and never in vain."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain.clients import second_opinions
from fusion_daemon.crosschain.clients.second_opinions import FRESH_SECONDS, MOST_AT_ONCE, SecondOpinions
from fusion_daemon.crosschain.hints import AxelarCall, CcipMessage, Opinion, Outcome, Question, Source
from fusion_daemon.crosschain.settings import ExplorerSettings
from fusion_daemon.domain.identifiers import Hash32, hex_of
from fusion_daemon.runtime import ManualClock
from tests.faults.explorers import Explorers, serve_explorers
from tests.looking import until

PATIENT, HASTY = 10.0, 0.5
"""Seconds. What hangs does so for longer than both."""


def message(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


@dataclass
class Desk:
    aio: Aio
    explorers: Explorers
    clock: ManualClock = field(default_factory=lambda: ManualClock(1_000.0))

    def __post_init__(self) -> None:
        self.opinions = SecondOpinions(self.clock)

    async def ask(self, *questions: Question, url: str = "", timeout: float = PATIENT) -> list[Opinion]:
        settings = ExplorerSettings(dict.fromkeys(Source, url or self.explorers.url), timeout)
        return list(await self.aio.call(self.opinions.ask, settings, questions, timeout=30.0))

    async def outcome(self, number: int = 1) -> Outcome:
        [opinion] = await self.ask(CcipMessage(message(number)))
        return opinion.outcome

    async def wait(self, number: int) -> None:
        await self.ask(CcipMessage(message(number)))

    def know(self, number: int, status: str = "SENT") -> None:
        name = hex_of(message(number))
        self.explorers.ccip[name] = {"messageId": name, "status": status}

    async def asked(self, times: int) -> None:
        def arrived() -> bool:
            return len(self.explorers.asked) >= times

        await trio.to_thread.run_sync(until, arrived, f"{times} requests")


@pytest.fixture
def explorers() -> Iterator[Explorers]:
    with serve_explorers() as served:
        yield served


@pytest.fixture
def desk(aio: Aio, explorers: Explorers) -> Desk:
    return Desk(aio, explorers)


async def test_an_answer_is_kept_for_a_while(desk: Desk) -> None:
    desk.know(1, "SENT")
    first = await desk.ask(CcipMessage(message(1)))
    desk.know(1, "SUCCESS")
    desk.clock.advance(FRESH_SECONDS - 1)
    assert await desk.ask(CcipMessage(message(1))) == first
    desk.clock.advance(1)
    [opinion] = await desk.ask(CcipMessage(message(1)))
    assert opinion.hint is not None
    assert (opinion.hint.status, opinion.asked_at) == ("SUCCESS", 1_000.0 + FRESH_SECONDS)
    assert len(desk.explorers.asked) == 2


async def test_that_there_was_none_is_kept_as_well(desk: Desk) -> None:
    assert [await desk.outcome(), await desk.outcome()] == [Outcome.UNKNOWN] * 2
    desk.explorers.status = 503
    desk.clock.advance(FRESH_SECONDS)
    assert [await desk.outcome(), await desk.outcome()] == [Outcome.UNAVAILABLE] * 2
    assert len(desk.explorers.asked) == 2


async def test_those_who_read_at_once_share_a_request(desk: Desk) -> None:
    desk.know(1)
    desk.explorers.hang = threading.Event()
    told: list[Opinion] = []

    async def read() -> None:
        told.extend(await desk.ask(CcipMessage(message(1))))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read)
        await desk.asked(1)
        desk.explorers.hang.set()
    assert len(told) == 5
    assert {each.outcome for each in told} == {Outcome.ANSWERED}
    assert len(desk.explorers.asked) == 1


async def test_who_leaves_does_not_take_the_answer_along(desk: Desk) -> None:
    desk.know(1)
    desk.explorers.hang = threading.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.wait, 1)
        await desk.asked(1)
        nursery.cancel_scope.cancel()
    desk.explorers.hang.set()
    [opinion] = await desk.ask(CcipMessage(message(1)))
    assert opinion.outcome is Outcome.ANSWERED
    assert len(desk.explorers.asked) == 1


async def test_one_that_hangs_costs_no_more_than_the_timeout(desk: Desk) -> None:
    desk.explorers.hang = threading.Event()
    began = trio.current_time()
    both = await desk.ask(AxelarCall(message(1), 0), CcipMessage(message(1)), timeout=HASTY)
    assert trio.current_time() - began < PATIENT
    assert [each.outcome for each in both] == [Outcome.UNAVAILABLE] * 2
    assert "did not answer" in str(both[0].trouble)


async def test_a_crowd_of_questions_is_not_passed_on(desk: Desk) -> None:
    desk.explorers.hang = threading.Event()
    async with trio.open_nursery() as nursery:
        for number in range(MOST_AT_ONCE):
            nursery.start_soon(desk.wait, number)
        await desk.asked(MOST_AT_ONCE)
        [refused] = await desk.ask(CcipMessage(message(MOST_AT_ONCE)))
        desk.explorers.hang.set()
    assert "Not asked" in str(refused.trouble)
    assert len(desk.explorers.asked) == MOST_AT_ONCE
    desk.know(MOST_AT_ONCE)
    assert await desk.outcome(MOST_AT_ONCE) is Outcome.ANSWERED  # and the refusal was not kept


async def test_what_is_kept_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinions, "MOST_KEPT", 2)
    for number in (1, 2, 3):
        await desk.outcome(number)
    await desk.outcome(3)
    await desk.outcome(2)
    assert len(desk.explorers.asked) == 3
    await desk.outcome(1)
    assert len(desk.explorers.asked) == 4


async def test_another_explorer_gives_its_own_answer(desk: Desk) -> None:
    desk.know(1)
    assert await desk.outcome() is Outcome.ANSWERED
    with serve_explorers() as other:
        [opinion] = await desk.ask(CcipMessage(message(1)), url=other.url)
    assert opinion.outcome is Outcome.UNKNOWN


async def test_one_that_is_not_configured_is_not_asked(desk: Desk) -> None:
    settings = ExplorerSettings({Source.CCIP_API: desk.explorers.url}, PATIENT)
    told = await desk.aio.call(desk.opinions.ask, settings, [AxelarCall(message(1), 0)], timeout=5.0)
    assert list(told) == []
    assert not desk.explorers.asked


async def test_requests_are_counted_by_source_and_outcome(desk: Desk) -> None:
    desk.know(1)
    for number in (1, 1, 2):
        await desk.outcome(number)
    desk.explorers.body = b"<html>"
    await desk.ask(AxelarCall(message(1), 0))
    assert desk.opinions.statistics() == {
        (Source.CCIP_API, Outcome.ANSWERED): 1,
        (Source.CCIP_API, Outcome.UNKNOWN): 1,
        (Source.AXELARSCAN, Outcome.UNAVAILABLE): 1,
    }
