"""Rule: Postgres may go away under load and come back; the daemon lives through it and nothing is lost.

prices move ──────────────────────────────────────▶
Postgres    ═════════╳ stopped            ╔════════
daemon      ════════════ one process ══════════════
"""

from __future__ import annotations

import os
import signal
import time

from fusion_daemon.demo.scenario import move_price
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.conftest import SOAK
from tests.e2e.expectation import assert_everyone_was_told, recorded_transitions, set_out
from tests.e2e.witness import await_caught_up
from tests.looking import until

OUTAGE = float(os.environ.get("FUSION_PRIME_TEST_OUTAGE", "20" if SOAK else "4"))
"""Seconds."""


def test_postgres_is_stopped_and_started_again_under_load(stage: Stage) -> None:
    stage.daemon.start()
    expected = set_out(stage, 40)
    before = stage.daemon.pid
    _fall(stage, 1_950, 1_700)
    _stop(stage)
    fallen = time.monotonic() + OUTAGE
    usd = 1_700
    while time.monotonic() < fallen:
        usd -= 20
        stage.set_price(max(usd, 1_300) * USD_SCALE + usd % 7)
        time.sleep(0.2)
    _start(stage)
    _fall(stage, 1_290, 1_200)
    move_price(stage, 1_195)
    await_caught_up(stage, patience=90.0)
    expected.prices_moved()
    assert recorded_transitions(stage) == expected.transitions
    assert_everyone_was_told(stage)
    assert stage.daemon.pid == before
    until(stage.daemon.ready, "ready again")
    _, answer = stage.daemon.get("/v1/actors")
    assert isinstance(answer, dict)
    assert {actor["name"]: actor["restarts"] for actor in answer["actors"] if actor["restarts"]} == {}
    assert stage.daemon.stop() == 0


def _fall(stage: Stage, first: int, last: int) -> None:
    for usd in range(first, last, -25):
        stage.set_price(usd * USD_SCALE)
        time.sleep(0.05)


def _stop(stage: Stage) -> None:
    stage.postgres.send(signal.SIGINT)
    assert stage.postgres.reaped(30.0)


def _start(stage: Stage) -> None:
    stage.postgres.spawn()
    until(stage.postgres.ready, "Postgres accepts connections")
