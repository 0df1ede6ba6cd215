"""Rules: a large span holds trio's loop no longer than a small one, and a small one costs one request.

    1 .. 20   200 logs each, all final
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import FrameType

import trio

from tests.faults.fake_node import FakeNode, Json
from tests.integration.chain.listening import SETTINGS, Listening
from tests.unit.chain.vault_logs import ALICE, WETH, deposited

BLOCKS, LOGS = 20, 200
YOUNG = 40
"""Empty blocks above, whose logs would be asked by hash."""


def written(node: FakeNode) -> None:
    for _ in range(BLOCKS):
        node.mine(*[deposited(ALICE, WETH, 5)] * LOGS)
    for _ in range(YOUNG):
        node.mine()
    node.final_number = BLOCKS + YOUNG


class Steps(trio.abc.Instrument):
    """Counts the functions that are called in each step of trio's tasks."""

    def __init__(self) -> None:
        self.worst = 0
        self._calls = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._calls = 0
        sys.setprofile(self._note)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        sys.setprofile(None)
        self.worst = max(self.worst, self._calls)

    def _note(self, _frame: FrameType, event: str, _argument: object) -> None:
        self._calls += event in ("call", "c_call")


async def test_no_step_of_trio_plans_a_span(listening: Listening, node: FakeNode) -> None:
    written(node)
    steps = Steps()
    async with listening.live(node.url, settings=replace(SETTINGS, workers=1)) as life:
        trio.lowlevel.add_instrument(steps)
        await life.until_tip(node.head.hash)
        trio.lowlevel.remove_instrument(steps)
    assert life.listener.statistics().logs == BLOCKS * LOGS
    # Whatever is done for each log, be it one call, is done elsewhere.
    assert steps.worst < BLOCKS * LOGS // 4


async def test_a_small_span_comes_in_one_request(listening: Listening, node: FakeNode) -> None:
    written(node)
    asked: list[list[str]] = []
    lock = threading.Lock()

    def look(calls: Sequence[Json]) -> None:
        with lock:
            asked.append([str(call["method"]) for call in calls])

    node.before_answer = look
    async with listening.live(node.url, settings=replace(SETTINGS, workers=1)) as life:
        await life.until_tip(node.head.hash)
    with_logs = [methods for methods in asked if "eth_getLogs" in methods]
    assert with_logs
    assert all(methods.count("eth_getLogs") == 1 and "eth_getBlockByNumber" in methods for methods in with_logs)
