"""Stateless calls, computed by processes of their own: neither loop waits for numpy, nor for the interpreter that it
holds. asyncio side.

A calculator is `fusion-daemon risk <call>`, the program that analysts use: a request a line, an answer a line. It is
started by the first request for its call and stays; it ends by itself when its standard input closes, so that none
outlives the daemon, however that ends.

INVARIANTS
* A calculator has one request at a time, and no answer goes to another's question: whoever leaves while it computes,
  or waits longer than LIMIT_SECONDS, takes it with him, and the next request starts a new one.
* At most MOST_AT_ONCE requests are under way or wait; the others are refused at once, since each of them holds one of
  the server's places, which a request for an account's margin may need.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

from fusion_daemon.domain.failure import Failure

LIMIT_SECONDS = 20.0
"""Of one computation: less than the server's own deadline."""
MOST_AT_ONCE = 4
_ANSWER_LIMIT = 64 * 1024 * 1024
"""Bytes of an answer's line."""
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A calculation takes one core, so that the daemon keeps the others; and it gets the same bits everywhere."""


class CalculatorBusy(Failure):
    """Too many ask at once."""


class CalculatorLost(Failure):
    """The process ended with the request in hand."""


class CalculationOverdue(Failure):
    """It was ended, for the others' sake."""


class Calculators:
    def __init__(self) -> None:
        self._of_call: dict[str, _Calculator] = {}
        self._under_way = 0

    async def ask(self, call: str, body: bytes) -> bytes:
        """A JSON request, not blank and on any number of lines, to the JSON answer or to a problem object.

        Raises CalculatorBusy, CalculatorLost and CalculationOverdue.
        """
        if self._under_way >= MOST_AT_ONCE:
            raise CalculatorBusy(
                f"{self._under_way} calculations are under way or wait already.",
                "Nothing was computed.",
                f"Ask again in a while, or compute with `fusion-daemon risk {call}`.",
            )
        self._under_way += 1
        try:
            return await self._of_call.setdefault(call, _Calculator(call)).ask(body)
        finally:
            self._under_way -= 1


class _Calculator:
    """Of one call, by its name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        """Held, because a loop holds its tasks weakly."""

    async def ask(self, body: bytes) -> bytes:
        async with self._turn:
            return await self._answered(body)

    async def _answered(self, body: bytes) -> bytes:
        process = self._process or await self._start()
        answered = False
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                answer = await _exchange(process, body)
            answered = answer.endswith(b"\n")
        except TimeoutError as error:
            raise CalculationOverdue(
                f"`{self._name}` took longer than {LIMIT_SECONDS:g} seconds.",
                "The computation was ended.",
                f"Send fewer assets or days, or compute with `fusion-daemon risk {self._name}`.",
            ) from error
        finally:
            if not answered:
                self._abandon()
        if not answered:
            raise CalculatorLost(
                f"The process that computes `{self._name}` ended.",
                "Nothing was computed.",
                "Ask again; if it ends again, the journal has its last words.",
            )
        return answer

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fusion_daemon", "risk", self._name),
            stdin=PIPE,
            stdout=PIPE,
            limit=_ANSWER_LIMIT,
            env={**os.environ, **_ONE_THREAD},
        )
        self._process = process
        self._keeper = asyncio.create_task(self._keep(process))
        return process

    async def _keep(self, process: Process) -> None:
        """Until it ends, or the loop does: then it is ended too, and waited for."""
        try:
            await process.wait()
        finally:
            _end(process)
            if self._process is process:
                self._process = None
            await process.wait()

    def _abandon(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None


async def _exchange(process: Process, body: bytes) -> bytes:
    """The answer's line; without its end when the process ended first."""
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    # Line ends mean nothing in JSON outside of strings, and may not stand inside one.
    line = body.replace(b"\r", b" ").replace(b"\n", b" ")
    try:
        process.stdin.write(line + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()
    except ConnectionError:
        return b""


def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
