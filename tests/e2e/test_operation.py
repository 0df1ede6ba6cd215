"""Rule: under load an operator is answered at once, and sees what passes; nobody is held up by who looks on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.expectation import assert_nothing_lost_or_doubled, set_out
from tests.e2e.witness import await_caught_up

READS = ("actors", "tree", "actors/risk_calculator", "mailboxes", "topics")
LOOKS = 20
ROUNDS = 3
PERCENTILE_99 = 0.05
"""Seconds."""


def command(stage: Stage, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "fusion_daemon", *words, "--config", str(stage.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in out.splitlines()]


def test_who_looks_on_sees_what_passes_and_delays_nobody(stage: Stage) -> None:
    stage.daemon.start()
    expected = set_out(stage, 40)
    tap = command(stage, "tap", "prices", "--count", "8")
    trace = command(stage, "trace", "risk_calculator", "--count", "60", "--json")
    over = threading.Event()
    # Both look on once the first price is seen by both; until then prices go on moving.
    mover = threading.Thread(target=_move, args=(stage, over))
    mover.start()
    try:
        slowest = [_percentile_99(stage) for _ in range(ROUNDS)]
        items, events = answer(tap), answer(trace)
    finally:
        over.set()
        mover.join()
    positions = [item["position"] for item in items]
    assert positions == list(range(int(str(positions[0])), int(str(positions[0])) + 8)), "in order, each once"
    assert {item["value"]["asset"] for item in items} <= {"ETH", "USDC"}  # type: ignore[index]
    kinds = {(each["kind"], each.get("subject")) for each in events}
    assert ("taken", "prices") in kinds
    assert {"taken", "beat"} <= {kind for kind, _ in kinds}
    numbers = [int(str(each["number"])) for each in events]
    assert numbers == sorted(set(numbers))
    # The machine has other work, too: one round in which nothing else came between is the daemon's own.
    assert min(slowest) < PERCENTILE_99, slowest
    await_caught_up(stage)
    expected.prices_moved()
    assert_nothing_lost_or_doubled(stage, expected)
    assert stage.daemon.stop() == 0


def _move(stage: Stage, over: threading.Event) -> None:
    usd = 2_000
    while not over.is_set():
        usd = 1_200 if usd == 2_000 else 2_000
        stage.set_price(usd * USD_SCALE)
        over.wait(0.2)


def _percentile_99(stage: Stage) -> float:
    """Seconds, over every read LOOKS times."""
    took = sorted(_timed(stage, f"/v1/{path}") for path in READS * LOOKS)
    return took[len(took) * 99 // 100]


def _timed(stage: Stage, path: str) -> float:
    begun = time.perf_counter()
    status, _ = stage.daemon.get(path)
    assert status == 200
    return time.perf_counter() - begun
