"""The explorers explain and never decide: whatever they answer is a hint, nothing, or a named failure."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain.clients.axelarscan import Axelarscan, open_axelarscan
from fusion_daemon.crosschain.clients.ccip_api import CcipApi, open_ccip_api
from fusion_daemon.crosschain.clients.explorer import LARGEST_ANSWER
from fusion_daemon.crosschain.hints import LONGEST_ERROR, Hint, HintUnavailable
from fusion_daemon.domain.identifiers import Hash32, hex_of
from tests.faults.explorers import Explorers, serve_explorers

TX = Hash32(b"\x11" * 32)
MESSAGE = Hash32(b"\x22" * 32)


@pytest.fixture
def explorers() -> Iterator[Explorers]:
    with serve_explorers() as served:
        yield served


@pytest.fixture
async def axelarscan(aio: Aio, explorers: Explorers) -> AsyncIterator[Axelarscan]:
    client = await aio.call(open_axelarscan, explorers.url, 0.5, timeout=5.0)
    yield client
    await aio.call(client.close, timeout=5.0)


@pytest.fixture
async def ccip(aio: Aio, explorers: Explorers) -> AsyncIterator[CcipApi]:
    client = await aio.call(open_ccip_api, explorers.url + "/", 0.5, timeout=5.0)
    yield client
    await aio.call(client.close, timeout=5.0)


async def test_of_several_calls_in_a_transaction_the_one_asked_for_is_meant(
    aio: Aio, explorers: Explorers, axelarscan: Axelarscan
) -> None:
    explorers.call(hex_of(TX), 3, status="executed", gas_status="gas_paid_enough_gas")
    explorers.call(hex_of(TX), 4, status="error", error={"error": {"message": "execution\nreverted"}})
    first = await aio.call(axelarscan.hint, TX, 3, timeout=5.0)
    second = await aio.call(axelarscan.hint, TX, 4, timeout=5.0)
    other = await aio.call(axelarscan.hint, TX, 5, timeout=5.0)
    assert first == Hint("axelarscan", "executed", "gas_paid_enough_gas")
    assert second == Hint("axelarscan", "error", None, "execution reverted")
    assert other is None


@pytest.mark.parametrize(
    ("error", "text"),
    [("out of gas", "out of gas"), ({"error": "low"}, "low"), ({"error": {"reason": "r"}}, "r"), (None, None)],
)
async def test_an_error_is_found_in_whatever_shape_it_comes(
    aio: Aio, explorers: Explorers, axelarscan: Axelarscan, error: object, text: str | None
) -> None:
    explorers.call(hex_of(TX), 0, status="a status of tomorrow", error=error)
    assert await aio.call(axelarscan.hint, TX, 0, timeout=5.0) == Hint("axelarscan", "a status of tomorrow", None, text)


async def test_a_long_error_is_cut(aio: Aio, explorers: Explorers, axelarscan: Axelarscan) -> None:
    explorers.call(hex_of(TX), 0, error="x" * 10_000)
    hint = await aio.call(axelarscan.hint, TX, 0, timeout=5.0)
    assert hint is not None
    assert hint.error == "x" * LONGEST_ERROR


async def test_a_ccip_message_says_whether_anyone_may_execute_it(aio: Aio, explorers: Explorers, ccip: CcipApi) -> None:
    explorers.ccip[hex_of(MESSAGE)] = {
        "messageId": hex_of(MESSAGE),
        "status": "FAILED",
        "readyForManualExecution": True,
        "sender": "0x00",
    }
    assert await aio.call(ccip.hint, MESSAGE, timeout=5.0) == Hint("ccip", "FAILED", ready_for_manual_execution=True)
    assert await aio.call(ccip.hint, TX, timeout=5.0) is None


async def test_an_answer_about_another_message_is_none(aio: Aio, explorers: Explorers, ccip: CcipApi) -> None:
    explorers.ccip[hex_of(MESSAGE)] = {"messageId": hex_of(TX), "status": "SUCCESS"}
    with pytest.raises(HintUnavailable, match="another message"):
        await aio.call(ccip.hint, MESSAGE, timeout=5.0)


@pytest.mark.parametrize(
    ("status", "body", "what"),
    [
        (500, None, "HTTP 500"),
        (429, None, "HTTP 429"),
        (302, None, "HTTP 302"),
        (400, None, "HTTP 400"),
        (None, b"<html>", "something else"),
        (None, b'{"data": 3, "messageId": 3}', "something else"),
        (None, b'"\xff"', "something else"),
        (None, b" " * (LARGEST_ANSWER + 1), "more than"),
    ],
)
async def test_what_is_no_answer_is_named(
    aio: Aio, explorers: Explorers, axelarscan: Axelarscan, ccip: CcipApi, status: int | None, body: bytes, what: str
) -> None:
    explorers.status, explorers.body = status, body
    for question in (lambda: axelarscan.hint(TX, 0), lambda: ccip.hint(MESSAGE)):
        with pytest.raises(HintUnavailable, match=what):
            await aio.call(question, timeout=5.0)


async def test_one_that_hangs_costs_its_timeout(aio: Aio, explorers: Explorers, ccip: CcipApi) -> None:
    explorers.hang = threading.Event()
    with pytest.raises(HintUnavailable, match="TimeoutError"):
        await aio.call(ccip.hint, MESSAGE, timeout=5.0)


async def test_one_that_is_not_there_is_named_without_its_address(aio: Aio) -> None:
    client = await aio.call(open_axelarscan, "http://127.0.0.1:1/key-in-path", 0.5, timeout=5.0)
    try:
        with pytest.raises(HintUnavailable) as caught:
            await aio.call(client.hint, TX, 0, timeout=5.0)
    finally:
        await aio.call(client.close, timeout=5.0)
    assert "key-in-path" not in str(caught.value)
