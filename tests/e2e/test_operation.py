"""Rule: under load an operator is answered and sees what passes; nobody is held up by who looks on."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.expectation import assert_nothing_lost_or_doubled, set_out
from tests.e2e.witness import await_caught_up

READS = ("actors", "tree", "actors/risk_calculator", "mailboxes", "topics")
LOOKS = 20


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
        assert {stage.daemon.get(f"/v1/{path}")[0] for path in READS * LOOKS} == {200}
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
