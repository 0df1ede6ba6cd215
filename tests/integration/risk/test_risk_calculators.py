"""Rule: a stateless call on the admin port has the command line's answer, and no answer goes to another's question,
whoever leaves or dies in between. Real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest

from fusion_daemon.aio import open_aio
from fusion_daemon.http import Principal, Problem, Reply, Request, Role
from fusion_daemon.risk.clients import calculators
from fusion_daemon.risk.clients.calculators import CalculationOverdue, CalculatorBusy, CalculatorLost, Calculators
from fusion_daemon.risk.routes import stateless_routes
from fusion_daemon.risk.value_at_risk.backtest_request import answer_backtest

PATIENCE = 60.0
ASKED = b'{"losses":["0.01","0.03",\n"-0.01","0.05"],\r\n"var":["0.02","0.02","0.02","0.02"],"level":"0.9"}'
OTHER = ASKED.replace(b'"0.9"', b'"0.99"')


def process_of(asked: Calculators) -> int:
    process = asked._of_call["backtest"]._process
    assert process is not None
    return process.pid


def told(answer: bytes) -> str:
    level = json.loads(answer)["convention"]["level"]
    assert isinstance(level, str)
    return level


async def test_an_answer_is_the_command_lines() -> None:
    async with open_aio() as aio:
        answer = await aio.call(Calculators().ask, "backtest", ASKED, timeout=PATIENCE)
        assert json.loads(answer)["kupiec_lr"] == answer_backtest(ASKED).kupiec_lr


async def test_one_process_answers_in_turn_and_ends_with_the_loop() -> None:
    async with open_aio() as aio:
        asked = Calculators()

        async def both() -> list[bytes]:
            return await asyncio.gather(*(asked.ask("backtest", each) for each in (ASKED, OTHER, ASKED)))

        assert [told(each) for each in await aio.call(both, timeout=PATIENCE)] == ["0.9", "0.99", "0.9"]
        process = process_of(asked)
        os.kill(process, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_who_leaves_takes_the_answer_with_him() -> None:
    async with open_aio() as aio:
        asked = Calculators()

        async def left() -> bytes:
            await asked.ask("backtest", ASKED)
            os.kill(process_of(asked), signal.SIGSTOP)  # it has the question, and would answer it to the next
            leaver = asyncio.create_task(asked.ask("backtest", ASKED))
            await asyncio.sleep(0)  # it runs up to its first wait, which is for the answer
            leaver.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaver
            return await asked.ask("backtest", OTHER)

        assert told(await aio.call(left, timeout=PATIENCE)) == "0.99"


async def test_a_process_that_dies_is_told_and_replaced() -> None:
    async with open_aio() as aio:
        asked = Calculators()

        async def lost() -> bytes:
            await asked.ask("backtest", ASKED)
            os.kill(process_of(asked), signal.SIGKILL)
            with pytest.raises(CalculatorLost):
                await asked.ask("backtest", ASKED)
            return await asked.ask("backtest", OTHER)

        assert told(await aio.call(lost, timeout=PATIENCE)) == "0.99"


async def test_what_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_aio() as aio:
        asked = Calculators()
        await aio.call(asked.ask, "backtest", ASKED, timeout=PATIENCE)
        os.kill(process_of(asked), signal.SIGSTOP)
        monkeypatch.setattr(calculators, "LIMIT_SECONDS", 0.1)
        with pytest.raises(CalculationOverdue):
            await aio.call(asked.ask, "backtest", ASKED, timeout=PATIENCE)
        monkeypatch.undo()
        assert told(await aio.call(asked.ask, "backtest", OTHER, timeout=PATIENCE)) == "0.99"


async def test_more_than_the_limit_are_refused_at_once() -> None:
    async with open_aio() as aio:
        asked = Calculators()

        async def crowd() -> list[bytes | BaseException]:
            every = (asked.ask("backtest", ASKED) for _ in range(calculators.MOST_AT_ONCE + 1))
            return await asyncio.gather(*every, return_exceptions=True)

        *answered, refused = await aio.call(crowd, timeout=PATIENCE)
        assert isinstance(refused, CalculatorBusy)
        assert [told(each) for each in answered if isinstance(each, bytes)] == ["0.9"] * calculators.MOST_AT_ONCE


async def test_a_route_answers_or_tells_the_problem() -> None:
    async with open_aio() as aio:
        routes = {each.path: each for each in stateless_routes(Calculators().ask)}
        route = routes["/v1/risk/backtest"]

        async def ask(body: bytes) -> Reply | Problem:
            caller = Principal("desk", Role.VIEWER)
            try:
                return await route.handler(Request("POST", {}, {}, {}, body, caller, "1"))
            except Problem as problem:
                return problem

        async def answers() -> list[Reply | Problem]:
            return [await ask(each) for each in (ASKED, b"", b"{", b'{"losses":[],"var":[],"level":"0.9"}')]

        good, empty, torn, few = await aio.call(answers, timeout=PATIENCE)
        assert isinstance(good, Reply)
        assert (good.status, told(good.body)) == (200, "0.9")
        problems = [each for each in (empty, torn, few) if isinstance(each, Problem)]
        told_of = [(each.status, each.code) for each in problems]
        assert told_of == [(400, "not-json"), (400, "not-json"), (422, "invalid")]
        assert problems[2].remedy == "Send 2 to 20000."
