"""Rule: whoever holds a loop up is named while it is still at it."""

from __future__ import annotations

import threading
import time

from fusion_daemon.aio import Aio, Stall, open_aio
from fusion_daemon.aio.stalls import StallWatch, Watched
from fusion_daemon.aio.statistics import Pulse

LONG = 30.0
"""A deadline that only a failing test reaches."""


class Told:
    """What the watch said. A hog holds its loop until it has been told on."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []
        self._heard = threading.Event()

    def __call__(self, stall: Stall) -> None:
        self.stalls.append(stall)
        self._heard.set()

    def hog_until_heard(self) -> None:
        assert self._heard.wait(LONG)


async def test_a_stall_of_trio_names_its_culprit() -> None:
    told = Told()
    async with open_aio(stall_limit=0.02, beat_interval=0.01, on_stall=told) as aio:
        await beaten(aio)
        told.hog_until_heard()
        assert aio.statistics().trio_loop.stalls == 1
        assert aio.statistics().asyncio_loop.stalls == 0
    [stall] = told.stalls
    assert stall.loop == "trio"
    assert stall.late >= 0.02
    assert any(step.endswith(" hog_until_heard") for step in stall.whereabouts)


async def test_a_stall_of_asyncio_names_its_culprit() -> None:
    told = Told()

    async def hog() -> None:
        told.hog_until_heard()

    async with open_aio(stall_limit=0.02, beat_interval=0.01, on_stall=told) as aio:
        await aio.call(hog, timeout=LONG)
        assert aio.statistics().asyncio_loop.stalls == 1
    [stall] = told.stalls
    assert stall.loop == "asyncio"
    assert any(step.endswith(" hog") for step in stall.whereabouts)


def test_a_late_beat_is_told_once_and_the_next_one_anew() -> None:
    pulse, told = Pulse(), Told()
    watch = StallWatch([Watched("trio", pulse, threading.get_ident())], 0.1, told)
    pulse.due = 100.0
    for now in (100.05, 100.11, 100.2):
        watch.look(now)
    assert [stall.late for stall in told.stalls] == [100.11 - 100.0]
    pulse.beat(0.3)
    watch.look(100.25)
    pulse.due = 100.3
    for now in (100.3, 100.42):
        watch.look(now)
    assert len(told.stalls) == pulse.stalls == 2


def test_a_process_that_was_held_is_no_loops_fault() -> None:
    pulse, told = Pulse(), Told()
    watch = StallWatch([Watched("trio", pulse, threading.get_ident())], 0.1, told)
    pulse.due = 100.0
    watch.look(100.05)
    watch.look(500.0)
    assert told.stalls == []
    watch.look(500.05)
    assert len(told.stalls) == 1, "it goes on standing still: then it is one"


def test_a_thread_that_has_ended_stands_nowhere() -> None:
    ended = threading.Thread(target=lambda: None)
    ended.start()
    ended.join()
    pulse, told = Pulse(), Told()
    assert ended.ident is not None
    watch = StallWatch([Watched("asyncio", pulse, ended.ident)], 0.1, told)
    pulse.due = time.monotonic() - 1.0
    watch.look(time.monotonic())
    assert told.stalls[0].whereabouts == ()


async def beaten(aio: Aio) -> None:
    """Both loops run and their beats are counted."""

    async def nothing() -> None:
        pass

    await aio.call(nothing, timeout=LONG)
