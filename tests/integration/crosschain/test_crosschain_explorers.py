"""The explorers explain and never decide: whatever they answer is a hint, nothing, or a named failure."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain.clients.axelarscan import ask_axelarscan
from fusion_daemon.crosschain.clients.ccip_api import ask_ccip_api
from fusion_daemon.crosschain.clients.explorer import LARGEST_ANSWER
from fusion_daemon.crosschain.hints import LONGEST_TEXT, AxelarCall, CcipMessage, Hint, HintUnavailable
from fusion_daemon.domain.identifiers import Hash32, hex_of
from tests.faults.explorers import Explorers, serve_explorers

TX = Hash32(b"\x11" * 32)
MESSAGE = Hash32(b"\x22" * 32)
PATIENT, HASTY = 10.0, 0.5
"""Seconds."""


@pytest.fixture
def explorers() -> Iterator[Explorers]:
    with serve_explorers() as served:
        yield served


async def axelarscan(aio: Aio, url: str, log_index: int = 0, timeout: float = PATIENT) -> Hint | None:
    return await aio.call(ask_axelarscan, url, AxelarCall(TX, log_index), timeout, timeout=30.0)


async def ccip(aio: Aio, url: str, message: Hash32 = MESSAGE, timeout: float = PATIENT) -> Hint | None:
    return await aio.call(ask_ccip_api, f"{url}/", CcipMessage(message), timeout, timeout=30.0)


async def test_of_several_calls_in_a_transaction_the_one_asked_for_is_meant(aio: Aio, explorers: Explorers) -> None:
    explorers.call(hex_of(TX), 3, status="executed", gas_status="gas_paid_enough_gas")
    explorers.call(hex_of(TX), 4, status="error", error={"error": {"message": "execution\nreverted"}})
    assert await axelarscan(aio, explorers.url, 3) == Hint("executed", "gas_paid_enough_gas")
    assert await axelarscan(aio, explorers.url, 4) == Hint("error", None, "execution reverted")
    assert await axelarscan(aio, explorers.url, 5) is None
    assert explorers.asked[0] == f"/?method=searchGMP&txHash={hex_of(TX)}&txLogIndex=3"


@pytest.mark.parametrize(
    ("error", "text"),
    [("out of gas", "out of gas"), ({"error": "low"}, "low"), ({"error": {"reason": "r"}}, "r"), (None, None)],
)
async def test_an_error_is_found_in_whatever_shape_it_comes(
    aio: Aio, explorers: Explorers, error: object, text: str | None
) -> None:
    explorers.call(hex_of(TX), 0, status="a status of tomorrow", error=error)
    assert await axelarscan(aio, explorers.url) == Hint("a status of tomorrow", None, text)


async def test_every_foreign_text_is_printable_and_bounded(aio: Aio, explorers: Explorers) -> None:
    hostile = "x\x1b[2J\u202e" * 10_000
    explorers.call(hex_of(TX), 0, status=hostile, gas_status=hostile, error=hostile)
    explorers.ccip[hex_of(MESSAGE)] = {"messageId": hex_of(MESSAGE), "status": hostile}
    told, also = await axelarscan(aio, explorers.url), await ccip(aio, explorers.url)
    assert told is not None
    assert also is not None
    for text in (told.status, told.gas, told.error, also.status):
        assert text is not None
        assert text.isprintable()
        assert len(text) <= LONGEST_TEXT


async def test_a_ccip_message_says_whether_anyone_may_execute_it(aio: Aio, explorers: Explorers) -> None:
    explorers.ccip[hex_of(MESSAGE)] = {
        "messageId": hex_of(MESSAGE),
        "status": "FAILED",
        "readyForManualExecution": True,
        "sender": "0x00",
    }
    assert await ccip(aio, explorers.url) == Hint("FAILED", ready_for_manual_execution=True)
    assert await ccip(aio, explorers.url, TX) is None


async def test_an_answer_about_another_message_is_none(aio: Aio, explorers: Explorers) -> None:
    explorers.ccip[hex_of(MESSAGE)] = {"messageId": hex_of(TX), "status": "SUCCESS"}
    with pytest.raises(HintUnavailable, match="another message"):
        await ccip(aio, explorers.url)


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (500, None, "HTTP 500"),
        (429, None, "HTTP 429"),
        (302, None, "HTTP 302"),
        (400, None, "HTTP 400"),
        (None, b"", "something else"),
        (None, b"<html>", "something else"),
        (None, b"null", "something else"),
        (None, b'{"data": 3, "messageId": 3}', "something else"),
        (None, b'{"data": [{"status": {}}], "messageId": []}', "something else"),
        (None, b'"\xff"', "something else"),
        (None, b'{"data": [{"status": "\\ud800"}], "messageId": "\\ud800"}', "something else"),
        (None, b"[" * 100_000, "something else"),
        (None, b'{"x":' * 100_000, "something else"),
        (None, b" " * (LARGEST_ANSWER + 1), "more than"),
    ],
)
async def test_what_is_no_answer_is_named(
    aio: Aio, explorers: Explorers, status: int | None, body: bytes | None, what: str
) -> None:
    explorers.status, explorers.body = status, body
    for ask in (axelarscan, ccip):
        with pytest.raises(HintUnavailable, match=what):
            await ask(aio, explorers.url)


async def test_a_redirect_leads_nowhere(aio: Aio, explorers: Explorers) -> None:
    explorers.status, explorers.headers = 302, {"Location": f"{explorers.url}/elsewhere"}
    for ask in (axelarscan, ccip):
        with pytest.raises(HintUnavailable, match="HTTP 302"):
            await ask(aio, explorers.url)
    assert len(explorers.asked) == 2


async def test_a_small_answer_is_not_unpacked_into_a_large_one(aio: Aio, explorers: Explorers) -> None:
    explorers.body, explorers.headers = gzip.compress(b" " * (64 << 20)), {"Content-Encoding": "gzip"}
    for ask in (axelarscan, ccip):
        with pytest.raises(HintUnavailable, match="something else"):
            await ask(aio, explorers.url)


@pytest.mark.parametrize("begins", [False, True])
async def test_one_that_is_slow_costs_its_timeout(aio: Aio, explorers: Explorers, begins: bool) -> None:
    if begins:
        explorers.body, explorers.stall_after = b" " * 100, 10
    else:
        explorers.hang = threading.Event()
    for ask in (axelarscan, ccip):
        with pytest.raises(HintUnavailable, match="within 0.5 s"):
            await ask(aio, explorers.url, timeout=HASTY)


async def test_one_that_is_not_there_is_named_without_its_address(aio: Aio) -> None:
    with pytest.raises(HintUnavailable) as caught:
        await axelarscan(aio, "http://127.0.0.1:1/key-in-path")
    assert "key-in-path" not in str(caught.value)
